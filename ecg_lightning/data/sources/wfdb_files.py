"""Read one recording in WFDB format (PhysioNet)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from ecg_lightning.data.sources.base import Recording, RecordingError
from ecg_lightning.data.sources.files import named_file
from ecg_lightning.data.sources.wfdb_checks import UnreadableError, check_names, check_sums

if TYPE_CHECKING:
    import wfdb

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

_GAIN: Final = re.compile(r"(?P<gain>-?[\d.]+(e[+-]?\d+)?)(\((?P<baseline>-?\d+)\))?(/(?P<unit>\S+))?", re.IGNORECASE)
_RECORD_FIELDS: Final = 4  # name, signals, rate, samples; date and time may follow
_SIGNAL_FIELDS: Final = 9  # file, format, gain, resolution, zero, first value, checksum, block size, lead
_INVALID: Final = np.iinfo(np.int16).min
"""The step that stands for 'no value' in 16-bit WFDB signals."""

_Content = TypeVar("_Content")


class UnitError(RecordingError):
    """The file's unit is not one of voltage."""

    kind: ClassVar[str] = "unit"


@dataclass(frozen=True)
class SignalLine:
    """One signal of a header.

    Attributes:
        file: Name of the signal file.
        gain: Steps per unit.
        baseline: The step that is 0.
        checksum: Sum of all steps, of which the last 16 bits count; None where the header has none.
        unit: Such as mV.
        lead: Name of the lead.
        storage: Format of the signal file, such as 16 or 16+24.
    """

    file: str
    gain: float
    baseline: int
    checksum: int | None
    unit: str
    lead: str
    storage: str


@dataclass(frozen=True)
class Header:
    """A WFDB header describes the signal of its record.

    Attributes:
        path: The header's file.
        sampling_rate: Sampling rate in Hz.
        samples: Length of each signal.
        signals: One per lead.
    """

    path: Path
    sampling_rate: float
    samples: int
    signals: tuple[SignalLine, ...]


def read_wfdb(record: Path, *, steps_per_millivolt: float | None = None) -> Recording:
    """Read a WFDB record.

    Args:
        record: Path of the header without ``.hea``.
        steps_per_millivolt: Gain of every signal instead of the header's.

    Returns:
        All signals of the record in mV, with the header's names and rate.

    Raises:
        UnreadableError: The header or the signal file is missing, truncated or damaged.
        OutsideError: The header names a file outside of its folder.
        ChecksumError: A signal contradicts its line of the header.
        UnitError: A signal's unit is not V, mV, uV or nV.
    """
    import wfdb  # read only where there are recordings to read

    # Not Path.with_suffix: a record's name may hold a dot.
    header = record.parent / f"{record.name}.hea"
    if not header.is_file():
        raise UnreadableError(f"{header}: no such file; download the record again, or correct the source's root")
    check_names(_read_whole(header, lambda: header.read_text(encoding="utf-8", errors="replace")), header)
    content = _read_whole(header, lambda: wfdb.rdrecord(str(record), physical=False))
    return _to_recording(content, header, steps_per_millivolt)


def read_header(path: Path) -> Header:
    """Read a header whose signals lie in a MATLAB file, as the PhysioNet/CinC challenges have them.

    The wfdb package refuses their older headers, which have ``.mat`` in the record's name. Comments are left out.

    Args:
        path: The header's file.

    Raises:
        UnreadableError: The file is missing or damaged.
    """
    if not path.is_file():
        raise UnreadableError(f"{path}: no such file; download the record again, or correct the source's root")
    return _read_whole(path, lambda: parse_header(path.read_text(encoding="utf-8", errors="replace"), path))


def parse_header(text: str, path: Path) -> Header:
    """Read the text of a header.

    Args:
        text: The record line, one line per signal; lines with ``#`` are comments.
        path: The header's file, for messages.

    Raises:
        ValueError: A line is not what the format wants, or one is missing (WFDB Applications Guide, header(5)).
    """
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or len(lines[0]) < _RECORD_FIELDS:
        raise ValueError("expected a first line with the record's name, number of signals, rate and samples")
    _, count, frequency, samples = lines[0][:_RECORD_FIELDS]
    if len(lines) != int(count) + 1:
        raise ValueError(f"{len(lines) - 1} signal lines, the record line says {count}")
    rate = float(re.split(r"[/(]", frequency)[0])  # a counter's frequency may follow
    if not 0.0 < rate < np.inf:
        raise ValueError(f"rate {frequency}, expected Hz")
    return Header(path, rate, int(samples), tuple(_signal_line(fields) for fields in lines[1:]))


