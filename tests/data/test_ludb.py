import math
import pickle
import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb
from numpy.typing import NDArray
from synthetic_ecg import Synthetic, synthetic, twelve_leads, write_record

from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Ludb
from ecg_lightning.data.sources.base import RejectedEntry
from ecg_lightning.data.sources.entry_checks import checked_entries
from ecg_lightning.data.sources.ludb import AnnotationError, read_waves, wave_masks
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.ecg import FIDUCIAL_SAMPLE, LEADS, TARGETS
from ecg_lightning.signal.beat import MedianBeat, median_beat

HEADER = "ID,Sex,Age,Rhythms,Electric axis of the heart,Conduction abnormalities,Hypertrophies,Other states"
SUBJECTS = (
    '1,"F\n","51\n",Sinus rhythm,Electric axis of the heart: normal,"I degree av block\nLeft anterior hemiblock",,',
    '2,"M\n",">89\n",Atrial fibrillation,,,"Left atrial hypertrophy\nLeft ventricular hypertrophy",',
    '3,,,"Sinus arrhythmia",,,,',
)
CODES = {"(": 39, ")": 40, "N": 1, "p": 24, "t": 27}
"""Annotation codes of the MIT format (WFDB Programmer's Guide, ecgcodes.h)."""
REAL_SUBJECTS = range(1, 101, 6)


def waves_of(ecg: Synthetic, lead: int) -> list[tuple[int, str]]:
    """Marks of the inner beats, 2 ms later in each lead, as LUDB has them: whole waves only."""
    marks = []
    for r in ecg.r_times[1:-1]:
        for symbol, onset, offset in (("p", -0.21, -0.12), ("N", -0.045, 0.055), ("t", 0.17, 0.37)):
            times = (onset, (onset + offset) / 2, offset)
            marks += [(round(500 * (r + t)) + lead, s) for t, s in zip(times, ("(", symbol, ")"), strict=True)]
    return marks


def write_marks(path: Path, marks: Sequence[tuple[int, str]]) -> None:
    """Write an annotation file whose marks may be in any order, as ``wfdb.wrann`` refuses to."""
    words, now = b"", 0
    for time, symbol in marks:
        delta = time - now
        if not 0 <= delta < 1024:  # SKIP, high word first
            words += struct.pack("<H", 59 << 10) + struct.pack("<HH", (delta >> 16) & 0xFFFF, delta & 0xFFFF)
            delta = 0
        words += struct.pack("<H", (CODES[symbol] << 10) | delta)
        now = time
    path.write_bytes(words + b"\0\0")


ECG = synthetic(70.0, noise=0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "ludb.csv").write_text("\n".join([HEADER, *SUBJECTS]) + "\n")
    for subject in ("1", "2", "3"):
        write_record(tmp_path / "data" / subject, twelve_leads(ECG.recording.signal))
        for lead, name in enumerate(LEADS):
            marks = waves_of(ECG, lead)
            samples, symbols = (np.array(column) for column in zip(*marks, strict=True))
            wfdb.wrann(subject, "lead", samples, symbols, write_dir=str(tmp_path / "data"))
            (tmp_path / "data" / f"{subject}.lead").rename(tmp_path / "data" / f"{subject}.{name.lower()}")
    header = tmp_path / "data/1.hea"
    header.write_text(header.read_text().replace(" 1000.0(0)/mV", " 1716(0)/mV", 1))
    return tmp_path


def edit(root: Path, old: str, new: str) -> None:
    table = root / "ludb.csv"
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))


def test_entries(root: Path) -> None:
    first, second, third = Ludb(root).entries()
    assert (first.ecg_id, first.patient_id, first.age, first.sex, first.fold) == ("1", "1", 51.0, "female", 0)
    assert {t for t, v in first.labels.items() if v} == {"sinus_rhythm", "first_degree_av_block"}
    assert set(first.labels) == set(TARGETS) - {"low_qrs_voltage"}  # never labelled
    assert (second.age, second.sex) == (90.0, "male")
    assert {t for t, v in second.labels.items() if v} == {"atrial_fibrillation", "left_ventricular_hypertrophy"}
    assert math.isnan(third.age)
    assert third.sex == "unknown"
    assert not any(third.labels.values())


def test_all_leads_have_one_gain_whatever_the_header_says(root: Path) -> None:
    source = Ludb(str(root))
    entry = source.entries()[0]
    assert "1716(0)/mV" in (root / "data/1.hea").read_text()
    np.testing.assert_allclose(source.read(entry).signal, twelve_leads(ECG.recording.signal), atol=6e-4)


