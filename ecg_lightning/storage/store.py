"""RowStore: an array on disk with one row per ECG, written by many ranks, resumable after any kill.

A store is a folder with ``rows.npy`` (n, ...), ``digests.<rank>.npy`` (n,) and one mask ``done.<rank>.npy`` (n,)
per rank, and ``manifest.json``. A row counts when its mask says so, and a mask is written only after the rows it
speaks of are on the disk and have their digests; so a killed run resumes with exactly the rows that are missing, and
a row that changes afterwards is found.
"""

import io
import os
import warnings
import weakref
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.storage.disk import DiskSpaceError
from ecg_lightning.storage.manifest import (
    Manifest,
    StoreCorruptError,
    StoreDamagedError,
    StoreDtype,
    StoreError,
    StoreMismatchError,
    StoreSpec,
    read_manifest,
    read_manifest_of,
    warn_of_other_versions,
)
from ecg_lightning.storage.row_digests import NO_DIGEST, digest_rows, unite
from ecg_lightning.storage.store_files import (
    ROWS_NAME,
    digests_path,
    ensure_marks,
    flush_data,
    is_of_a_store,
    make_folder,
    mark_runs,
    mask_path,
    move_aside,
    read_marks,
    replace_marks,
    write_all,
)
from ecg_lightning.storage.store_repair import repair
from ecg_lightning.storage.store_values import check_rows, encode
from ecg_lightning.storage.stored_rows import StoredRows

__all__ = [
    "ROWS_NAME",
    "DiskSpaceError",
    "RowStore",
    "StoreCorruptError",
    "StoreDamagedError",
    "StoreDtype",
    "StoreError",
    "StoreMismatchError",
    "StoreSpec",
]

Rows = NDArray[np.int64]
"""Numbers of rows, (k,)."""