def _signal_line(fields: list[str]) -> SignalLine:
    if len(fields) < _SIGNAL_FIELDS:
        raise ValueError(f"signal line {' '.join(fields)!r}: {len(fields)} fields, expected {_SIGNAL_FIELDS}")
    gain = _GAIN.fullmatch(fields[2])
    if gain is None or float(gain["gain"]) == 0.0:
        raise ValueError(f"gain {fields[2]!r}, expected such as 1000/mV")
    baseline = gain["baseline"] if gain["baseline"] is not None else fields[4]
    checksum = int(fields[6]) if re.fullmatch(r"-?\d+", fields[6]) else None
    file, storage, lead = fields[0], fields[1], " ".join(fields[8:])
    return SignalLine(file, float(gain["gain"]), int(baseline), checksum, gain["unit"] or "mV", lead, storage)


def read_mat(header: Header, max_seconds: float) -> Recording:
    """Read the signals of a challenge record: ``val`` in one MATLAB file, (lead, sample) 16-bit steps.

    Args:
        header: The header of the record.
        max_seconds: Later samples are left out.

    Returns:
        All signals in mV; NaN where the file has no value.

    Raises:
        UnreadableError: The signal file is missing, truncated or damaged, or does not fit the header.
        UnitError: A signal's unit is not V, mV, uV or nV.
    """
    names = {line.file for line in header.signals}
    if len(names) != 1:
        raise UnreadableError(f"{header.path}: expected one signal file, got {', '.join(sorted(names)) or 'none'}")
    file = named_file(header.path.parent, names.pop(), str(header.path))
    steps = _read_whole(header.path, lambda: np.asarray(loadmat(str(file), appendmat=False)["val"], np.float64))
    expected = (len(header.signals), header.samples)
    if steps.shape != expected:
        raise UnreadableError(
            f"{file}: signals of shape {steps.shape}, expected {expected} by the header; download the record again"
        )
    check_sums(steps.T, [line.checksum for line in header.signals], [line.lead for line in header.signals], header.path)
    steps = steps[:, : round(max_seconds * header.sampling_rate)]
    steps[steps == _INVALID] = np.nan
    return Recording(to_millivolts(steps.T, header), header.sampling_rate, tuple(line.lead for line in header.signals))


def to_millivolts(steps: NDArray[Any], header: Header) -> NDArray[np.float64]:
    """Turn steps (sample, lead) into (lead, sample) mV by a header; ``UnitError`` where a unit is not of voltage."""
    scale = _millivolts([line.unit for line in header.signals], header.path)
    scale /= np.array([line.gain for line in header.signals])
    baseline = np.array([line.baseline for line in header.signals])
    return np.asarray((steps.T - baseline[:, None]) * scale[:, None])


def _read_whole(header: Path, read: Callable[[], _Content]) -> _Content:
    """Run a reader of other people's files; whatever it raises becomes the reason to reject the record."""
    try:
        return read()
    except FileNotFoundError as error:
        raise UnreadableError(
            f"{header}: its signal file {error.filename or error} is missing; download the record again"
        ) from error
    except MemoryError:
        raise
    # wfdb and SciPy report a damaged file as ValueError, IndexError, TypeError ..., depending on where.
    except Exception as error:
        raise UnreadableError(
            f"{header}: header or signal file is truncated or damaged ({type(error).__name__}: {error}); download the "
            "record again"
        ) from error


def _to_recording(content: "wfdb.Record", header: Path, steps_per_millivolt: float | None) -> Recording:
    steps = content.d_signal
    if steps is None or steps.ndim != 2 or not steps.shape[0] or not content.sig_name:
        raise UnreadableError(f"{header}: the record holds no signal; download the record again")
    if not any(content.skew or ()) and set(content.samps_per_frame or (1,)) == {1}:  # else these are not the file's own
        check_sums(steps, content.checksum or [None] * steps.shape[1], content.sig_name, header)
    signal = _read_whole(header, content.dac)
    if content.sig_len and len(signal) != content.sig_len:
        raise UnreadableError(
            f"{header}: {len(signal)} of {content.sig_len} samples, the signal file is truncated; download the record "
            "again"
        )
    scale = _millivolts([str(unit) for unit in content.units], header)
    if steps_per_millivolt is not None:
        scale = np.array(content.adc_gain) / steps_per_millivolt
    return Recording(signal=signal.T * scale[:, None], sampling_rate=float(content.fs), leads=tuple(content.sig_name))


def _millivolts(units: list[str], header: Path) -> NDArray[np.float64]:
    """Millivolts per unit of each signal."""
    unknown = sorted({unit for unit in units if unit.lower() not in MILLIVOLTS_PER_UNIT})
    if unknown:
        raise UnitError(
            f"{header}: unit {', '.join(unknown)}, expected mV, uV, nV or V; correct the unit in the header"
        )
    return np.array([MILLIVOLTS_PER_UNIT[unit.lower()] for unit in units])