def test_masks_are_the_marked_waves(root: Path) -> None:
    source = Ludb(root)
    recording = source.read(source.entries()[1])
    assert set(recording.wave_masks) == {"P", "QRS", "T"}
    for lead in range(len(LEADS)):
        marks = waves_of(ECG, lead)
        for symbol, wave in (("p", "P"), ("N", "QRS"), ("t", "T")):
            expected = np.zeros(5000, dtype=bool)
            for before, mark, after in zip(marks, marks[1:], marks[2:], strict=False):
                if mark[1] == symbol:
                    expected[before[0] : after[0] + 1] = True
            np.testing.assert_array_equal(recording.wave_masks[wave][lead], expected)


def test_masks_are_carried_into_the_cache(root: Path) -> None:
    cache = prepare(Ludb(root), root / "cache", processes=1, progress=False)
    assert cache.regions == ("P", "QRS", "T")
    assert cache.examples["low_qrs_voltage"].isna().all()
    packed, present = cache.masks("QRS")
    assert present.all()
    own = np.unpackbits(packed, axis=-1)[0, :, FIDUCIAL_SAMPLE - 60 : FIDUCIAL_SAMPLE + 60]
    assert np.abs(own.sum(axis=1, dtype=int) - 51).max() <= 2  # beats lie between samples
    assert np.diff(own.argmax(axis=1)).tolist() == [1] * 7  # each lead's own boundaries
    assert list(cache.info["counts"]["unmapped_codes"]) == [
        "Electric axis of the heart: normal",
        "Left anterior hemiblock",
        "Left atrial hypertrophy",
        "Sinus arrhythmia",
    ]


@pytest.mark.parametrize("symbols", ["N)", "(N", "(", "N", "", "()", "N()", "()N", "((", "))", "(N(", "pN)", "(Nt)"])
def test_a_wave_that_is_not_whole_is_not_marked(symbols: str) -> None:
    masks = wave_masks(np.arange(10, 10 + len(symbols)), list(symbols), 50)
    assert not any(mask.any() for mask in masks.values())


def test_whole_waves_between_others_are_marked() -> None:
    symbols = list("N)(p)N)((t)(N)")
    masks = wave_masks(2 * np.arange(len(symbols)), symbols, 40)
    assert {wave: np.flatnonzero(mask).tolist() for wave, mask in masks.items()} == {
        "P": [4, 5, 6, 7, 8],
        "QRS": [22, 23, 24, 25, 26],
        "T": [16, 17, 18, 19, 20],
    }


def test_a_missing_file_of_one_lead_rejects_its_record(root: Path) -> None:
    (root / "data/2.v3").unlink()
    cache = prepare(Ludb(root), root / "cache", processes=1, progress=False)
    assert cache.rejected["ecg_id"].tolist() == ["2"]
    assert cache.rejected["reason_kind"].tolist() == ["annotation"]
    assert cache.rejected["reason"][0].endswith("data/2.v3: no such file; download the marks of lead V3 again")


def test_leads_that_the_beat_does_not_have_need_no_marks(root: Path) -> None:
    assert not list((root / "data").glob("1.av*"))
    assert Ludb(root).read(Ludb(root).entries()[0]).wave_masks["QRS"].any(axis=1).all()


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ([(10, "("), (30, "N"), (20, ")")], r"2\.ii: expected marks in order .* 3 marks from 10 to 30, not in order"),
        ([(4990, "("), (4995, "N"), (5000, ")")], "within 5000 samples, got 3 marks from 4990 to 5000; "),
        ([(-5, "("), (10, "N"), (20, ")")], "within 5000 samples"),
        ([], "got 0 marks; download the file again"),
    ],
)
def test_marks_out_of_order_or_place(root: Path, marks: list[tuple[int, str]], message: str) -> None:
    write_marks(root / "data/2.ii", marks)
    source = Ludb(root)
    with pytest.raises(AnnotationError, match=message):
        source.read(source.entries()[1])


def test_the_writer_of_these_tests_writes_what_wfdb_reads(root: Path) -> None:
    written = [(2, "("), (5, "N"), (2000, ")"), (2100, "("), (2200, "t"), (70_000, ")")]
    write_marks(root / "data/1.x", written)
    found = wfdb.rdann(str(root / "data/1"), "x")
    assert list(zip(found.sample.tolist(), found.symbol, strict=True)) == written
    marks = waves_of(ECG, 0)
    write_marks(root / "data/1.y", marks)
    for wave, mask in read_waves(root / "data/1", "Y", 5000).items():
        np.testing.assert_array_equal(mask, read_waves(root / "data/1", "I", 5000)[wave])


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_truncated_marks(root: Path, kept: float) -> None:
    path = root / "data/2.v6"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    source = Ludb(root)
    with pytest.raises(AnnotationError, match=r"2\.v6: the end is missing, the file is truncated"):
        source.read(source.entries()[1])


