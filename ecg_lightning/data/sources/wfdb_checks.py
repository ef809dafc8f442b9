"""This module checks what a WFDB header promises of its signals: where their files lie, and what they add up to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from numpy.typing import NDArray

from ecg_lightning.data.sources.base import RecordingError
from ecg_lightning.data.sources.files import named_file

_CHECKSUM_RANGE: Final = 1 << 16


class UnreadableError(RecordingError):
    """The file is missing, truncated, or not what its name says."""

    kind: ClassVar[str] = "unreadable"


class ChecksumError(RecordingError):
    """A signal is not the one that its header was written for."""

    kind: ClassVar[str] = "checksum"


def check_names(text: str, header: Path) -> None:
    """Refuse a header that names files outside of its folder, before wfdb opens them.

    Args:
        text: Text of the header.
        header: The header's file.

    Raises:
        OutsideError: A name leads out of the folder.
        UnreadableError: The header is of a record in segments.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if lines and "/" in lines[0].split()[0]:
        raise UnreadableError(f"{header}: a record in segments ({lines[0].split()[0]}); join them with wfdb's tools")
    for number, line in enumerate(text.splitlines(), start=1):
        if lines and line.strip() and not line.startswith("#") and line is not lines[0]:
            named_file(header.parent, line.split()[0], f"{header}, line {number}")


def check_sums(steps: NDArray[Any], checksums: Sequence[int | None], leads: Sequence[str], header: Path) -> None:
    """Compare signals with the checksums of their header (WFDB Applications Guide, header(5)).

    Args:
        steps: (sample, lead) whole numbers, all samples of the record.
        checksums: Checksum of each lead; None where the header has none, which is not checked.
        leads: Names of the leads.
        header: The header's file.

    Raises:
        ChecksumError: A signal is not the one of its line.
    """
    for lead, total, expected in zip(leads, steps.sum(axis=0), checksums, strict=True):
        if expected is not None and (int(total) - int(expected)) % _CHECKSUM_RANGE:
            raise ChecksumError(
                f"{header}: lead {lead} has the checksum {_sixteen_bits(int(total))}, its line says {expected}: header "
                "or signal file were changed, or are of different records; download both again"
            )


def _sixteen_bits(total: int) -> int:
    """As a header has it: signed."""
    return (total + _CHECKSUM_RANGE // 2) % _CHECKSUM_RANGE - _CHECKSUM_RANGE // 2
