"""DICOM ECGs: round trips of real and simulated signals, and files that are damaged, hostile or something else."""

import math
import pickle
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from dicom_files import code, group, write_dicom
from numpy.typing import NDArray
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
from synthetic_ecg import synthetic, twelve_leads

from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.representations import MedianBeats, RecordingWindow
from ecg_lightning.data.sources import Dicom, PtbXl, RecordingError
from ecg_lightning.data.sources import ecg_files as ecg_files_module
from ecg_lightning.data.sources.base import Entry, RejectedEntry
from ecg_lightning.data.sources.entry_checks import checked_entries
from ecg_lightning.data.sources.vendor_median import MedianError
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.data.sources.wfdb_files import UnitError
from ecg_lightning.signal.beat import median_beat

TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SIGNAL = twelve_leads(synthetic(61.0, seed=1).recording.signal)
BEAT = twelve_leads(median_beat(synthetic(61.0, seed=1).recording).beat)


def rhythm(signal: NDArray[np.floating] = SIGNAL, rate: float = 500.0) -> Dataset:
    return group(signal, TWELVE, rate)


def only(source: Dicom) -> Entry:
    (entry,) = source.entries()
    return entry


@pytest.mark.parametrize("scheme", ["SCPECG", "MDC"])
@pytest.mark.parametrize(
    ("unit", "per_unit", "baseline", "correction"),
    [("uV", 1e3, 0.0, 1.0), ("mV", 1.0, 0.25, 2.0), ("uV", 1e3, -500.0, 0.5)],
)
def test_signals_come_back_in_millivolts(
    tmp_path: Path, scheme: str, unit: str, per_unit: float, baseline: float, correction: float
) -> None:
    given = group(
        *(SIGNAL, TWELVE, 500.0),
        scheme=scheme,
        unit=unit,
        per_unit=per_unit,
        baseline=baseline,
        correction=correction,
    )
    write_dicom(tmp_path / "2021/05/a.dcm", [given])
    source = pickle.loads(pickle.dumps(Dicom(tmp_path)))
    entry = only(source)
    assert (entry.ecg_id, entry.patient_id, entry.age, entry.sex) == ("2021/05/a.dcm", "0012", 60.0, "female")
    assert not entry.labels  # nobody labelled it: missing, not negative
    recording = source.read(entry)
    assert (recording.leads, recording.sampling_rate) == (TWELVE, 500.0)
    np.testing.assert_allclose(recording.signal, SIGNAL, atol=1e-3)
    assert RecordingWindow().of(source, entry).signal.shape == (12, 1000)
    np.testing.assert_allclose(source.beat(entry).beat, median_beat(synthetic(61.0, seed=1).recording).beat, atol=0.02)


def test_the_vendors_own_file() -> None:
    path = get_testdata_file("waveform_ecg.dcm", download=False)
    if path is None:
        pytest.skip("this version of pydicom does not ship waveform_ecg.dcm")
    root = Path(str(path)).parent
    own, vendor = Dicom(root), Dicom(root, beats="vendor")
    own._sizes = vendor._sizes = {"waveform_ecg.dcm": Path(str(path)).stat().st_size}  # of the folder's many images
    entry = only(own)
    assert (entry.patient_id, entry.age, entry.sex) == ("642341", 42.0, "female")
    ours, theirs = MedianBeats().of(own, entry), MedianBeats().of(vendor, entry)
    correlations = [np.corrcoef(one, two)[0, 1] for one, two in zip(ours.signal, theirs.signal, strict=True)]
    assert min(correlations) > 0.99  # at the same place, though theirs is 18 ms later in the file
    assert theirs.heart_rate == pytest.approx(60_000 / 982)
    assert ours.heart_rate == pytest.approx(theirs.heart_rate, abs=0.2)


def test_real_records_come_back(data_root: Path, tmp_path: Path) -> None:
    ptbxl = PtbXl(data_root / "ptbxl")
    for entry in ptbxl.entries()[:5]:
        write_dicom(tmp_path / f"{entry.ecg_id}.dcm", [rhythm(ptbxl.read(entry).signal)], PatientID=entry.patient_id)
    source = Dicom(tmp_path)
    for entry in source.entries():
        original = ptbxl.read(Entry(entry.ecg_id.removesuffix(".dcm"), "", 0.0, "", {}))
        np.testing.assert_allclose(source.read(entry).signal, original.signal, atol=6.3e-4)  # half a step of 1.25 uV
        assert MedianBeats().of(source, entry).signal.shape == (8, 600)


