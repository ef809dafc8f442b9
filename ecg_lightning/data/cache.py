"""The cache of median beats on disk, as :func:`ecg_lightning.data.prepare.prepare` leaves it."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.ecg import BEAT_SAMPLES, LEADS

CACHE_FORMAT: Final = 1
"""Raised with every change of the files below."""

BEATS: Final = "beats.npy"
EXAMPLES: Final = "examples.parquet"
REJECTED: Final = "rejected.parquet"
MARKER: Final = "cache.json"
MASKS: Final = "masks"

BEAT_SHAPE: Final = (len(LEADS), BEAT_SAMPLES)
PACKED_SHAPE: Final = (len(LEADS), BEAT_SAMPLES // 8)

MAKE_ROOM: Final = "free some space or choose another cache folder, and run again: what is done is kept"
"""What to do when the disk is full."""

_CHUNK: Final = 128  # beats: 1 MB of int16 in flight, which stays in the processor's cache


def mask_paths(folder: Path, region: str) -> tuple[Path, Path]:
    """The packed masks of a region, and which ECGs have one."""
    return folder / MASKS / f"{region}.npy", folder / MASKS / f"{region}.present.npy"


@dataclass(frozen=True, eq=False)
class BeatCache:
    """A finished cache; make it with :meth:`open`.

    Sent to another process it travels as its folder's name, and the files are mapped again there.

    Attributes:
        folder: Where the files lie.
        examples: One row per beat, in the order of ``beats``: ``row, ecg_id, patient_id, age, sex, source, fold``,
            the nine targets (Int8, missing = ``<NA>``), ``heart_rate`` (beats per minute), ``n_beats``.
        rejected: The ECGs that could not be used: ``ecg_id, patient_id, reason_kind, reason``.
        info: The content of ``cache.json``: settings, versions, counts, hash.
    """

    folder: Path
    examples: pd.DataFrame
    rejected: pd.DataFrame
    info: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> "BeatCache":
        """Open a finished cache.

        Args:
            folder: ``<cache_dir>/<source>-<hash>``.

        Raises:
            FileNotFoundError: A file is missing, or the cache was never finished.
            ValueError: The files do not fit together.
        """
        folder = Path(folder)
        if not (folder / MARKER).is_file():
            raise FileNotFoundError(
                f"{folder} holds no finished cache ({MARKER} is missing); prepare it, an interrupted run continues"
            )
        info = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if info.get("format") != CACHE_FORMAT:
            raise ValueError(f"{folder}: format {info.get('format')}, expected {CACHE_FORMAT}; {_AGAIN}")
        tables = [_read_table(folder / name) for name in (EXAMPLES, REJECTED)]
        cache = cls(folder, tables[0], tables[1], info)
        cache._check()
        return cache

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        """A pickled memory map would be a copy of every beat."""
        return BeatCache.open, (self.folder,)

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def settings(self) -> dict[str, Any]:
        """What determined the content: source, beat settings, pipeline version."""
        return dict(self.info["settings"])

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that at least one ECG has a mask for."""
        return tuple(self.info["regions"])

    @cached_property
    def beats(self) -> NDArray[np.int16]:
        """(beat, 8, 600) uV, a read-only memory map."""
        beats: NDArray[np.int16] = _map(self.folder / BEATS)
        return beats

    def masks(self, region: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The masks of one region.

        Args:
            region: One of :attr:`regions`.

        Returns:
            (beat, 8, 75) read-only memory map, packed along samples: ``np.unpackbits(rows, axis=-1)`` gives 600; and
            (beat,) whether the ECG has a mask at all: an empty mask that is present means 'nowhere', one that is
            not present means 'not known'.

        Raises:
            KeyError: No ECG of this cache has such a mask.
        """
        if region not in self.regions:
            raise KeyError(
                f"{self.folder} has no masks of the region {region!r}; it has {', '.join(self.regions) or 'none'}"
            )
        packed, present = mask_paths(self.folder, region)
        return _map(packed), np.load(present)

    def read_beats(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Read beats in mV.

        Rows are read in the order in which they lie on disk and returned in the order asked for.

        Args:
            rows: (batch,) integers from 0 to the number of beats - 1; any order, repeats allowed.

        Returns:
            (batch, 8, 600) mV, writeable.

        Raises:
            IndexError: A row is not there, or ``rows`` are not integers in one dimension.
        """
        rows = np.asarray(rows)
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            if rows.size:
                raise IndexError(f"rows: expected (batch,) integers, got shape {rows.shape} of {rows.dtype}")
            rows = np.empty(0, dtype=np.intp)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows: {rows.min()} to {rows.max()}, expected 0 to {len(self) - 1} ({self.folder})")
        out = np.empty((len(rows), *BEAT_SHAPE), dtype=np.float32)
        order = np.argsort(rows, kind="stable")
        for start in range(0, len(rows), _CHUNK):
            part = order[start : start + _CHUNK]
            out[part] = self.beats[rows[part]]
        out *= np.float32(1e-3)
        return out

    def _check(self) -> None:
        """Sizes of all files against the table."""
        expected: dict[Path, tuple[int, ...]] = {self.folder / BEATS: (len(self), *BEAT_SHAPE)}
        for region in self.regions:
            packed, present = mask_paths(self.folder, region)
            expected |= {packed: (len(self), *PACKED_SHAPE), present: (len(self),)}
        for path, shape in expected.items():
            came = _map(path).shape
            if came != shape:
                raise ValueError(f"{path}: shape {came}, expected {shape} by {EXAMPLES}; {_AGAIN}")
        counts = self.info["counts"]
        if (counts["examples"], counts["rejected"]) != (len(self.examples), len(self.rejected)):
            raise ValueError(
                f"{self.folder}: {MARKER} counts {counts['examples']} examples and {counts['rejected']} rejected, the "
                f"tables hold {len(self.examples)} and {len(self.rejected)}; {_AGAIN}"
            )


_AGAIN: Final = "the cache was damaged or made by another version: prepare it again with overwrite"


def _read_table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {_AGAIN}")
    return pd.read_parquet(path)


def _map(path: Path) -> Any:
    """Map an array read-only."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {_AGAIN}")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # truncated, or no npy file
        raise ValueError(f"{path}: {error}; {_AGAIN}") from error
