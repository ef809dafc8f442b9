"""A folder of MUSE exports as a source: patients, labels, beats, and files that can't be used."""

import math
import os
import pickle
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from muse_files import STEP, MuseEcg, document, steps, write_muse
from synthetic_ecg import one_beat, synthetic

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Muse, RecordingError
from ecg_lightning.data.sources.base import RejectedEntry
from ecg_lightning.data.sources.muse_header import read_header
from ecg_lightning.data.sources.muse_xml import read_tree
from ecg_lightning.data.sources.vendor_median import QrsMarks
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, LEADS, TARGETS
from ecg_lightning.signal.beat import median_beat

MEDIAN = steps(one_beat((np.arange(BEAT_SAMPLES) - FIDUCIAL_SAMPLE) / 500.0))
RHYTHM = steps(synthetic(70.0).recording.signal)
ECG = MuseEcg(median=MEDIAN, rhythm=RHYTHM)


def patient(**fields: str) -> dict[str, str]:
    return {"PatientID": "0012", "PatientAge": "60", "AgeUnits": "YEARS", "Gender": "FEMALE", **fields}


def report(*lines: str) -> dict[str, Any]:
    return {"diagnosis": tuple((line, "ENDSLINE") for line in lines), "original": None}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three ECGs of two patients, in two folders."""
    write_muse(tmp_path / "root/2020/a.xml", ECG)
    fibrillation = report(
        "Atrial fibrillation with rapid ventricular response", "Possible Left ventricular hypertrophy"
    )
    write_muse(tmp_path / "root/2020/b.XML", replace(ECG, patient=patient(Gender="MALE"), **fibrillation))
    write_muse(
        tmp_path / "root/2021/a.xml", replace(ECG, patient=patient(PatientID="7"), diagnosis=None, original=None)
    )
    (tmp_path / "root/2021/._a.xml").write_bytes(b"\0\5\26\7")
    (tmp_path / "root/readme.txt").write_text("no ECG")
    return tmp_path / "root"


def cached(source: Muse, folder: Path, **settings: Any) -> BeatCache:
    return prepare(source, folder / "cache", **({"processes": 1, "progress": False} | settings))


def test_entries(root: Path) -> None:
    first, second, third = Muse(str(root)).entries()
    assert [e.ecg_id for e in (first, second, third)] == ["2020/a.xml", "2020/b.XML", "2021/a.xml"]
    assert [e.patient_id for e in (first, second, third)] == ["0012", "0012", "7"]
    assert (first.age, first.sex, first.fold, second.sex) == (60.0, "female", 0, "male")
    assert dict(first.labels) == {target: float(target == "sinus_rhythm") for target in TARGETS}
    assert {t for t, label in second.labels.items() if label} == {"atrial_fibrillation"}
    assert set(TARGETS) - set(second.labels) == {"left_ventricular_hypertrophy"}  # possible
    assert third.labels == {}  # no diagnosis


def test_entries_read_no_waveform(root: Path) -> None:
    path = root / "2020/a.xml"
    path.write_bytes(path.read_bytes()[:15_000])
    assert Muse(root).entries()[0].labels["sinus_rhythm"] == 1.0


@pytest.mark.parametrize(
    ("fields", "age"),
    [
        ({"PatientAge": "18", "AgeUnits": "MONTHS"}, 1.5),
        ({"PatientAge": "26", "AgeUnits": "WEEKS"}, 0.498),
        ({"PatientAge": "10", "AgeUnits": "DAYS"}, 0.0274),
        ({"PatientAge": "36", "AgeUnits": "HOURS"}, 0.0041),
        ({"AgeUnits": ""}, 60.0),
        ({"AgeUnits": "MOONS"}, math.nan),
        ({"PatientAge": ""}, math.nan),
        ({"PatientAge": "300"}, math.nan),
        ({"PatientAge": "", "DateofBirth": "05-10-1961"}, 60.0),
        ({"PatientAge": "", "DateofBirth": "31-12-1960"}, 60.356),
        ({"PatientAge": "", "DateofBirth": "XX-XX-XXXX"}, math.nan),
        ({"PatientAge": "", "DateofBirth": "05-10-2061"}, math.nan),
    ],
)
def test_ages(tmp_path: Path, fields: dict[str, str], age: float) -> None:
    path = write_muse(tmp_path / "a.xml", replace(ECG, patient=patient(**fields)))
    assert read_header(read_tree(path)).age == pytest.approx(age, abs=0.003, nan_ok=True)


def test_the_table_says_when_and_with_what(root: Path) -> None:
    write_muse(root / "c.xml", replace(ECG, patient={}, test={"AcquisitionDate": "05-10-2021"}))
    (root / "d.xml").write_bytes(b"")
    table = Muse(root).table()
    assert table["ecg_id"].tolist() == ["2020/a.xml", "2020/b.XML", "2021/a.xml", "c.xml"]
    assert table["acquired"].tolist() == [datetime(2021, 5, 10, 13, 15, 18)] * 3 + [datetime(2021, 5, 10)]
    assert table["device"].tolist() == ["MAC55"] * 3 + [""]
    assert table["statements"].tolist()[::3] == ["Normal sinus rhythm; Normal ECG"] * 2
    assert Muse(root).entries()[3].patient_id == "c.xml"  # a patient of its own


def test_beats_of_the_vendor_and_of_one_s_own(root: Path) -> None:
    vendor, own = Muse(root), Muse(root, beats="own")
    entry = vendor.entries()[0]
    np.testing.assert_array_equal(vendor.beat(entry).beat, MEDIAN * (STEP * 1e-3))
    recording = own.read(entry)
    np.testing.assert_array_equal(recording.signal, RHYTHM * (STEP * 1e-3))
    np.testing.assert_array_equal(own.beat(entry).beat, median_beat(recording).beat)
    np.testing.assert_array_equal(own.beat(entry, "blank").beat, median_beat(recording, neighbours="blank").beat)
    assert own.settings() != vendor.settings()
    with pytest.raises(ValueError, match="blank needs `beats: own`"):
        vendor.beat(entry, "blank")
    with pytest.raises(ValueError, match="beats must be one of vendor, own, got 'mine'"):
        Muse(root, beats="mine")  # type: ignore[arg-type]


def test_files_that_can_not_be_used_cost_no_other(root: Path, tmp_path: Path) -> None:
    write_muse(root / "bad/child.xml", replace(ECG, patient=patient(PatientAge="15")))
    write_muse(root / "bad/no_median.xml", replace(ECG, median=None))
    write_muse(
        root / "bad/seven_leads.xml",
        replace(ECG, median=MEDIAN[1:], rhythm=None, leads=LEADS[1:]),
    )
    write_muse(root / "bad/unit.xml", replace(ECG, lead_fields={"LeadAmplitudeUnits": "MMHG"}))
    (root / "bad/philips.xml").write_text("<restingecgdata/>")
    (root / "bad/bomb.xml").write_text("<!DOCTYPE r [<!ENTITY a 'aa'>]><RestingECG>&a;</RestingECG>")
    (root / "bad/empty.xml").write_bytes(b"")
    (root / "bad/half.xml").write_bytes((root / "2020/a.xml").read_bytes()[:80_000])
    (root / "bad/gone.xml").symlink_to(root / "nowhere.xml")
    cache = cached(Muse(root), tmp_path)
    assert cache.examples["ecg_id"].tolist() == ["2020/a.xml", "2020/b.XML", "2021/a.xml"]
    assert dict(zip(cache.rejected["ecg_id"], cache.rejected["reason_kind"], strict=True)) == {
        "bad/bomb.xml": "unreadable",
        "bad/child.xml": "under_age",
        "bad/empty.xml": "unreadable",
        "bad/gone.xml": "unreadable",
        "bad/half.xml": "unreadable",
        "bad/no_median.xml": "median",
        "bad/philips.xml": "unreadable",
        "bad/seven_leads.xml": "missing_lead",
        "bad/unit.xml": "unit",
    }
    assert all(len(reason) > 30 for reason in cache.rejected["reason"])
    own = cached(Muse(root, beats="own"), tmp_path)
    assert "bad/no_median.xml" in own.examples["ecg_id"].tolist()
    reasons = dict(zip(own.rejected["ecg_id"], own.rejected["reason"], strict=True))
    assert "no Rhythm waveform" in reasons["bad/seven_leads.xml"]


def test_a_file_whose_head_fails_is_not_used_without_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails once must not turn an ECG into one of an unknown patient without labels."""
    monkeypatch.setattr("ecg_lightning.data.sources.muse.read_header", lambda root: 1 / 0)
    with pytest.raises(ValueError, match=r"none of the 3 ECGs of muse can be used: .*ZeroDivisionError"):
        cached(Muse(root), root)
    (entry, *_) = Muse(root).entries()
    for reads in (Muse(root).read, Muse(root).beat, Muse(root, beats="own").beat):
        with pytest.raises(UnreadableError, match="ZeroDivisionError: division by zero"):
            reads(entry)


