"""Read one recording in WFDB format (PhysioNet)."""

from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import wfdb

from ecg_lightning.data.sources.base import Recording, RecordingError

MILLIVOLTS_PER_UNIT: Final = {
    "mv": 1.0,
    "millivolt": 1.0,
    "uv": 1e-3,
    "\N{MICRO SIGN}v": 1e-3,
    "\N{GREEK SMALL LETTER MU}v": 1e-3,
    "microvolt": 1e-3,
    "v": 1e3,
    "volt": 1e3,
    "nv": 1e-6,
}
"""mV per unit of a WFDB header, by the unit's name in small letters."""


class UnreadableError(RecordingError):
    """The file is missing, truncated, or not what its name says."""

    kind: ClassVar[str] = "unreadable"


class UnitError(RecordingError):
    """The file's unit is not one of voltage."""

    kind: ClassVar[str] = "unit"


def read_wfdb(record: Path) -> Recording:
    """Read a WFDB record.

    Args:
        record: Path of the header without ``.hea``.

    Returns:
        All signals of the record in mV, with the header's names and rate.

    Raises:
        UnreadableError: The header or the signal file is missing, truncated or damaged.
        UnitError: A signal's unit is not V, mV, uV or nV.
    """
    # Not Path.with_suffix: a record's name may hold a dot.
    header = record.parent / f"{record.name}.hea"
    if not header.is_file():
        raise UnreadableError(f"{header}: no such file; download the record again, or correct the source's root")
    try:
        content = wfdb.rdrecord(str(record))
    except FileNotFoundError as error:
        raise UnreadableError(
            f"{header}: its signal file {error.filename or error} is missing; download the record again"
        ) from error
    # wfdb reports a damaged file as ValueError, IndexError, TypeError, HeaderSyntaxError ..., depending on where.
    except Exception as error:
        raise UnreadableError(
            f"{header}: header or signal file is truncated or damaged ({type(error).__name__}: {error}); download the "
            "record again"
        ) from error
    return _to_recording(content, header)


def _to_recording(content: wfdb.Record, header: Path) -> Recording:
    signal = content.p_signal
    if signal is None or signal.ndim != 2 or not signal.shape[0] or not content.sig_name:
        raise UnreadableError(f"{header}: the record holds no signal; download the record again")
    if content.sig_len and len(signal) != content.sig_len:
        raise UnreadableError(
            f"{header}: {len(signal)} of {content.sig_len} samples, the signal file is truncated; download the record "
            "again"
        )
    units = [str(unit) for unit in content.units]
    unknown = sorted({unit for unit in units if unit.lower() not in MILLIVOLTS_PER_UNIT})
    if unknown:
        raise UnitError(
            f"{header}: unit {', '.join(unknown)}, expected mV, uV, nV or V; correct the unit in the header"
        )
    scale = np.array([MILLIVOLTS_PER_UNIT[unit.lower()] for unit in units])
    return Recording(signal=signal.T * scale[:, None], sampling_rate=float(content.fs), leads=tuple(content.sig_name))
