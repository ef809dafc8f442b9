"""PTB-XL+: 12SL's beats, waves and measurements, joined with PTB-XL; the files have the layout of the release."""

import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb
from numpy.typing import NDArray
from ptbxl_plus_files import write_median, write_tables
from synthetic_ecg import synthetic, twelve_leads, write_ptbxl

from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.representations import MedianBeats, RecordingWindow
from ecg_lightning.data.sources import PtbXl, PtbXlPlus, RecordingError
from ecg_lightning.data.sources.base import RejectedEntry
from ecg_lightning.data.sources.entry_checks import checked_entries, target_of
from ecg_lightning.data.sources.ptbxl_plus_beats import header_path
from ecg_lightning.data.sources.vendor_median import MedianError
from ecg_lightning.data.sources.wfdb_checks import ChecksumError, UnreadableError
from ecg_lightning.data.sources.wfdb_files import UnitError
from ecg_lightning.signal.beat import median_beat

SINUS, FIBRILLATION = "{'NORM': 100.0, 'SR': 0.0}", "{'AFIB': 0.0}"
WITHOUT_P = dict.fromkeys(("P_On_Global", "P_Off_Global", "P_Dur_Global", "PR_Int_Global"), "")


def own_beat(ecg_id: int) -> NDArray[np.float64]:
    """(12, 600) mV, of the record that ``write_ptbxl`` writes."""
    return twelve_leads(median_beat(synthetic(60.0 + ecg_id, seconds=6.0, seed=ecg_id).recording).beat)


@pytest.fixture
def ptbxl(tmp_path: Path) -> Path:
    root = tmp_path / "ptb-xl"
    write_ptbxl(root, [(56.0, SINUS), (300.0, FIBRILLATION), (70.0, SINUS)])
    return root


@pytest.fixture
def plus(tmp_path: Path, ptbxl: Path) -> Path:
    root = tmp_path / "ptb-xl-plus"
    write_tables(root, {1: {}, 2: WITHOUT_P, 3: {"R_Amp_V5": "nan"}})
    for ecg_id in (1, 2):
        write_median(root, ecg_id, own_beat(ecg_id))
    return root


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.filterwarnings("ignore:12SL's median beats are read as uV")
def test_beats_waves_and_measurements(plus: Path, ptbxl: Path) -> None:
    source = pickle.loads(pickle.dumps(PtbXlPlus(plus, ptbxl, features=["PR_Int_Global", "R_Amp_V5"])))
    first, second, third = source.entries()
    of_ptbxl = PtbXl(ptbxl).entries()[0]
    assert (first.patient_id, first.fold, first.age, first.sex) == ("101", 2, 56.0, "female")
    assert {name: first.labels[name] for name in of_ptbxl.labels} == dict(of_ptbxl.labels)
    assert (first.labels["PR_Int_Global"], first.labels["R_Amp_V5"]) == (150.0, 1.25)
    assert not {"PR_Int_Global", "age"} & set(second.labels)  # 12SL saw no P wave; the age is hidden
    assert second.age == 90.0
    assert "R_Amp_V5" not in third.labels
    info = source.targets()["R_Amp_V5"]
    assert (info.kind, info.unit, info.low, info.high, info.title) == (
        "regression",
        "mV",
        -20.0,
        20.0,
        "R wave amplitude",
    )

    beat = MedianBeats().of(source, first)
    np.testing.assert_allclose(beat.signal, own_beat(1)[[0, 1, *range(6, 12)]], atol=1e-6)
    assert beat.heart_rate == 61.0
    places = {wave: np.flatnonzero(mask[7])[[0, -1]].tolist() for wave, mask in beat.masks.items()}
    assert places == {"P": [142, 194], "QRS": [217, 261], "T": [320, 413]}  # ms halved
    assert set(MedianBeats().of(source, second).masks) == {"QRS", "T"}
    assert RecordingWindow(seconds=5.0).of(source, first).signal.shape == (12, 500)


