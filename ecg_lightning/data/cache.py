"""The cache of median beats, or of windows, on disk, as :func:`ecg_lightning.data.prepare.prepare` leaves it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.cache_files import (
    BEAT_DIGESTS,
    WITHOUT_DIGESTS,
    DamagedCacheError,
    check_file,
    map_array,
    read_marker,
    read_table,
    tell_of_older_caches,
)
from ecg_lightning.ecg import SignalFormat, format_of
from ecg_lightning.storage.row_digests import digest_rows

BEATS: Final = "beats.npy"
EXAMPLES: Final = "examples.parquet"
REJECTED: Final = "rejected.parquet"
MARKER: Final = "cache.json"
MASKS: Final = "masks"


MAKE_ROOM: Final = "free some space or choose another cache folder, and run again: what is done is kept"
"""What to do when the disk is full."""

_CHUNK: Final = 128  # beats: 1 MB of int16 in flight, which stays in the processor's cache


def packed_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """Return (lead, byte) of a mask of (lead, sample), eight samples a byte."""
    leads, samples = shape
    return leads, -(-samples // 8)


def mask_paths(folder: Path, region: str) -> tuple[Path, Path]:
    """Return the paths of the packed masks of a region, and of which ECGs have one."""
    return folder / MASKS / f"{region}.npy", folder / MASKS / f"{region}.present.npy"


@dataclass(frozen=True, eq=False)
class BeatCache:
    """A finished cache; make it with :meth:`open`.

    Sent to another process it travels as its folder's name, and the files are mapped again there.

    Attributes:
        folder: Where the files lie.
        examples: One row per beat, in the order of ``beats``: ``row, ecg_id, patient_id, age, sex, source, fold``,
            the targets (Int8, missing = ``<NA>``), ``heart_rate`` (beats per minute), ``n_beats``; of windows also
            ``r_peaks``, the samples of their R peaks.
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
            folder: The cache's folder, ``<cache_dir>/<source>-<hash>``.

        Raises:
            FileNotFoundError: A file is missing, or the cache was never finished.
            DamagedCacheError: A file is not what was written, or the files do not fit together.
        """
        cache = cls._open(Path(folder))
        if cache.info["format"] == WITHOUT_DIGESTS:
            tell_of_older_caches(cache.folder)
        return cache

    @classmethod
    def _open(cls, folder: Path) -> "BeatCache":
        if not (folder / MARKER).is_file():
            raise FileNotFoundError(
                f"{folder} holds no finished cache ({MARKER} is missing); prepare it, an interrupted run continues"
            )
        info = read_marker(folder / MARKER)
        tables = [read_table(folder / name, folder, info) for name in (EXAMPLES, REJECTED)]
        cache = cls(folder, tables[0], tables[1], info)
        cache._check()
        return cache

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        """A pickled memory map would be a copy of every beat; a worker process says nothing again."""
        return BeatCache._open, (self.folder,)

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def settings(self) -> dict[str, Any]:
        """Return what determined the content: source, beat settings, pipeline version."""
        return dict(self.info["settings"])

    @cached_property
    def signal_format(self) -> SignalFormat:
        """Return leads, rate, samples and fiducial of the ECGs as they are read, in mV."""
        return format_of(self.info)

    @property
    def regions(self) -> tuple[str, ...]:
        """Return the regions that at least one ECG has a mask for."""
        return tuple(self.info["regions"])

    @cached_property
    def beats(self) -> NDArray[np.int16]:
        """Map ECGs (ECG, lead, sample) uV read-only and unchecked; ``read_beats`` and ``read_microvolts`` check."""
        beats: NDArray[np.int16] = map_array(self.folder / BEATS)
        return beats

    def masks(self, region: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the masks of one region.

        Args:
            region: One of :attr:`regions`.

        Returns:
            (ECG, lead, byte) read-only memory map, packed along samples: ``np.unpackbits(rows, axis=-1,
            count=samples)`` gives bits; and (ECG,) whether the ECG has a mask at all: an empty mask that is present
            means 'nowhere', one that is not present means 'not known'.

        Raises:
            KeyError: No ECG of this cache has such a mask.
            DamagedCacheError: The masks are not what was written.
        """
        if region not in self.regions:
            raise KeyError(
                f"{self.folder} has no masks of the region {region!r}; it has {', '.join(self.regions) or 'none'}"
            )
        packed, present = mask_paths(self.folder, region)
        if region not in self._checked_regions:
            for path in (packed, present):
                check_file(path, self.folder, self.info)
            self._checked_regions.add(region)
        return map_array(packed), np.load(present)

    def read_beats(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Read beats in mV.

        Rows are read in the order in which they lie on disk and returned in the requested order.

        Args:
            rows: (batch,) integers from 0 to the number of beats - 1; any order, repeats allowed.

        Returns:
            (batch, lead, sample) mV, writeable.

        Raises:
            IndexError: A row is not there, or ``rows`` are not integers in one dimension.
            DamagedCacheError: A beat is not what was written.
        """
        rows = self._valid(rows)
        out = np.empty((len(rows), *self.signal_format.shape), dtype=np.float32)
        order = np.argsort(rows, kind="stable")
        for start in range(0, len(rows), _CHUNK):
            part = order[start : start + _CHUNK]
            out[part] = self._read(rows[part])
        out *= np.float32(1e-3)
        return out

    def read_microvolts(self, rows: NDArray[np.intp]) -> NDArray[np.int16]:
        """Read beats as :meth:`read_beats` does, but (batch, lead, sample) uV as they are stored."""
        return self._read(self._valid(rows))

    def _read(self, rows: NDArray[np.intp]) -> NDArray[np.int16]:
        """Beats, each checked when this process first reads it: training reads every beat in every epoch."""
        beats: NDArray[np.int16] = np.asarray(self.beats[rows])
        first = ~self._checked[rows]
        if first.any():
            found = digest_rows(rows[first], beats[first])
            damaged = rows[first][found != self._digests[rows[first]]]
            if len(damaged):
                raise DamagedCacheError(
                    self.folder / BEATS,
                    f"{len(damaged):,} of {len(rows):,} beats that were read are not what was written, the first is "
                    f"row {damaged.min()} (their digests disagree with {BEAT_DIGESTS})",
                )
            self._checked[rows] = True
        return beats

    @cached_property
    def _checked(self) -> NDArray[np.bool_]:
        """(beat,) whether this process has compared it with its digest, or need not."""
        return np.full(len(self), self.info["format"] == WITHOUT_DIGESTS)

    @cached_property
    def _digests(self) -> NDArray[np.uint64]:
        check_file(self.folder / BEAT_DIGESTS, self.folder, self.info)
        return np.load(self.folder / BEAT_DIGESTS, allow_pickle=False)  # type: ignore[no-any-return]

    @cached_property
    def _checked_regions(self) -> set[str]:
        return set()

    def _valid(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        rows = np.asarray(rows)
        if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer):
            if rows.size:
                raise IndexError(f"rows: expected (batch,) integers, got shape {rows.shape} of {rows.dtype}")
            rows = np.empty(0, dtype=np.intp)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows: {rows.min()} to {rows.max()}, expected 0 to {len(self) - 1} ({self.folder})")
        return rows

    def _check(self) -> None:
        """Sizes of all files against the table."""
        expected: dict[Path, tuple[int, ...]] = {self.folder / BEATS: (len(self), *self.signal_format.shape)}
        for region in self.regions:
            packed, present = mask_paths(self.folder, region)
            expected |= {packed: (len(self), *packed_shape(self.signal_format.shape)), present: (len(self),)}
        for path, shape in expected.items():
            came = map_array(path).shape
            if came != shape:
                raise DamagedCacheError(path, f"shape {came}, expected {shape} by {EXAMPLES}")
        counts = self.info["counts"]
        if (counts["examples"], counts["rejected"]) != (len(self.examples), len(self.rejected)):
            raise DamagedCacheError(
                self.folder / MARKER,
                f"it counts {counts['examples']} examples and {counts['rejected']} rejected, the tables hold "
                f"{len(self.examples)} and {len(self.rejected)}",
            )
