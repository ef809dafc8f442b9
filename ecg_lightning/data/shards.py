"""The work of one process: recordings of one shard to one part file.

A part is an ``.npz`` that appears whole or not at all, so a killed run goes on with the parts that are missing.
This module imports neither torch nor Lightning: worker processes start in a second.
"""

import ctypes
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.cache import MAKE_ROOM, packed_shape
from ecg_lightning.data.representations import MedianBeats, Representation, Represented
from ecg_lightning.data.sources.base import Entry, RecordingError, RejectedEntry, Source
from ecg_lightning.ecg import MIN_AGE, SignalFormat
from ecg_lightning.storage.atomic import atomic_path
from ecg_lightning.storage.disk import full_disk_explained

_TRIM_THRESHOLD: Final = -1  # of glibc's malloc.h
_MMAP_THRESHOLD: Final = -3
_KEPT: Final = 1 << 28  # bytes; a worker uses a few MB
_REGION: Final = re.compile(r"\w+(/\w+)*")


@dataclass(frozen=True)
class PrepareSettings:
    """The settings that determine what is prepared of a source, beside the source.

    Attributes:
        representation: What of a recording is kept.
        min_age: Years; younger patients are rejected, unknown ages are included.
    """

    representation: Representation = field(default_factory=MedianBeats)
    min_age: float = MIN_AGE


@dataclass(frozen=True)
class Shard:
    """A stretch of a source's entries, and the file its beats go to.

    Attributes:
        path: The part file.
        start: Index of the first entry in the source.
        entries: The entries of the shard.
    """

    path: Path
    start: int
    entries: Sequence[Entry]


@dataclass(frozen=True)
class Prepared:
    """An ECG as it is stored: (lead, sample) int16 uV, with its masks, packed along samples."""

    microvolts: NDArray[np.int16]
    heart_rate: float
    n_beats: int
    masks: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    remark: str = ""
    r_peaks: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Rejection:
    """A reason why an ECG is not in the cache: a short machine word, and the sentence."""

    kind: str
    reason: str


def prepare_entry(source: Source, entry: Entry, settings: PrepareSettings) -> Prepared | Rejection:
    """Read one ECG and bring it to its representation.

    Args:
        source: Where the ECG is from.
        entry: The ECG that is prepared.
        settings: What is kept of it.

    Returns:
        The ECG or the reason why there is none. Only running out of memory raises.
    """
    if isinstance(entry, RejectedEntry):
        return Rejection(entry.kind, entry.reason)
    if entry.age < settings.min_age:
        return Rejection("under_age", f"the patient is {entry.age:g} years old, under {settings.min_age:g}")
    try:
        return _stored(settings.representation.of(source, entry), settings.representation.format)
    except RecordingError as error:
        return Rejection(error.kind, str(error))
    except MemoryError:
        raise
    # One odd file in a million must not end a night's run; it is on record with the exception.
    except Exception as error:
        return Rejection("unexpected", f"{type(error).__name__}: {error}")


def _stored(ecg: Represented, of_format: SignalFormat) -> Prepared:
    packed = {region: _pack(region, mask, of_format.shape) for region, mask in ecg.masks.items()}
    if ecg.signal.shape != of_format.shape:
        raise ValueError(f"expected a signal of the shape {of_format.shape}, got {ecg.signal.shape}")
    microvolts = np.rint(1e3 * ecg.signal).astype(np.int16)  # within 20 mV, so never over 32,767 uV
    return Prepared(microvolts, ecg.heart_rate, ecg.n_beats, packed, ecg.remark, ecg.r_peaks)


def _pack(region: str, mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.uint8]:
    if not _REGION.fullmatch(region):
        raise ValueError(f"region {region!r}: expected words of letters, digits and _ with / between them")
    if mask.shape != shape:
        raise ValueError(f"mask of the region {region!r}: expected the shape {shape}, got {mask.shape}")
    return np.packbits(mask.astype(np.bool_), axis=-1)


def write_shard(source: Source, shard: Shard, settings: PrepareSettings) -> None:
    """Prepare the entries of a shard and write its part file.

    The part holds ``index`` (in the source), ``beats``, ``heart_rate``, ``n_beats`` of the used ECGs,
    ``mask:<region>`` and ``present:<region>`` over the same rows, ``rejected_index``, ``rejected`` (kind, reason), and
    where there are some ``r_peaks`` (of all ECGs in a row, ``n_beats`` each), ``remarked_index``, ``remarks``.

    Raises:
        DiskSpaceError: The disk is full.
    """
    used: list[tuple[int, Prepared]] = []
    rejected: list[tuple[int, Rejection]] = []
    for index, entry in enumerate(shard.entries, start=shard.start):
        outcome = prepare_entry(source, entry, settings)
        if isinstance(outcome, Prepared):
            used.append((index, outcome))
        else:
            rejected.append((index, outcome))
    arrays = _used_arrays(used, settings.representation.format.shape) | _rejected_arrays(rejected) | _remarks(used)
    needed = sum(array.nbytes for array in arrays.values())
    with full_disk_explained(shard.path.parent, needed, MAKE_ROOM), atomic_path(shard.path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def _used_arrays(used: Sequence[tuple[int, Prepared]], shape: tuple[int, int]) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {
        "index": np.array([index for index, _ in used], dtype=np.int64),
        "beats": np.array([p.microvolts for _, p in used], dtype=np.int16).reshape(-1, *shape),
        "heart_rate": np.array([p.heart_rate for _, p in used], dtype=np.float64),
        "n_beats": np.array([p.n_beats for _, p in used], dtype=np.int32),
    }
    peaks = [p.r_peaks for _, p in used if p.r_peaks is not None]
    if peaks:
        arrays["r_peaks"] = np.concatenate(peaks).astype(np.int32)
    nowhere = np.zeros(packed_shape(shape), dtype=np.uint8)
    for region in sorted({region for _, p in used for region in p.masks}):
        arrays[f"mask:{region}"] = np.array([p.masks.get(region, nowhere) for _, p in used])
        arrays[f"present:{region}"] = np.array([region in p.masks for _, p in used])
    return arrays


def _rejected_arrays(rejected: Sequence[tuple[int, Rejection]]) -> dict[str, NDArray[np.generic]]:
    words = [(r.kind, r.reason) for _, r in rejected]
    return {
        "rejected_index": np.array([index for index, _ in rejected], dtype=np.int64),
        "rejected": np.array(words, dtype=np.str_).reshape(-1, 2),
    }


def _remarks(used: Sequence[tuple[int, Prepared]]) -> dict[str, NDArray[np.generic]]:
    remarked = [(index, p.remark) for index, p in used if p.remark]
    if not remarked:
        return {}
    index, remarks = zip(*remarked, strict=True)
    return {"remarked_index": np.array(index, dtype=np.int64), "remarks": np.array(remarks, dtype=np.str_)}


_source: Source | None = None


def start_worker(source: Source) -> None:
    """Set up a worker process: keep the source, which is sent once."""
    global _source
    _source = source
    _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next ECG's arrays: a sixth of the time was page faults."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:  # musl has none
        mallopt(_MMAP_THRESHOLD, _KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)


def run_shard(shard: Shard, settings: PrepareSettings) -> None:
    """Write one shard in a worker process.

    Raises:
        RuntimeError: The process was not set up by :func:`start_worker`.
    """
    if _source is None:
        raise RuntimeError("run_shard needs start_worker(source) in the same process first")
    write_shard(_source, shard, settings)
