"""Writes ECGs as SCP-ECG files (EN 1064): sections 0 to 6, by the standard and not by any reader."""

import binascii
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CODES = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64} | {f"V{k}": k + 2 for k in range(1, 7)}
DEFAULT = 19999
Lead = NDArray[np.int64]


def section(number: int, body: bytes, version: int = 20) -> bytes:
    """A section with its header of 16 bytes; an even number of bytes, as the standard wants."""
    body += b"\0" * (len(body) % 2)
    content = struct.pack("<HIBB6x", number, len(body) + 16, version, version) + body
    return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content


def write_scp(path: Path, sections: Mapping[int, bytes]) -> None:
    """Write a file of these bodies; section 0 points to them."""
    made = {number: section(number, body) for number, body in sections.items()}
    table = 16 + 10 * 12
    at, pointers = 6 + table, [struct.pack("<HII", 0, table, 7)]
    for number in range(1, 12):
        size = len(made.get(number, b""))
        pointers.append(struct.pack("<HII", number, size, at + 1 if size else 0))
        at += size
    first = struct.pack("<HIBB", 0, table, 20, 20) + b"SCPECG" + b"".join(pointers)
    whole = struct.pack("<H", binascii.crc_hqx(first, 0xFFFF)) + first + b"".join(made[k] for k in sorted(made))
    content = struct.pack("<I", len(whole) + 6) + whole
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content)


def patient(
    identity: str = "0012", age: int | None = 60, sex: int | None = 2, born: tuple[int, int, int] | None = None
) -> bytes:
    """Section 1: tags of one byte, a length and a value."""
    tags = [(2, identity.encode() + b"\0")]
    tags += [(4, struct.pack("<HB", age, 1))] if age is not None else []
    tags += [(5, struct.pack("<HBB", *born))] if born else []
    tags += [(8, bytes([sex]))] if sex is not None else []
    tags += [(14, bytes(36) + b"\0" * 5), (25, struct.pack("<HBB", 2021, 5, 10)), (26, bytes([13, 15, 18])), (255, b"")]
    return b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tags)


def leads(names: Sequence[str], samples: int, flags: int = 0x04, starts: Sequence[int] | None = None) -> bytes:
    """Section 3: first and last sample and code of each lead; flag 1: beats are subtracted, 4: all at once."""
    first = starts or [1] * len(names)
    return bytes([len(names), flags | len(names) << 3]) + b"".join(
        struct.pack("<IIB", one, one + samples - 1, CODES[name]) for one, name in zip(first, names, strict=True)
    )


def differences(lead: Lead, order: int) -> Lead:
    """The first ``order`` samples, and differences of that order."""
    return np.concatenate([lead[:order], np.diff(lead, order)])


def default_bits(value: int) -> str:
    """The standard's default Huffman code of a value."""
    if value == 0:
        return "0"
    if abs(value) <= 8:
        return "1" * abs(value) + "0" + ("0" if value > 0 else "1")
    if -128 <= value <= 127:
        return "1111111110" + f"{value & 0xFF:08b}"
    return "1111111111" + f"{value & 0xFFFF:016b}"


def own_table() -> tuple[bytes, Mapping[int, str]]:
    """Section 2 with a table of its own: values -2 to 2, and 16 bits behind an escape."""
    codes = {0: "0", 1: "10", -1: "110", 2: "1110", -2: "11110"}
    lines = [(len(bits), len(bits), 1, value, bits) for value, bits in codes.items()] + [(5, 21, 1, 0, "11111")]
    body = struct.pack("<HH", 1, len(lines)) + b"".join(
        struct.pack("<BBBhI", prefix, total, mode, value, int(bits[::-1], 2))
        for prefix, total, mode, value, bits in lines
    )
    return body, codes


def own_bits(value: int, codes: Mapping[int, str]) -> str:
    return codes.get(value, "11111" + f"{value & 0xFFFF:016b}")


def packed(bits: str) -> bytes:
    bits += "0" * (-len(bits) % 16)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def signals(data: Sequence[bytes], nanovolt: int, microseconds: int, order: int, bimodal: int = 0) -> bytes:
    """Sections 5 and 6."""
    sizes = struct.pack(f"<{len(data)}H", *map(len, data))
    return struct.pack("<HHBB", nanovolt, microseconds, order, bimodal) + sizes + b"".join(data)


def encoded(steps: NDArray[np.int64], order: int, coding: str) -> tuple[dict[int, bytes], list[bytes]]:
    """Section 2, if any, and each lead's data: ``plain``, ``default`` Huffman, or with a table of its ``own``."""
    coded = [differences(lead, order) for lead in steps]
    if coding == "plain":
        return {}, [lead.astype("<i2").tobytes() for lead in coded]
    if coding == "default":
        return {2: struct.pack("<H", DEFAULT)}, [packed("".join(map(default_bits, lead.tolist()))) for lead in coded]
    body, codes = own_table()
    return {2: body}, [packed("".join(own_bits(value, codes) for value in lead.tolist())) for lead in coded]


def write_ecg(
    path: Path,
    millivolts: NDArray[np.floating],
    names: Sequence[str],
    *,
    order: int = 2,
    coding: str = "default",
    nanovolt: int = 2500,
    microseconds: int = 2000,
    who: bytes | None = None,
) -> None:
    """Write (lead, sample) mV."""
    steps = np.rint(millivolts * 1e6 / nanovolt).astype(np.int64)
    tables, data = encoded(steps, order, coding)
    write_scp(
        path,
        {
            1: patient() if who is None else who,
            **tables,
            3: leads(names, steps.shape[1]),
            6: signals(data, nanovolt, microseconds, order),
        },
    )