def test_damaged_marks(root: Path) -> None:
    (root / "data/2.v6").write_bytes(b"\xff" * 7 + b"\0\0")
    source = Ludb(root)
    with pytest.raises(AnnotationError, match=r"2\.v6: damaged .*; download it again"):
        source.read(source.entries()[1])


def test_a_missing_signal(root: Path) -> None:
    (root / "data/1.dat").unlink()
    source = Ludb(root)
    with pytest.raises(UnreadableError, match=r"1\.dat is missing"):
        source.read(source.entries()[0])


def test_a_missing_table_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ludb\.csv: no such file; get LUDB 1\.0\.1 from https"):
        Ludb(tmp_path).entries()
    with pytest.raises(FileNotFoundError, match="physionet"):
        Ludb(tmp_path).settings()


@pytest.mark.parametrize("column", ["ID", "Sex", "Age", "Rhythms", "Conduction abnormalities", "Hypertrophies"])
def test_a_missing_column_is_named(root: Path, column: str) -> None:
    edit(root, HEADER, HEADER.replace(column, "other"))
    with pytest.raises(ValueError, match=rf"ludb\.csv: column {column} missing; get LUDB"):
        Ludb(root).entries()


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ('"51\n"', "old", 0, r"line 2: Age is 'old', expected years or >89"),
        ("\n2,", "\n,", 1, "ID is '', expected text"),
        ('\n3,,,"Sinus arrhythmia",,,,', "\n3,,,,,,,,,,,", 2, "expected 8 cells, got 12"),
    ],
)
def test_a_broken_row_costs_no_other(root: Path, old: str, new: str, place: int, message: str) -> None:
    edit(root, old, new)
    entries = checked_entries(Ludb(root))
    rejected = [entry for entry in entries if isinstance(entry, RejectedEntry)]
    assert [entries.index(one) for one in rejected] == [place]
    assert re.search(rf"ludb\.csv, line \d+: {message.removeprefix('line 2: ')}", rejected[0].reason)


def test_an_empty_table(root: Path) -> None:
    (root / "ludb.csv").write_text("")
    with pytest.raises(ValueError, match="the file is empty; get LUDB"):
        Ludb(root).entries()


def test_a_map_of_one_s_own(root: Path) -> None:
    path = root / "mine.yaml"
    path.write_text("Left Anterior Hemiblock: left_bundle_branch_block\n")
    source = Ludb(root, label_map=str(path))
    assert [e.labels["left_bundle_branch_block"] for e in source.entries()] == [1.0, 0.0, 0.0]
    assert source.settings() != Ludb(root).settings()
    path.write_text("SR: sinus_rhythm\n")
    with pytest.raises(
        ValueError, match=r"none of its 1 codes occurs in the 3 ECGs of .* do occur: Atrial fibrillation"
    ):
        Ludb(root, label_map=str(path)).entries()


def test_settings_follow_the_content_and_not_the_place(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "ludb.csv").write_bytes((root / "ludb.csv").read_bytes())
    before = Ludb(root).settings()
    assert before == Ludb(elsewhere).settings()
    assert str(root) not in str(before)
    edit(root, "Sinus arrhythmia", "Sinus rhythm")
    assert Ludb(root).settings() != before


def test_a_pickled_source_is_small_and_reads(root: Path) -> None:
    source = Ludb(root)
    entry = source.entries()[0]
    packed = pickle.dumps(source)
    assert len(packed) < 1000
    again = pickle.loads(packed).read(entry)
    np.testing.assert_array_equal(again.signal, source.read(entry).signal)
    np.testing.assert_array_equal(again.wave_masks["T"], source.read(entry).wave_masks["T"])


# --- against the cardiologists, on a sample of the real subjects -----------------------------------------------


@pytest.fixture(scope="module")
def real(data_root: Path) -> list[tuple[str, dict[str, NDArray[np.intp]], MedianBeat]]:
    """Subject, the QRS complexes marked in each lead (complex, onset and offset), and its beat."""
    source = Ludb(data_root / "ludb")
    found = []
    for entry in source.entries():
        if int(entry.ecg_id) in REAL_SUBJECTS:
            record = data_root / "ludb" / "data" / entry.ecg_id
            marked = {lead: marked_qrs(record, lead) for lead in LEADS}
            found.append((entry.ecg_id, marked, median_beat(source.read(entry))))
    assert len(found) == len(REAL_SUBJECTS)
    return found