class RowStore(StoredRows):
    """An array on disk with one row per ECG.

    Rank zero calls ``create``, all ranks wait at a barrier, the others call ``attach``; each writes the rows
    that it owns; after another barrier rank zero calls ``merge``. ``open`` reads a store without knowing what
    it should hold.

    Masks are never shared between ranks; ``rows.npy`` is. Where ranks of several nodes write to a network file
    system, give each a contiguous block of rows, so that they share no more than one page at each end.

    Attributes:
        path: The folder.
        spec: What it holds.
        rank: The rank that writes through this object, None for one that only reads.
    """

    def __init__(self, path: Path, manifest: Manifest, rank: int | None) -> None:
        """Use ``create``, ``attach`` or ``open``; they check what lies on the disk."""
        super().__init__(path, manifest)
        self.rank = rank
        self._offset = int(self.array.offset)
        self._descriptor: int | None = None
        if rank is not None:
            self._descriptor = os.open(path / ROWS_NAME, os.O_WRONLY)
            self._close = weakref.finalize(self, os.close, self._descriptor)

    @classmethod
    def create(
        cls,
        path: str | Path,
        spec: StoreSpec,
        *,
        on_mismatch: Literal["error", "replace"] = "error",
        on_damage: Literal["error", "replace"] = "error",
    ) -> Self:
        """Make a store, or resume the one that lies there with the same digest.

        Rank zero only; others ``attach`` after a barrier.

        Rows of that store which are not what was written are not done any more, with a warning. Rows of a store of an
        earlier version, which kept no digests, are taken as they are and get digests now.

        Args:
            path: The folder; it appears complete or not at all.
            spec: What it shall hold.
            on_mismatch: What to do with another store (or one that is broken as a whole) at ``path``: an error, or
                move it aside to ``<name>.replaced-<timestamp>``.
            on_damage: What to do with one that is broken as a whole (its manifest or the size of its rows), whatever
                ``on_mismatch`` is: an error, or move it aside with a warning.

        Raises:
            StoreMismatchError: The store was made with other settings, another network or other examples.
            StoreCorruptError: The folder holds a broken store, or files of something else.
            DiskSpaceError: The disk has no room for all rows.
        """
        path = Path(path)
        if on_mismatch not in ("error", "replace"):
            raise ValueError(f"on_mismatch is {on_mismatch!r}, expected 'error' or 'replace'")
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            try:
                return cls._resume(path, spec)
            except StoreMismatchError:
                if on_mismatch == "error":
                    raise
                move_aside(path)
            except StoreError as error:
                if "replace" not in (on_mismatch, on_damage) or not is_of_a_store(path):
                    raise
                moved = move_aside(path)
                warnings.warn(f"{path} is made anew, what was there is kept as {moved.name}: {error}", stacklevel=2)
        make_folder(path, spec)
        return cls.attach(path, spec, rank=0)

    @classmethod
    def _resume(cls, path: Path, spec: StoreSpec) -> Self:
        repair(StoredRows(path, read_manifest_of(path, spec)))
        store = cls.attach(path, spec, rank=0)
        warn_of_other_versions(path)
        return store

    @classmethod
    def attach(cls, path: str | Path, spec: StoreSpec, *, rank: int) -> Self:
        """Open an existing store for writing the rows of one rank.

        Raises:
            FileNotFoundError: Rank zero has not made the store yet.
            StoreMismatchError: It was made with other settings, another network or other examples.
            StoreCorruptError: It is broken.
        """
        path = Path(path)
        if rank < 0:
            raise ValueError(f"rank is {rank}, expected 0 or more")
        if not path.exists():
            raise FileNotFoundError(
                f"rank {rank} found no store at {path}; rank zero makes it with RowStore.create, "
                "and the others wait at a barrier before they attach"
            )
        store = cls(path, read_manifest_of(path, spec), rank)
        ensure_marks(path, rank, len(store))
        for marks in (digests_path(path, rank), mask_path(path, rank)):
            read_marks(marks, len(store))  # a broken one is an error now, not after hours
        return store

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a store for reading; what it holds stands in its manifest.

        Raises:
            FileNotFoundError: There is no such folder.
            StoreCorruptError: It is no store, or a broken one.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"there is no store at {path}")
        return cls(path, read_manifest(path), None)

    def write(self, rows: ArrayLike, values: ArrayLike) -> None:
        """Write rows, flush them, and only then write their digests and mark them as done.

        A row that is done may be written again. If the process is killed meanwhile, it has its old values, its new
        ones, or is damaged and computed again by who opens the store next.

        Args:
            rows: (k,) distinct integers, any order.
            values: (k, ...) their values; cast to the store's dtype.

        Raises:
            io.UnsupportedOperation: The store was opened for reading, or is closed.
            ValueError: Another shape than that of k rows, rows that do not exist or come twice, or values that
                the dtype can't hold.
        """
        if self.rank is None or self._descriptor is None:
            raise io.UnsupportedOperation(f"{self.path} is closed or was opened for reading; attach to write")
        wanted = check_rows(rows, self.spec, self.path, distinct=True)
        encoded = encode(values, wanted, self.spec, self.path)
        if not wanted.size:
            return
        order = np.argsort(wanted)
        wanted, encoded = wanted[order], encoded[order]
        runs = _runs(wanted)
        for run in runs:
            offset = self._offset + int(wanted[run.start]) * self.spec.row_bytes
            write_all(self._descriptor, encoded[run].data.cast("B"), offset)
        flush_data(self._descriptor)
        ensure_marks(self.path, self.rank, len(self))  # a merge may have taken them away
        digests, done = digest_rows(wanted, encoded), np.ones(len(wanted), dtype=np.bool_)
        mark_runs(digests_path(self.path, self.rank), [(int(wanted[run.start]), digests[run]) for run in runs])
        mark_runs(mask_path(self.path, self.rank), [(int(wanted[run.start]), done[run]) for run in runs])

    def merge(self) -> None:
        """Unite the masks and digests of all ranks in those of rank zero and remove the others; after a barrier.

        The union is on the disk before anything is removed, so a kill in between loses nothing.
        """
        if self.rank != 0:
            raise ValueError(f"rank {self.rank} called merge on {self.path}; only rank zero merges")
        done = self.done
        digests = unite([np.where(done, digests, NO_DIGEST) for digests in self.digests], self.array)
        replace_marks(self.path, done, digests)

    def close(self) -> None:
        """Close the file for writing; reading goes on."""
        if self._descriptor is not None:
            self._close()
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _runs(rows: NDArray[np.int64]) -> list[slice]:
    """Stretches of sorted ``rows`` in which one follows the other without a gap."""
    ends = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
    return [slice(start, stop) for start, stop in pairwise(ends)]