@pytest.mark.parametrize("label", ["MEDIAN BEAT", "TEMPLATE", "AVERAGE BEAT", ""])
def test_the_vendors_median_beat_is_told_from_the_rhythm(tmp_path: Path, label: str) -> None:
    median = group(np.roll(BEAT, 12, axis=1), TWELVE, 500.0, label or "x")
    median.MultiplexGroupLabel = label
    write_dicom(tmp_path / "a.dcm", [median, rhythm()], WaveformAnnotationSequence=[_rr(982)])
    vendor = Dicom(tmp_path, beats="vendor")
    beat = vendor.beat(only(vendor))
    np.testing.assert_allclose(beat.beat[:, 20:580], BEAT[[0, 1, *range(6, 12)], 20:580], atol=1e-3)
    assert beat.heart_rate == pytest.approx(61.1, abs=0.01)
    assert vendor.read(only(vendor)).signal.shape == SIGNAL.shape
    with pytest.raises(ValueError, match="blank needs `beats: own`"):
        vendor.beat(only(vendor), "blank")


def _rr(milliseconds: float) -> Dataset:
    note = Dataset()
    note.ConceptNameCodeSequence = [code("5.10.2.1-3", "SCPECG", "RR Interval")]
    note.MeasurementUnitsCodeSequence = [code("ms", "UCUM", "millisecond")]
    note.NumericValue = milliseconds
    return note


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([rhythm()], "no median beat of the electrocardiograph"),
        ([rhythm(), group(BEAT[:, :500], TWELVE, 500.0, "MEDIAN BEAT")], r"500 samples at 500 Hz, expected 1\.2 s"),
        ([rhythm(), group(np.roll(BEAT, 200, axis=1), TWELVE, 500.0, "MEDIAN BEAT")], "steepest at 0.9"),
        ([rhythm(), group(SIGNAL[:, 552:1152], TWELVE, 500.0, "MEDIAN BEAT")], "is the Rhythm from 1.104 s on"),
    ],
)
def test_a_median_beat_that_does_not_fit(tmp_path: Path, groups: list[Dataset], message: str) -> None:
    write_dicom(tmp_path / "a.dcm", groups)
    source = Dicom(tmp_path, beats="vendor")
    with pytest.raises(MedianError, match=message):
        source.beat(only(source))


def changed(**elements: object) -> Dataset:
    item = rhythm()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def channel_changed(**elements: object) -> Dataset:
    item = rhythm()
    for keyword, value in elements.items():
        setattr(item.ChannelDefinitionSequence[7], keyword, value)
    return item


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ([], UnreadableError, "no rhythm"),
        ([group(BEAT, TWELVE, 500.0, "MEDIAN BEAT")], UnreadableError, "no rhythm"),
        ([rhythm(), rhythm()], UnreadableError, "2 multiplex groups may be the rhythm"),
        ([rhythm(), *(group(BEAT, TWELVE, 500.0, "MEDIAN"),) * 2], UnreadableError, "2 .* may be the median beat"),
        ([changed(NumberOfWaveformSamples=5001)], UnreadableError, "ValueError: cannot reshape"),
        ([changed(NumberOfWaveformSamples=2**31)], UnreadableError, "a.dcm: truncated, damaged"),
        ([changed(NumberOfWaveformChannels=6)], UnreadableError, "6 channels, of which 12 are described"),
        ([changed(WaveformSampleInterpretation="AB")], UnreadableError, "samples are AB, expected whole numbers"),
        ([changed(ChannelDefinitionSequence=[])], UnreadableError, "12 channels, of which 0 are described"),
        ([changed(SamplingFrequency="0")], RecordingError, "sampling rate 0"),
        ([changed(SamplingFrequency="50")], RecordingError, "sampling rate 50"),
        ([channel_changed(ChannelSensitivity=None)], UnitError, "lead V2: sensitivity nan x 1"),
        ([channel_changed(ChannelSensitivity="0")], UnitError, "lead V2: sensitivity 0 x 1"),
        ([channel_changed(ChannelSensitivityUnitsSequence=[])], UnitError, "lead V2: unit not said"),
        ([channel_changed(ChannelSensitivityUnitsSequence=[code("mm[Hg]", "UCUM", "")])], UnitError, "unit mm"),
        ([channel_changed(ChannelSampleSkew="4")], UnreadableError, "V2 is 4 samples away from the others"),
        ([channel_changed(ChannelSourceSequence=[code("2:5", "MDC", "Lead V2")])], RecordingError, "lead V2 missing"),
        ([channel_changed(ChannelSourceSequence=[code("2:3", "MDC", "V1")])], RecordingError, "V1 is there twice"),
        ([channel_changed(ChannelSourceSequence=[code("2:99", "MDC", "V7")])], RecordingError, "lead V2 missing"),
        ([changed(WaveformPaddingValue=rhythm().WaveformData[:2])], RecordingError, "not finite in lead"),
        ([group(SIGNAL[:, :1000], TWELVE, 500.0)], RecordingError, "2.00 s long"),
        ([group(1000 * SIGNAL / 50, TWELVE, 500.0)], RecordingError, "more than 20 mV"),
    ],
)
def test_recordings_that_cannot_be_used(
    tmp_path: Path, groups: list[Dataset], error: type[RecordingError], message: str
) -> None:
    write_dicom(tmp_path / "a.dcm", groups)
    source = Dicom(tmp_path)
    with pytest.raises(error, match=message):
        source.beat(only(source))