def test_the_record_line_is_one_that_wfdb_refuses(plus: Path) -> None:
    with pytest.raises(Exception, match="record line"):
        wfdb.rdheader(str(header_path(plus, "1").with_suffix("")))


def test_marks_move_beat_and_waves_together(plus: Path, ptbxl: Path) -> None:
    late = np.roll(own_beat(1), 30, axis=1)
    write_median(plus, 1, late)
    moved = {"QRS_On_Global": "494", "QRS_Off_Global": "582", "T_On_Global": "700", "T_Off_Global": "886"}
    write_tables(plus, {1: moved | WITHOUT_P})
    source = PtbXlPlus(plus, ptbxl, unit="uV")
    beat = MedianBeats().of(source, source.entries()[0])
    away = 29  # the middle of 494 and 582 ms is 29 samples behind 0.48 s
    np.testing.assert_allclose(beat.signal[0, :500], late[0, away : 500 + away], atol=1e-6)
    assert np.flatnonzero(beat.masks["QRS"][0])[[0, -1]].tolist() == [247 - away, 291 - away]


@pytest.mark.parametrize(
    ("on", "off", "remark"),
    [("634", "722", "it is used as it lies in the file"), ("488", "504", "its waves are taken for unknown")],
)
def test_waves_that_cannot_be_where_they_are_marked_are_unknown(
    plus: Path, ptbxl: Path, on: str, off: str, remark: str
) -> None:
    write_tables(plus, {1: {"QRS_On_Global": on, "QRS_Off_Global": off}})
    source = PtbXlPlus(plus, ptbxl, unit="uV")
    beat = MedianBeats().of(source, source.entries()[0])
    assert not beat.masks
    assert remark in beat.remark
    np.testing.assert_allclose(beat.signal[0], own_beat(1)[0], atol=1e-6)


def test_the_unit_is_decided_by_ptbxl_and_said(plus: Path, ptbxl: Path) -> None:
    with pytest.warns(UserWarning, match=r"read as uV: they are so many times PTB-XL's own in mV: 1: 1000, 2: 999\.9"):
        PtbXlPlus(plus, ptbxl).entries()
    compared, told = PtbXlPlus(plus, ptbxl), PtbXlPlus(plus, ptbxl, unit="uV")
    assert compared.settings() == told.settings()
    assert told.settings()["unit"] == "uV"
    with pytest.raises(RecordingError, match="more than 20 mV"):
        MedianBeats().of(PtbXlPlus(plus, ptbxl, unit="mV"), told.entries()[0])


def test_beats_in_millivolts_need_no_word(plus: Path, ptbxl: Path, recwarn: pytest.WarningsRecorder) -> None:
    for ecg_id in (1, 2):
        write_median(plus, ecg_id, own_beat(ecg_id), per_millivolt=1.0)
    source = PtbXlPlus(plus, ptbxl)
    beat = MedianBeats().of(source, source.entries()[0])
    assert not recwarn
    np.testing.assert_allclose(beat.signal[0], own_beat(1)[0], atol=1e-6)


def test_the_unit_is_not_guessed(plus: Path, ptbxl: Path) -> None:
    write_median(plus, 2, own_beat(2), per_millivolt=1.0)
    with pytest.raises(
        ValueError, match=r"can't be decided: .* \(1: 1000, 2: 0\.9999\).*set `data.source.init_args.unit`"
    ):
        PtbXlPlus(plus, ptbxl).entries()
    for record in ptbxl.glob("records500/*/*"):
        record.unlink()
    with pytest.raises(ValueError, match=r"no record of PTB-XL is there to compare .*unit"):
        PtbXlPlus(plus, ptbxl).settings()
    source = PtbXlPlus(plus, ptbxl, unit="uV")  # PTB-XL's table is enough then
    assert MedianBeats().of(source, source.entries()[0]).signal.shape == (8, 600)


