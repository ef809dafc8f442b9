"""Signals that contradict the checksums of their WFDB header are rejected."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st
from synthetic_ecg import TWELVE_LEADS, synthetic, twelve_leads, write_challenge

from ecg_lightning.data.sources import Cinc, Entry, Ludb, PtbXl, RecordingError, Source
from ecg_lightning.data.sources.wfdb_checks import ChecksumError, check_sums
from ecg_lightning.data.sources.wfdb_files import read_wfdb

STEPS = np.rint(1000 * twelve_leads(synthetic(61.0, seconds=6.0).recording.signal)).astype(np.int64).T
READERS: dict[str, Callable[[Path], object]] = {
    "mat": lambda folder: Cinc(folder).read(Entry("r", "r", 50.0, "male", {})),
    "dat": lambda folder: read_wfdb(folder / "r"),
}


def write(folder: Path, kind: str) -> Path:
    """A record of either kind; returns its header."""
    if kind == "mat":
        write_challenge(folder / "r")
    else:
        wfdb.wrsamp(
            "r",
            fs=500,
            units=["mV"] * 12,
            sig_name=list(TWELVE_LEADS),
            d_signal=STEPS,
            fmt=["16"] * 12,
            adc_gain=[1000.0] * 12,
            baseline=[0] * 12,
            write_dir=str(folder),
        )
    return folder / "r.hea"


def edit_line(header: Path, number: int, change: Callable[[list[str]], list[str]]) -> None:
    lines = header.read_text().splitlines()
    lines[number] = " ".join(change(lines[number].split(" ")))
    header.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("kind", READERS)
def test_a_genuine_record_agrees(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    READERS[kind](tmp_path)


@pytest.mark.parametrize("kind", READERS)
def test_swapped_lines_are_noticed(tmp_path: Path, kind: str) -> None:
    header = write(tmp_path, kind)
    lines = header.read_text().splitlines()
    lines[2], lines[8] = lines[8], lines[2]
    header.write_text("\n".join(lines) + "\n")
    with pytest.raises(ChecksumError, match=r"r\.hea: lead V2 has the checksum -?\d+, its line says -?\d+"):
        READERS[kind](tmp_path)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("seed", range(5))
def test_a_changed_sample_is_noticed(tmp_path: Path, kind: str, seed: int) -> None:
    write(tmp_path, kind)
    path = tmp_path / f"r.{kind}"
    content = bytearray(path.read_bytes())
    content[random.Random(seed).randrange(200, len(content))] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(ChecksumError, match="download both again"):
        READERS[kind](tmp_path)


@pytest.mark.parametrize("kind", READERS)
def test_signals_of_another_record_are_noticed(tmp_path: Path, kind: str) -> None:
    write(tmp_path, kind)
    other = tmp_path / "other"
    other.mkdir()
    write_challenge(other / "r", signal=twelve_leads(synthetic(80.0, seconds=6.0).recording.signal))
    if kind == "mat":
        (other / "r.mat").replace(tmp_path / "r.mat")
    else:
        (tmp_path / "r.dat").write_bytes((STEPS[::-1] + 1).astype("<i2").tobytes())
    with pytest.raises(ChecksumError):
        READERS[kind](tmp_path)


@pytest.mark.parametrize("word", ["-", "x", "nan"])
def test_a_header_without_checksums_is_accepted(tmp_path: Path, word: str) -> None:
    header = write(tmp_path, "mat")
    for number in range(1, 13):
        edit_line(header, number, lambda fields: [*fields[:6], word, *fields[7:]])
    READERS["mat"](tmp_path)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20))
def test_checksums_are_signed_sums_of_sixteen_bits(samples: list[int]) -> None:
    steps = np.array(samples, dtype=np.int64)[:, None]
    right = int(np.array(sum(samples) & 0xFFFF, dtype=np.uint16).astype(np.int16))
    for said in (right, right & 0xFFFF, None):  # signed, as header(5) has it, or not, as some writers do
        check_sums(steps, [said], ["I"], Path("x.hea"))
    with pytest.raises(ChecksumError, match=rf"has the checksum {right}, its line says {right ^ 1}:"):
        check_sums(steps, [right ^ 1], ["I"], Path("x.hea"))


@pytest.mark.parametrize(
    ("source", "folder", "count"), [(PtbXl, "ptbxl", 300), (Ludb, "ludb", 100), (Cinc, "cinc2021", 74)]
)
def test_all_genuine_records_agree(data_root: Path, source: type[Source], folder: str, count: int) -> None:
    archive = source(data_root / folder)  # type: ignore[call-arg]
    refused = []
    for entry in archive.entries():
        try:
            archive.read(entry)
        except RecordingError as error:
            refused.append(str(error))
    assert refused == []
    assert len(archive.entries()) >= count