def marked_qrs(record: Path, lead: str) -> NDArray[np.intp]:
    """(complex, 2) onset and offset of the QRS complexes that are wholly marked."""
    marks = wfdb.rdann(str(record), lead.lower())
    text = "".join(marks.symbol)
    whole = [k for k in range(1, len(text) - 1) if text[k - 1 : k + 2] == "(N)"]
    return np.array([(marks.sample[k - 1], marks.sample[k + 1]) for k in whole], dtype=np.intp).reshape(-1, 2)


def nearest(bounds: NDArray[np.intp], time: float) -> NDArray[np.intp] | None:
    """The complex whose middle is within 120 ms of a time (sample)."""
    if not len(bounds):
        return None
    away = np.abs(bounds.mean(axis=1) - time)
    return bounds[away.argmin()] if away.min() <= 60 else None


def own_component(mask: NDArray[np.bool_]) -> tuple[int, int] | None:
    """First and last sample of the stretch of a (600,) mask that holds the fiducial, or is within 50 ms of it."""
    edges = np.diff(mask.astype(int), prepend=0, append=0)
    stretches = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True)
    near = [(a, b) for a, b in stretches if a - 25 <= FIDUCIAL_SAMPLE <= b + 25]
    return min(near, key=lambda pair: abs(sum(pair) / 2 - FIDUCIAL_SAMPLE)) if near else None


Real = list[tuple[str, dict[str, NDArray[np.intp]], MedianBeat]]


def test_the_fiducial_lies_in_the_marked_qrs(real: Real) -> None:
    inside = []
    for _, marked, beat in real:
        for time in beat.fiducials:
            bounds = [found for lead in LEADS if (found := nearest(marked[lead], time)) is not None]
            if len(bounds) >= 4:
                onset, offset = np.median(bounds, axis=0)
                inside.append(onset - 5 <= time <= offset + 5)
    assert len(inside) >= 100
    assert np.mean(inside) >= 0.99


def test_carried_masks_agree_with_the_marks_of_their_lead(real: Real) -> None:
    errors = []
    for _, marked, beat in real:
        for lead, mask in zip(LEADS, beat.wave_masks["QRS"], strict=True):
            found = [(b, t) for t in beat.fiducials if (b := nearest(marked[lead], t)) is not None]
            component = own_component(mask)
            if found and component is not None:
                relative = np.median([b - t + FIDUCIAL_SAMPLE for b, t in found], axis=0)
                errors.append(2.0 * np.abs(component - relative))  # ms
    assert len(errors) >= 0.97 * 8 * len(real)
    assert (np.median(errors, axis=0) <= 5.0).all()  # the bar is 20 ms
    assert (np.percentile(errors, 95, axis=0) <= 10.0).all()


def test_carried_masks_agree_with_the_other_leads(real: Real) -> None:
    errors = []
    for _, _, beat in real:
        components = [c for mask in beat.wave_masks["QRS"] if (c := own_component(mask)) is not None]
        for k, component in enumerate(components):
            others = np.median(components[:k] + components[k + 1 :], axis=0)
            errors.append(2.0 * np.abs(component - others))
    assert (np.median(errors, axis=0) <= 20.0).all()
    assert (np.percentile(errors, 90, axis=0) <= 20.0).all()


def test_the_files_steps_obey_einthoven_s_law(data_root: Path) -> None:
    """Why the headers' gains are not used: by them the law is off, by one gain for all leads it is exact."""
    source = Ludb(data_root / "ludb")
    for entry in source.entries()[::20]:
        recording = source.read(entry)
        one, two, three = (recording.signal[recording.leads.index(lead)] for lead in ("i", "ii", "iii"))
        residual = two - one - three
        assert np.ptp(residual) < 1e-9
        assert abs(residual[0]) < 0.0011  # the baselines are rounded to one step
        header_says = wfdb.rdrecord(str(data_root / "ludb" / "data" / entry.ecg_id)).p_signal
        np.testing.assert_allclose(np.ptp(header_says, axis=0), 1.0, atol=0.02)
        assert np.std(header_says[:, 1] - header_says[:, 0] - header_says[:, 2]) > 0.2 * np.std(header_says[:, 1])


def test_real_ludb(data_root: Path) -> None:
    source = Ludb(data_root / "ludb")
    entries = source.entries()
    assert len(entries) == 100
    # Counted by hand in ludb.csv.
    counts = {target: sum(e.labels[target] for e in entries) for target in entries[0].labels}
    assert counts["sinus_rhythm"] == 72
    assert counts["atrial_fibrillation"] == 9
    assert counts["left_bundle_branch_block"] == 4
    assert counts["first_degree_av_block"] == 6
    assert sum(e.age == 90.0 for e in entries) == 1
