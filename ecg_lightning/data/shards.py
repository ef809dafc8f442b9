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

from ecg_lightning.data.cache import BEAT_SHAPE, MAKE_ROOM, PACKED_SHAPE
from ecg_lightning.data.sources.base import Entry, RecordingError, RejectedEntry, Source
from ecg_lightning.signal.beat import Neighbours
from ecg_lightning.storage.atomic import atomic_path
from ecg_lightning.storage.disk import full_disk_explained

_TRIM_THRESHOLD: Final = -1  # of glibc's malloc.h
_MMAP_THRESHOLD: Final = -3
_KEPT: Final = 1 << 28  # bytes; a worker uses a few MB
_REGION: Final = re.compile(r"\w+(/\w+)*")


@dataclass(frozen=True)
class BeatSettings:
    """The settings that determine the beats of a source, beside the source.

    Attributes:
        neighbours: What is done with neighbouring beats: see :func:`ecg_lightning.signal.beat.median_beat`.
        min_age: Years; younger patients are rejected, unknown ages are included.
    """

    neighbours: Neighbours = "keep"
    min_age: float = 16.0


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
    """A beat as it is stored: (8, 600) int16 uV, with its packed masks (8, 75)."""

    microvolts: NDArray[np.int16]
    heart_rate: float
    n_beats: int
    masks: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    remark: str = ""


@dataclass(frozen=True)
class Rejection:
    """A reason why an ECG is not in the cache: a short machine word, and the sentence."""

    kind: str
    reason: str


def prepare_entry(source: Source, entry: Entry, settings: BeatSettings) -> Prepared | Rejection:
    """Read one ECG and compute its median beat.

    Wave masks of the recording and evidence masks of the source are both stored; evidence wins where both know a
    region of the same name.

    Args:
        source: Where the ECG is from.
        entry: The ECG that is prepared.
        settings: Settings of the beat.

    Returns:
        The beat or the reason why there is none. Only running out of memory raises.
    """
    if isinstance(entry, RejectedEntry):
        return Rejection(entry.kind, entry.reason)
    if entry.age < settings.min_age:
        return Rejection("under_age", f"the patient is {entry.age:g} years old, under {settings.min_age:g}")
    try:
        result = source.beat(entry, settings.neighbours)
        masks = {**result.wave_masks, **source.evidence(entry, settings.neighbours)}
        packed = {region: _pack(region, mask) for region, mask in masks.items()}
    except RecordingError as error:
        return Rejection(error.kind, str(error))
    except MemoryError:
        raise
    # One odd file in a million must not end a night's run; it is on record with the exception.
    except Exception as error:
        return Rejection("unexpected", f"{type(error).__name__}: {error}")
    microvolts = np.rint(1e3 * result.beat).astype(np.int16)  # within 20 mV, so never over 32,767 uV
    return Prepared(microvolts, result.heart_rate, result.n_beats_kept, packed, result.remark)


def _pack(region: str, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    if not _REGION.fullmatch(region):
        raise ValueError(f"region {region!r}: expected words of letters, digits and _ with / between them")
    if mask.shape != BEAT_SHAPE:
        raise ValueError(f"mask of the region {region!r}: expected the shape {BEAT_SHAPE}, got {mask.shape}")
    return np.packbits(mask.astype(np.bool_), axis=-1)


def write_shard(source: Source, shard: Shard, settings: BeatSettings) -> None:
    """Prepare the entries of a shard and write its part file.

    The part holds ``index`` (in the source), ``beats``, ``heart_rate``, ``n_beats`` of the used ECGs,
    ``mask:<region>`` and ``present:<region>`` over the same rows, ``rejected_index``, ``rejected`` (kind, reason), and
    where there are some ``remarked_index``, ``remarks``.

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
    arrays = _used_arrays(used) | _rejected_arrays(rejected) | _remarks(used)
    needed = sum(array.nbytes for array in arrays.values())
    with full_disk_explained(shard.path.parent, needed, MAKE_ROOM), atomic_path(shard.path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def _used_arrays(used: Sequence[tuple[int, Prepared]]) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {
        "index": np.array([index for index, _ in used], dtype=np.int64),
        "beats": np.array([p.microvolts for _, p in used], dtype=np.int16).reshape(-1, *BEAT_SHAPE),
        "heart_rate": np.array([p.heart_rate for _, p in used], dtype=np.float64),
        "n_beats": np.array([p.n_beats for _, p in used], dtype=np.int32),
    }
    nowhere = np.zeros(PACKED_SHAPE, dtype=np.uint8)
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


def run_shard(shard: Shard, settings: BeatSettings) -> None:
    """Write one shard in a worker process.

    Raises:
        RuntimeError: The process was not set up by :func:`start_worker`.
    """
    if _source is None:
        raise RuntimeError("run_shard needs start_worker(source) in the same process first")
    write_shard(_source, shard, settings)