def test_prepared_beats_reach_the_data_module(tmp_path: Path) -> None:
    for k in range(24):
        rhythm = report("Sinus bradycardia" if k % 2 else "Normal sinus rhythm")
        ecg = replace(ECG, patient=patient(PatientID=f"{k // 2}"), **rhythm)
        write_muse(tmp_path / f"root/{k % 3}/{k:02d}.xml", ecg)
    source = Muse(tmp_path / "root")
    cache = cached(source, tmp_path, processes=2)
    np.testing.assert_allclose(cache.read_beats(np.arange(24)), np.tile(MEDIAN * (STEP * 1e-3), (24, 1, 1)), atol=6e-4)
    assert cache.examples["heart_rate"].tolist() == [60.0] * 24
    data = EcgDataModule(
        source, target="sinus_bradycardia", cache_dir=tmp_path / "cache", batch_size=4, n_backgrounds=2
    )
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["ecg"].shape == (4, 8, BEAT_SAMPLES)
    assert set(batch["label"].tolist()) <= {0.0, 1.0}


def test_unknown_statements_are_counted_and_typed_words_of_few_ecgs_are_not_told(root: Path) -> None:
    for k in range(5):
        typed = (
            ("Sinus rhythm", "ENDSLINE"),
            (f"Mr. Doe {k}", "ENDSLINE", "USERINSERT"),
            ("Odd", "ENDSLINE", "USERINSERT"),
        )
        write_muse(root / f"typed{k}.xml", replace(ECG, diagnosis=typed))
    assert Muse(root).unmapped_codes() == {
        "(typed by a reader, each in fewer than 5 ECGs)": 5,  # Doe 0 to Doe 4
        "Mr": 5,
        "Odd": 5,
        "Normal ECG": 1,
        "Possible Left ventricular hypertrophy": 1,
        "rapid ventricular response": 1,
    }


