"""SCP-ECG: round trips of real and simulated signals in every encoding, and files that are damaged or hostile."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from scp_files import encoded, leads, packed, patient, signals, write_ecg, write_scp
from synthetic_ecg import synthetic

from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.representations import MedianBeats, RecordingWindow
from ecg_lightning.data.sources import PtbXl, RecordingError, Scp
from ecg_lightning.data.sources.base import Entry, RejectedEntry
from ecg_lightning.data.sources.vendor_median import MedianError
from ecg_lightning.data.sources.wfdb_checks import ChecksumError, UnreadableError
from ecg_lightning.data.sources.wfdb_files import UnitError
from ecg_lightning.signal.beat import median_beat

EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
RECORDING = synthetic(61.0, seed=1).recording
SIGNAL = RECORDING.signal
MADE = median_beat(RECORDING)
STEPS = np.rint(SIGNAL * 1e6 / 2500).astype(np.int64)


def only(source: Scp) -> Entry:
    (entry,) = source.entries()
    return entry


@pytest.mark.parametrize("coding", ["plain", "default", "own"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_real_records_come_back(data_root: Path, tmp_path: Path, order: int, coding: str) -> None:
    ptbxl = PtbXl(data_root / "ptbxl")
    for entry in ptbxl.entries()[:2]:
        write_ecg(tmp_path / f"{entry.ecg_id}.scp", ptbxl.read(entry).signal, TWELVE, order=order, coding=coding)
    source = Scp(tmp_path)
    for entry in source.entries():
        original = ptbxl.read(Entry(entry.ecg_id.removesuffix(".scp"), "", 0.0, "", {}))
        found = source.read(entry)
        assert (found.leads, found.sampling_rate) == (TWELVE, 500.0)
        np.testing.assert_allclose(found.signal, original.signal, atol=1.01e-3)  # 2.5 uV a step, of 1 uV
    assert MedianBeats().of(source, entry).signal.shape == (8, 600)
    assert RecordingWindow().of(source, entry).signal.shape == (12, 1000)


def test_rate_and_patient(tmp_path: Path) -> None:
    write_ecg(tmp_path / "a.scp", SIGNAL, EIGHT, microseconds=2048, nanovolt=4880)
    source = Scp(tmp_path)
    entry = only(source)
    assert (entry.ecg_id, entry.patient_id, entry.age, entry.sex) == ("a.scp", "0012", 60.0, "female")
    assert source.read(entry).sampling_rate == 1e6 / 2048  # ecgdatakit rounds it to whole Hz
    np.testing.assert_allclose(source.read(entry).signal, SIGNAL, atol=2.45e-3)


@pytest.mark.parametrize(
    ("who", "identity", "age", "sex"),
    [
        (patient(age=None, sex=None), "0012", math.nan, "unknown"),
        (patient(age=None, born=(1961, 5, 10), sex=1), "0012", 60.0, "male"),
        (patient(identity=""), "a.scp", 60.0, "female"),
        (patient(age=300), "0012", 90.0, "female"),
    ],
)
def test_patients(tmp_path: Path, who: bytes, identity: str, age: float, sex: str) -> None:
    write_ecg(tmp_path / "a.scp", SIGNAL, EIGHT, who=who)
    entry = only(Scp(tmp_path))
    assert (entry.patient_id, entry.sex) == (identity, sex)
    assert entry.age == pytest.approx(age, nan_ok=True)


def write_subtracted(path: Path, *, bimodal: int = 0, samples: int = 600) -> None:
    """Section 5 holds the beat, section 6 what is left when it is taken from every beat."""
    beat = np.rint(MADE.beat[:, :samples] * 1e6 / 5000).astype(np.int64)  # 5 uV a step
    rest = STEPS.copy()
    zones = []
    for fiducial in np.rint(MADE.fiducials).astype(int):
        start, end = fiducial - 60, fiducial + 80
        rest[:, start:end] -= 2 * beat[:, 180:320]
        zones.append((0, start + 1, fiducial + 1, end))  # samples are counted from 1
    of_section_4 = struct.pack("<HHH", samples * 2, 241, len(zones))
    of_section_4 += b"".join(struct.pack("<HIII", *zone) for zone in zones)
    of_section_4 += b"".join(struct.pack("<II", start, end) for _, start, _, end in zones)
    tables, coded = encoded(rest, 2, "default")
    _, coded_beat = encoded(beat, 1, "default")
    write_scp(
        path,
        {
            **{1: patient(), **tables, 3: leads(EIGHT, STEPS.shape[1], 0x05), 4: of_section_4},
            5: signals(coded_beat, 5000, 2000, 1),
            6: signals(coded, 2500, 2000, 2, bimodal),
        },
    )


def test_beats_that_were_subtracted_are_added_again_and_are_the_vendors(tmp_path: Path) -> None:
    write_subtracted(tmp_path / "a.scp")
    source = Scp(tmp_path)
    np.testing.assert_allclose(source.read(only(source)).signal, STEPS * 2.5e-3, atol=1e-12)
    vendor = Scp(tmp_path, beats="vendor")
    np.testing.assert_allclose(vendor.beat(only(vendor)).beat, MADE.beat, atol=2.51e-3)


def test_a_reference_beat_of_another_length_is_a_rejection(tmp_path: Path) -> None:
    write_subtracted(tmp_path / "a.scp", samples=500)
    vendor = Scp(tmp_path, beats="vendor")
    with pytest.raises(MedianError, match=r"500 samples at 500 Hz, expected 1\.2 s"):
        vendor.beat(only(vendor))


def test_bimodal_compression_is_refused(tmp_path: Path) -> None:
    write_subtracted(tmp_path / "a.scp", bimodal=1)
    source = Scp(tmp_path)
    assert source.read(only(source)).signal.shape == SIGNAL.shape  # the flag, but all samples are there
    content = {1: patient(), 2: struct.pack("<H", 19999), 3: leads(EIGHT, 5000)}
    write_scp(tmp_path / "a.scp", {**content, 6: signals([packed("0" * 5000)] * 8, 2500, 2000, 2, bimodal=1)})
    with pytest.raises(UnreadableError, match=r"bimodal compression .* is not supported"):
        source.read(only(source))


PLAIN = [row.astype("<i2").tobytes() for row in STEPS]


@pytest.mark.parametrize(
    ("sections", "error", "message"),
    [
        ({6: signals(PLAIN, 0, 2000, 0)}, UnitError, "lead I: 0 of no unit a step"),
        ({6: signals(PLAIN, 2500, 0, 0)}, UnreadableError, "sample interval is 0"),
        ({6: signals(PLAIN, 2500, 20000, 0)}, RecordingError, "sampling rate 50"),
        ({6: signals(PLAIN, 2500, 2000, 7)}, UnreadableError, "unknown difference encoding 7"),
        ({6: signals([one[:100] for one in PLAIN], 2500, 2000, 0)}, UnreadableError, "holds 50 samples, expected 5000"),
        ({6: b"\0" * 4}, UnreadableError, "Section 6 is too short"),
        ({3: leads(EIGHT, 4_000_000_000)}, UnreadableError, "expected 4000000000"),
        ({2: struct.pack("<H", 19999), 3: leads(EIGHT, 4_000_000_000)}, UnreadableError, "a.scp: truncated, damaged"),
        ({3: leads(EIGHT, 5000, starts=[1, 1, 1, 1, 1, 1, 1, 40])}, UnreadableError, r"begin or end apart \(V6\)"),
        ({3: leads(("I", "II", "V1", "V1", *EIGHT[4:]), 5000)}, UnreadableError, "there twice"),
        ({3: leads(("I", "II", "III", "aVR", *EIGHT[4:]), 5000)}, RecordingError, "lead V1, V2 missing"),
        ({6: signals([row.astype("<i2").tobytes() for row in STEPS * 30], 2500, 2000, 0)}, RecordingError, "20 mV"),
    ],
)
def test_recordings_that_cannot_be_used(
    tmp_path: Path, sections: dict[int, bytes], error: type[RecordingError], message: str
) -> None:
    usual = {1: patient(), 3: leads(EIGHT, 5000), 6: signals(PLAIN, 2500, 2000, 0)}
    write_scp(tmp_path / "a.scp", usual | sections)
    source = Scp(tmp_path)
    with pytest.raises(error, match=message):
        source.beat(only(source))


def test_every_truncation_is_a_rejection(tmp_path: Path) -> None:
    write_ecg(tmp_path / "a.scp", SIGNAL, EIGHT)
    content = (tmp_path / "a.scp").read_bytes()
    for length in [*range(0, 500, 5), *range(500, len(content), 997)]:
        (tmp_path / "a.scp").write_bytes(content[:length])
        entry = only(Scp(tmp_path))
        assert isinstance(entry, RejectedEntry), length
        assert entry.kind == "unreadable"


def test_damaged_bytes_never_end_in_a_traceback_or_in_an_ecg(tmp_path: Path) -> None:
    write_ecg(tmp_path / "a.scp", SIGNAL[:, :1500], EIGHT)
    content = (tmp_path / "a.scp").read_bytes()
    random = np.random.default_rng(0)
    kinds = set()
    for _ in range(150):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), size=3):
            damaged[place] ^= 1 << int(random.integers(0, 8))
        (tmp_path / "a.scp").write_bytes(damaged)
        entry = only(Scp(tmp_path))
        assert isinstance(entry, RejectedEntry)  # the checksums see every one of these
        kinds.add(entry.kind)
        trusting = Scp(tmp_path, check_crc=False)
        try:
            trusting.read(only(trusting))
        except RecordingError:
            continue
    assert kinds == {"unreadable", "checksum"}


def test_checksums_are_compared_unless_told_otherwise(tmp_path: Path) -> None:
    write_ecg(tmp_path / "a.scp", SIGNAL, EIGHT, coding="plain", order=0)
    content = bytearray((tmp_path / "a.scp").read_bytes())
    content[-1000] ^= 1
    (tmp_path / "a.scp").write_bytes(content)
    entry = only(Scp(tmp_path))
    assert isinstance(entry, RejectedEntry)
    assert entry.kind == ChecksumError.kind
    assert "CRC mismatch in: record, Section 6: the file was altered" in entry.reason
    trusting = Scp(tmp_path, check_crc=False)
    assert trusting.read(only(trusting)).signal.shape == SIGNAL.shape
    assert trusting.settings() != Scp(tmp_path).settings()


def test_archives_are_prepared_with_labels_of_the_table(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_ecg(tmp_path / f"2021/{name}.SCP", SIGNAL, EIGHT)
    (tmp_path / "c.scp").write_bytes(b"no SCP")
    (tmp_path / "labels.csv").write_text("file,atrial_fibrillation,pulse\n2021/a.SCP,1,61\n2021/b.SCP,,\n")
    source = Scp(tmp_path, targets={"pulse": {"kind": "regression", "unit": "bpm"}})
    cache = prepare(source, tmp_path / "cache", processes=2)
    assert cache.examples["ecg_id"].tolist() == ["2021/a.SCP", "2021/b.SCP"]
    assert cache.examples["atrial_fibrillation"].tolist()[0] == 1
    assert cache.examples["atrial_fibrillation"].isna().tolist() == [False, True]  # missing, and not negative
    assert cache.examples["pulse"].tolist()[0] == 61.0
    assert cache.info["counts"]["by_kind"] == {"unreadable": 1}
