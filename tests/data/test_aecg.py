"""HL7 annotated ECGs: round trips of real and simulated signals, and files that are damaged, hostile or odd."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from aecg_files import derived_series, document, sequence_set, series, write_aecg
from synthetic_ecg import synthetic, twelve_leads

from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.representations import MedianBeats, RecordingWindow
from ecg_lightning.data.sources import Aecg, PtbXl, RecordingError
from ecg_lightning.data.sources.base import Entry, RejectedEntry
from ecg_lightning.data.sources.vendor_median import MedianError
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.data.sources.wfdb_files import UnitError
from ecg_lightning.signal.beat import median_beat

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
RECORDING = synthetic(61.0, seed=1).recording
SIGNAL = twelve_leads(RECORDING.signal)
BEAT = twelve_leads(median_beat(RECORDING).beat)
SETS = sequence_set(SIGNAL, TWELVE)


def only(source: Aecg) -> Entry:
    (entry,) = source.entries()
    return entry


def written(root: Path, text: str) -> Aecg:
    (root / "a.xml").write_text(text)
    return Aecg(root)


@pytest.mark.parametrize(
    ("unit", "per_unit", "origin", "rate"),
    [
        ("uV", 1e3, 0.0, 500.0),
        ("mV", 1.0, 0.25, 1000.0),
        ("nV", 1e6, -30_000.0, 250.0),
        ("uV", 1e3, -300.0, 1e6 / 3906.0),
    ],
)
def test_signals_come_back_in_millivolts(
    tmp_path: Path, unit: str, per_unit: float, origin: float, rate: float
) -> None:
    sets = sequence_set(SIGNAL, TWELVE, rate, unit=unit, per_unit=per_unit, origin=origin)
    source = pickle.loads(pickle.dumps(written(tmp_path, document(series(sets)))))
    entry = only(source)
    assert (entry.ecg_id, entry.patient_id, entry.age, entry.sex) == ("a.xml", "0012", 60.0, "female")
    assert not entry.labels
    recording = source.read(entry)
    assert recording.leads == TWELVE
    assert recording.sampling_rate == pytest.approx(rate, rel=1e-9)  # ecgdatakit rounds it to whole Hz
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1.3e-3)  # half a step of 2.5 uV


def test_real_records_come_back_and_are_represented(data_root: Path, tmp_path: Path) -> None:
    ptbxl = PtbXl(data_root / "ptbxl")
    for entry in ptbxl.entries()[:5]:
        write_aecg(
            tmp_path / "2021" / f"{entry.ecg_id}.xml", ptbxl.read(entry).signal, TWELVE, identity=f"2.16.{entry.ecg_id}"
        )
    source = Aecg(tmp_path)
    for entry in source.entries():
        original = ptbxl.read(Entry(Path(entry.ecg_id).stem, "", 0.0, "", {}))
        np.testing.assert_allclose(source.read(entry).signal, original.signal, atol=1.01e-3)
    for representation in (MedianBeats(), RecordingWindow()):
        cache = prepare(source, tmp_path / "cache", representation=representation, processes=1)
        assert len(cache.examples) == 5


def test_the_vendors_beat_is_moved_to_the_fiducial(tmp_path: Path) -> None:
    beat = sequence_set(np.roll(BEAT, -15, axis=1), TWELVE)
    written(tmp_path, document(series(SETS, derived=derived_series(beat))))
    source = Aecg(tmp_path, beats="vendor")
    found = source.beat(only(source)).beat
    np.testing.assert_allclose(found[:, 20:580], BEAT[[0, 1, *range(6, 12)], 20:580], atol=2e-3)
    written(tmp_path, document(series(SETS)))
    with pytest.raises(MedianError, match=r"a\.xml: no median beat of the electrocardiograph; leave the ECG out"):
        source.beat(only(source))


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.xml: truncated, damaged"),
        ("not XML", "Malformed XML"),
        ("<RestingECG/>", "Missing AnnotatedECG root element"),
        (document(""), "No rhythm series"),
        (document(series("")), "No ECG lead sequence"),
        (document(series(SETS))[:-5000], "Malformed XML"),
        (document(series(SETS)).replace("?>\n", "?>" + BOMB, 1), "XML entity declarations are not allowed"),
        (document(series(SETS)).replace("?>\n", "?>" + OUTSIDE, 1), "XML entity declarations are not allowed"),
        (document(series(SETS) * 2), "2 rhythm series found; only the first is read; expected one"),
        (document(series(SETS * 2)), "2 sequence sets in the rhythm series; only the first is read"),
        (document(series(SETS)).replace('unit="s"', 'unit="h"'), "the sampling rate cannot be determined"),
        (document(series(SETS)).replace("<digits>", "<digits>x ", 1), "Invalid digits"),
    ],
)
def test_files_that_cannot_be_read_are_rejections(tmp_path: Path, text: str, message: str) -> None:
    entry = only(written(tmp_path, text))
    assert isinstance(entry, RejectedEntry)
    assert entry.kind == "unreadable"
    assert message in entry.reason


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ('scale value="2.5" unit="uV"', 'scale value="2.5" unit="mm[Hg]"', UnitError, "lead I: 2.5 of no unit a step"),
        ('scale value="2.5" unit="uV"', 'scale value="2,5" unit="uV"', UnitError, "lead I: 0 uV a step, expected a"),
        ('scale value="2.5" unit="uV"', 'scale value="2.5"', UnitError, "of no unit a step"),
        ("MDC_ECG_LEAD_V2", "MDC_ECG_LEAD_V1", UnreadableError, "leads are there twice"),
        ("MDC_ECG_LEAD_V2", "MDC_ECG_LEAD_V7", RecordingError, "lead V2 missing"),
        ("<digits>", "<digits>1 ", UnreadableError, "leads begin or end apart"),
        ("<digits>", "<digits>nan ", UnreadableError, "leads begin or end apart"),
        ('increment value="0.002"', 'increment value="0.02"', RecordingError, "sampling rate 50"),
        ('scale value="2.5" unit="uV"', 'scale value="250" unit="uV"', RecordingError, "more than 20 mV"),
    ],
)
def test_recordings_that_cannot_be_used(
    tmp_path: Path, old: str, new: str, error: type[RecordingError], message: str
) -> None:
    text = document(series(SETS))
    assert old in text
    source = written(tmp_path, text.replace(old, new, 1))
    with pytest.raises(error, match=message):
        source.beat(only(source))


def test_a_sample_that_is_no_number(tmp_path: Path) -> None:
    head, _, rest = document(series(SETS)).partition("<digits>")
    source = written(tmp_path, f"{head}<digits>nan {rest.split(' ', 1)[1]}")
    with pytest.raises(RecordingError, match=r"not finite in lead I \(1\)"):
        source.beat(only(source))


@pytest.mark.parametrize(
    ("whole", "patient", "age", "sex"),
    [
        ({"born": "", "sex": "UN"}, "0012", math.nan, "unknown"),
        ({"born": "18500101", "sex": "M"}, "0012", 171.0, "male"),
        ({"patient": "?"}, "a.xml", 60.0, "female"),
    ],
)
def test_patients(tmp_path: Path, whole: dict[str, str], patient: str, age: float, sex: str) -> None:
    entry = only(written(tmp_path, document(series(SETS), **whole)))
    assert (entry.patient_id, entry.sex) == (patient, sex)
    assert entry.age == pytest.approx(age, nan_ok=True)  # prepare rejects what is no age


def test_copies_are_known_by_a_document_id_that_is_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_aecg(tmp_path / f"{name}.xml", SIGNAL, TWELVE)
    first, second = Aecg(tmp_path).entries()
    assert not isinstance(first, RejectedEntry)
    assert isinstance(second, RejectedEntry)
    assert "is the same ECG as a.xml" in second.reason
    for name in ("a", "b"):  # a hospital's own number, which all of its files share
        write_aecg(tmp_path / f"{name}.xml", SIGNAL, TWELVE, identity="2.16.840.1.113883.3")
    assert not any(isinstance(one, RejectedEntry) for one in Aecg(tmp_path).entries())


def test_labels_are_those_of_the_table(tmp_path: Path) -> None:
    write_aecg(tmp_path / "a.xml", SIGNAL, TWELVE, identity="1.2")
    write_aecg(tmp_path / "b.xml", SIGNAL, TWELVE, identity="1.2")
    (tmp_path / "labels.csv").write_text("file,atrial_fibrillation,age\na.xml,1,300\n")
    first, second = Aecg(tmp_path).entries()
    assert (dict(first.labels), first.age) == ({"atrial_fibrillation": 1.0}, 90.0)
    assert (dict(second.labels), second.age) == ({}, 60.0)