def test_an_ecg_without_a_beat_is_a_counted_rejection(plus: Path, ptbxl: Path, tmp_path: Path) -> None:
    source = PtbXlPlus(plus, ptbxl, unit="uV")
    cache = prepare(source, tmp_path / "cache", processes=1)
    assert cache.examples["ecg_id"].tolist() == ["1", "2"]
    assert cache.examples["fold"].tolist() == [2, 3]
    assert cache.examples["QRS_Dur_Global"].tolist() == [88.0, 88.0]
    assert cache.info["counts"]["by_kind"] == {"median": 1}
    rejected = pd.read_parquet(cache.folder / "rejected.parquet")
    assert "00003_medians.hea: no such file, 12SL has made no median beat" in rejected["reason"][0]
    assert {"P", "QRS", "T"} <= set(cache.regions)
    windows = prepare(source, tmp_path / "cache", processes=1, representation=RecordingWindow(seconds=5.0))
    assert len(windows.examples) == 3  # a recording needs no median


def cut(header: Path) -> None:
    signals = header.with_suffix(".dat")
    signals.write_bytes(signals.read_bytes()[:-100])


def flip(header: Path) -> None:
    signals = header.with_suffix(".dat")
    content = bytearray(signals.read_bytes())
    content[400] ^= 0x10
    signals.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (cut, UnreadableError, r"7175 samples, expected 600 of 12 leads: truncated"),
        (flip, ChecksumError, "has the checksum"),
        (lambda header: edit(header, ".dat 32 ", ".dat 24 "), UnreadableError, "expected one signal file of format"),
        (lambda header: edit(header, "/mV", "/mmHg"), UnitError, "unit mmHg"),
        (lambda header: edit(header, " 0 V6", " 0 V7"), RecordingError, "lead V6 missing"),
        (lambda header: edit(header, " 12 500 ", " 12 5 "), RecordingError, "sampling rate 5"),
        (lambda header: header.write_text("ge/00001_medians 12\n"), UnreadableError, "truncated or damaged"),
        (lambda header: header.with_suffix(".dat").unlink(), UnreadableError, "No such file"),
    ],
)
def test_damaged_beats(
    plus: Path, ptbxl: Path, damage: Callable[[Path], None], error: type[RecordingError], message: str
) -> None:
    source = PtbXlPlus(plus, ptbxl, unit="uV")
    damage(header_path(plus, "1"))
    with pytest.raises(error, match=message):
        source.beat(source.entries()[0])


def test_a_beat_of_another_length_or_without_qrs_where_it_should_be(plus: Path, ptbxl: Path) -> None:
    source = PtbXlPlus(plus, ptbxl, unit="uV")
    entry = source.entries()[0]
    write_median(plus, 1, own_beat(1)[:, :500])
    with pytest.raises(MedianError, match=r"500 samples at 500 Hz, expected 1\.2 s"):
        source.beat(entry)
    write_median(plus, 1, np.roll(own_beat(1), 200, axis=1))
    with pytest.raises(MedianError, match="the median is steepest at"):
        source.beat(entry)


def test_a_missing_step_is_no_voltage(plus: Path, ptbxl: Path) -> None:
    header = write_median(plus, 1, own_beat(1))
    steps = np.fromfile(header.with_suffix(".dat"), "<i4").reshape(600, 12)
    total = int(steps[:, 0].sum())
    steps[7, 0] = np.iinfo(np.int32).min
    steps.tofile(header.with_suffix(".dat"))
    edit(header, f" {total % 65536} 0 I\n", f" {int(steps[:, 0].sum()) % 65536} 0 I\n")
    source = PtbXlPlus(plus, ptbxl, unit="uV")
    with pytest.raises(RecordingError, match="not finite in lead I"):
        source.beat(source.entries()[0])


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"PR_Int_Global": "long"}, r"12sl_features.csv, line 3: PR_Int_Global is 'long', expected a number of ms"),
        ({"PR_Int_Global": "-4"}, r"PR_Int_Global of ECG '1' is -4.0, expected a number of ms from 0 to 5000"),
        ({"QRS_On_Global": "inf"}, r"QRS_On_Global is 'inf'"),
    ],
)
def test_impossible_measurements_are_rejections(plus: Path, ptbxl: Path, own: dict[str, str], message: str) -> None:
    write_tables(plus, {1: own, 2: {}})
    entries = checked_entries(PtbXlPlus(plus, ptbxl, unit="uV"))
    assert isinstance(entries[0], RejectedEntry)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(entries[0].reason)
    assert not isinstance(entries[1], RejectedEntry)