def test_a_strip_of_fewer_leads_beside_the_twelve_is_no_second_rhythm(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", [group(SIGNAL[1:2], ("II",), 500.0), rhythm()])
    source = Dicom(tmp_path)
    assert source.read(only(source)).leads == TWELVE


def test_rates_and_lead_sets_may_be_mixed_in_one_folder(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", [rhythm()])
    fast = twelve_leads(synthetic(61.0, rate=1000.0).recording.signal)
    write_dicom(tmp_path / "b.dcm", [rhythm(fast, 1000.0)])
    write_dicom(tmp_path / "c.dcm", [group(SIGNAL[[0, 1, *range(6, 12)]], (*TWELVE[:2], *TWELVE[6:]), 500.0)])
    write_dicom(tmp_path / "d.dcm", [group(SIGNAL[:6], TWELVE[:6], 500.0)])
    source = Dicom(tmp_path)
    for representation in (MedianBeats(), RecordingWindow()):
        cache = prepare(source, tmp_path / "cache", representation=representation, processes=1)
        assert cache.examples["ecg_id"].tolist() == ["a.dcm", "b.dcm", "c.dcm"]
        assert cache.info["counts"]["by_kind"] == {"missing_lead": 1}


def rejected(root: Path) -> tuple[str, str]:
    entry = only(Dicom(root))
    assert isinstance(entry, RejectedEntry)
    return entry.kind, entry.reason


def test_every_truncation_is_a_rejection(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", [rhythm(SIGNAL[:, :2000])])
    content = (tmp_path / "a.dcm").read_bytes()
    unusable = 0
    for length in [*range(0, 1400, 7), *range(1400, len(content), 4001)]:
        (tmp_path / "a.dcm").write_bytes(content[:length])
        source = Dicom(tmp_path)
        entry = only(source)
        try:
            source.read(entry)
        except RecordingError:
            unusable += 1
            continue
        raise AssertionError(f"{length} of {len(content)} bytes were read as a whole ECG")
    assert unusable > 200


def test_damaged_bytes_never_end_in_a_traceback(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", [rhythm(SIGNAL[:, :1500])])
    content = (tmp_path / "a.dcm").read_bytes()
    random = np.random.default_rng(0)
    read = 0
    for _ in range(200):
        damaged = bytearray(content)
        for place in random.integers(0, 4000, size=8):
            damaged[place] = random.integers(0, 256)
        (tmp_path / "a.dcm").write_bytes(damaged)
        source = Dicom(tmp_path)
        try:
            source.read(only(source))
            read += 1
        except RecordingError:
            continue
    assert 0 < read < 200


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_deflated_and_big_endian_files_are_refused_unread(tmp_path: Path, syntax: str) -> None:
    write_dicom(tmp_path / "a.dcm", [rhythm()], TransferSyntaxUID=syntax, EncapsulatedDocument=bytes(8 << 20))
    kind, reason = rejected(tmp_path)
    assert kind == "unreadable"
    assert f"transfer syntax {syntax}, expected little-endian and not deflated" in reason


def test_what_is_no_ecg_is_rejected_and_what_is_no_dicom_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("not DICOM")
    (tmp_path / "notes.txt").write_text("not DICOM")
    write_dicom(tmp_path / "IM0001", [rhythm()], SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    assert "SOP class 1.2.840.10008.5.1.4.1.1.2, expected 12-lead ECG" in rejected(tmp_path)[1]
    (tmp_path / "IM0001").unlink()
    with pytest.raises(FileNotFoundError, match=r"no \.dcm or \.dicom file in or below it; give a folder"):
        Dicom(tmp_path).entries()
    (tmp_path / "x.dcm").write_text("not DICOM")
    assert "x.dcm" in rejected(tmp_path)[1]
    (tmp_path / "x.dcm").unlink()
    (tmp_path / "x.dcm").symlink_to(tmp_path / "nowhere")
    assert "No such file" in rejected(tmp_path)[1]


def test_a_file_that_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.dcm").open("wb") as file:
        file.truncate(65 << 20)
    assert "65 MB, expected under 64 MB" in rejected(tmp_path)[1]


@pytest.mark.parametrize(
    ("elements", "age"),
    [
        ({"PatientAge": "006M"}, 0.5),
        ({"PatientAge": None}, math.nan),
        ({"PatientAge": None, "PatientBirthDate": "19610510"}, 60.0),
        (
            {"PatientAge": "", "PatientBirthDate": "19610510", "AcquisitionDateTime": None, "StudyDate": "20210510"},
            60.0,
        ),
        ({"PatientAge": "300Y"}, 90.0),  # PTB-XL's age over 89, which is hidden so
    ],
)
def test_ages(tmp_path: Path, elements: dict[str, str | None], age: float) -> None:
    write_dicom(tmp_path / "a.dcm", [rhythm()], **elements)
    assert only(Dicom(tmp_path)).age == pytest.approx(age, abs=0.01, nan_ok=True)


def table(root: Path, text: str) -> None:
    (root / "labels.csv").write_text(text)


def test_labels_are_those_of_the_table(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_dicom(tmp_path / f"{name}.dcm", [rhythm()], PatientID=name, PatientSex="O")
    table(
        tmp_path,
        "file,sinus_rhythm,ejection_fraction,fold,age,sex,patient_id\na.dcm,1,55.5,3,,,\nb.dcm,0,,,300,f,P7\n",
    )
    source = Dicom(tmp_path, targets={"ejection_fraction": {"kind": "regression", "unit": "%", "low": 5, "high": 90}})
    first, second, third = checked_entries(source)
    assert (dict(first.labels), first.fold, first.age) == ({"sinus_rhythm": 1.0, "ejection_fraction": 55.5}, 3, 60.0)
    assert (dict(second.labels), second.age) == ({"sinus_rhythm": 0.0}, 90.0)
    assert (second.sex, second.patient_id, first.sex, first.patient_id) == ("female", "P7", "unknown", "a")
    assert not third.labels
    assert source.settings() != Dicom(tmp_path).settings()


def test_lines_that_do_not_fit_are_rejections(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_dicom(tmp_path / f"{name}.dcm", [rhythm()])
    targets = {"ejection_fraction": {"kind": "regression", "unit": "%", "low": 5, "high": 90}}
    table(
        tmp_path,
        "file,ejection_fraction\na.dcm,many\nb.dcm,\nb.dcm,40\nc.dcm,95\nd.dcm,50\ne.dcm\n",
    )
    entries = Dicom(tmp_path, targets=targets).entries()
    reasons = [one.reason for one in entries if isinstance(one, RejectedEntry)]
    expected = [
        "labels.csv, line 2: ejection_fraction is 'many', expected a number of % from 5 to 90",
        "labels.csv: lines 3 and 4 are both of the file b.dcm; keep one of them",
        "labels.csv, line 5: ejection_fraction is '95', expected",
        "labels.csv, line 6: no file",
        "labels.csv, line 7: expected 2 cells, got 1",
    ]
    assert len(reasons) == len(entries) == 5
    for reason, words in zip(reasons, expected, strict=True):
        assert words in reason
    table(tmp_path, "path,ejection_fraction\n")
    with pytest.raises(ValueError, match=r"labels.csv: column file missing; expected a line an ECG"):
        Dicom(tmp_path).entries()
    table(tmp_path, "file\n")
    with pytest.raises(ValueError, match="column ejection_fraction missing"):
        Dicom(tmp_path, targets=targets).entries()
    with pytest.raises(FileNotFoundError, match=r"other.csv: no such file"):
        Dicom(tmp_path, labels=str(tmp_path / "other.csv")).entries()


def test_a_copy_of_an_ecg_is_a_rejection(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", [rhythm()], SOPInstanceUID="1.2.3")
    write_dicom(tmp_path / "b.dcm", [rhythm()], SOPInstanceUID="1.2.3")
    first, second = Dicom(tmp_path).entries()
    assert not isinstance(first, RejectedEntry)
    assert isinstance(second, RejectedEntry)
    assert "is the same ECG as a.dcm (id 1.2.3)" in second.reason


def test_an_ecg_without_a_patient_is_a_patient_of_its_own(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", [rhythm()], PatientID="")
    assert only(Dicom(tmp_path)).patient_id == "a.dcm"


def test_the_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dicom(tmp_path / "a.dcm", [rhythm()])
    monkeypatch.setattr(ecg_files_module, "find_spec", lambda name: None if name == "pydicom" else find_spec(name))
    with pytest.raises(ModuleNotFoundError, match=r"dicom needs pydicom: pip install 'ecg-lightning\[sources\]'"):
        Dicom(tmp_path).entries()


def test_other_beats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="beats must be one of own, vendor, got 'median'"):
        Dicom(tmp_path, beats="median")  # type: ignore[arg-type]


def test_a_changed_file_changes_the_cache(tmp_path: Path) -> None:
    write_dicom(tmp_path / "a.dcm", [rhythm()])
    before: Callable[[], object] = lambda: Dicom(tmp_path).settings()["files_blake2b"]  # noqa: E731
    first = before()
    write_dicom(tmp_path / "b.dcm", [rhythm()])
    assert before() != first