def test_settings_follow_files_and_arguments_and_not_the_place(root: Path, tmp_path: Path) -> None:
    before = Muse(root).settings()
    assert str(root) not in str(before)
    moved = root.rename(tmp_path / "elsewhere")
    assert Muse(moved).settings() == before
    assert Muse(moved, check_crc=False).settings() != before
    path = moved / "2020/a.xml"
    path.write_bytes(path.read_bytes() + b"\n")
    assert Muse(moved).settings() != before
    write_muse(path, ECG)
    assert Muse(moved).settings() == before
    path.rename(moved / "2020/c.xml")
    assert Muse(moved).settings() != before


def test_a_map_of_one_s_own(root: Path) -> None:
    path = root / "mine.yaml"
    path.write_text("Normal ECG: sinus_rhythm\n")
    source = Muse(root, label_map=str(path))
    assert [dict(e.labels) for e in source.entries()] == [{"sinus_rhythm": 1.0}, {"sinus_rhythm": 0.0}, {}]
    path.write_text("Sinusritme: sinus_rhythm\n")
    with pytest.raises(ValueError, match=r"mine\.yaml: none of its 1 codes occurs in the 3 ECGs of .*Normal ECG x 1"):
        Muse(root, label_map=str(path)).entries()


def test_a_pickled_source_is_small_and_reads(root: Path) -> None:
    source = Muse(root)
    entry = source.entries()[0]
    packed = pickle.dumps(source)
    assert len(packed) < 500
    np.testing.assert_array_equal(pickle.loads(packed).beat(entry).beat, source.beat(entry).beat)


def test_roots_without_files_and_names_that_are_none(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            FileNotFoundError, match=r"no \.xml file in or below it; export resting ECGs from MUSE as XML"
        ):
            Muse(root).settings()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9.xml")).write_bytes(document(ECG).encode("latin-1"))
    (entry,) = Muse(tmp_path).entries()
    assert isinstance(entry, RejectedEntry)
    assert entry.ecg_id == r"\udce9.xml"
    assert entry.reason.endswith("its name is not UTF-8; rename the file")


def test_against_an_independent_reader(root: Path) -> None:
    from ecgdatakit.parsing.parser import FileParser

    source = Muse(root)
    for entry in source.entries()[:2]:
        theirs = FileParser().parse(root / entry.ecg_id)
        assert theirs.patient.patient_id == entry.patient_id
        assert theirs.patient.age == entry.age
        for ours, leads in ((source.read(entry).signal, theirs.leads), (source.beat(entry).beat, theirs.median_beats)):
            np.testing.assert_allclose(ours, [lead.to_physical().samples for lead in leads], rtol=1e-12)


def test_other_errors_of_reading_are_reasons(root: Path) -> None:
    source = Muse(root)
    entry = source.entries()[0]
    (root / entry.ecg_id).unlink()
    for reads in (source.read, source.beat):
        with pytest.raises(RecordingError, match=r"2020/a\.xml: No such file or directory; correct the source's root"):
            reads(entry)


def test_beats_that_are_used_with_a_remark_are_counted(tmp_path: Path) -> None:
    for k in range(5):
        marks = {"QOnset": "251", "QOffset": "315"} if k % 2 else {"QOnset": "219", "QOffset": "261"}
        ecg = replace(ECG, measurements={"VentricularRate": "60", "ECGSampleBase": "500", **marks})
        write_muse(tmp_path / f"root/{k}.xml", ecg)
    with pytest.warns(UserWarning, match=r"muse: of 2 ECGs \(1\.xml is the first\) the median has its steepest slope"):
        cache = cached(Muse(tmp_path / "root"), tmp_path)
    assert len(cache) == 5
    assert cache.info["counts"]["remarks"] == {QrsMarks().not_where_marked: {"ecgs": 2, "first": "1.xml"}}
    np.testing.assert_array_equal(cache.read_beats(np.array([1])), cache.read_beats(np.array([0])))
    assert "remarks" not in cached(Muse(tmp_path / "root", beats="own"), tmp_path).info["counts"]