def test_two_lines_of_an_ecg_are_a_rejection(plus: Path, ptbxl: Path) -> None:
    table = plus / "features/12sl_features.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[-1]]) + "\n")
    first = PtbXlPlus(plus, ptbxl, unit="uV").entries()[0]
    assert isinstance(first, RejectedEntry)
    assert "line 5: ecg_id 1 stands there already (line 4)" in first.reason


def test_what_is_not_in_12sls_table_is_missing_and_not_zero(plus: Path, ptbxl: Path) -> None:
    write_tables(plus, {2: {}})
    source = PtbXlPlus(plus, ptbxl, unit="uV")
    first = source.entries()[0]
    assert "PR_Int_Global" not in first.labels
    beat = source.beat(first)
    assert math.isnan(beat.heart_rate)
    assert not beat.wave_masks


def test_words_for_what_is_not_there(plus: Path, ptbxl: Path) -> None:
    with pytest.raises(ValueError, match=r"no column PR_Int_Globl; the nearest are PR_Int_Global"):
        PtbXlPlus(plus, ptbxl, features=["PR_Int_Globl"], unit="uV").entries()
    with pytest.raises(ValueError, match=r"set `data.source.init_args.ptbxl` to PTB-XL's own folder"):
        PtbXlPlus(plus)
    with pytest.raises(ValueError, match="unit must be compare or one of mV, uV, got 'V'"):
        PtbXlPlus(plus, ptbxl, unit="V")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"has no target QRS_Dur_Globl: the nearest are QRS_Dur_Global.*`--data"):
        target_of(PtbXlPlus(plus, ptbxl, unit="uV"), "QRS_Dur_Globl")
    with pytest.raises(ValueError, match="blank needs recordings"):
        PtbXlPlus(plus, ptbxl, unit="uV").beat(PtbXl(ptbxl).entries()[0], "blank")
    (plus / "features/feature_description.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"feature_description.csv: no such file; get PTB-XL\+ 1.0.1 from"):
        PtbXlPlus(plus, ptbxl, unit="uV").entries()


def test_real_records(data_root: Path, tmp_path: Path) -> None:
    ptbxl = PtbXl(data_root / "ptbxl")
    beats = {}
    for entry in ptbxl.entries()[:8]:
        beats[int(entry.ecg_id)] = np.rint(1e3 * twelve_leads(ptbxl.beat(entry).beat)) / 1e3  # whole uV, as 12SL's
    write_tables(tmp_path, {ecg_id: {} for ecg_id in beats})
    for ecg_id, beat in beats.items():
        write_median(tmp_path, ecg_id, beat)
    source = PtbXlPlus(tmp_path, data_root / "ptbxl")
    with pytest.warns(UserWarning, match="read as uV"):
        entries = source.entries()
    assert [one.fold for one in entries] == [one.fold for one in ptbxl.entries()]
    for entry in entries[:8]:
        found = MedianBeats().of(source, entry)
        np.testing.assert_allclose(found.signal, beats[int(entry.ecg_id)][[0, 1, *range(6, 12)]], atol=2e-6)
    with pytest.raises(MedianError, match="no such file"):
        source.beat(entries[8])
