"""RowStore: an array on disk with one row per ECG, written by many ranks, resumable after any kill.

A store is a folder with ``rows.npy`` (n, ...), one mask ``done.<rank>.npy`` (n,) per rank, and
``manifest.json``. A row counts when its mask says so, and a mask is written only after the rows it speaks of
are on the disk; so a killed run resumes with exactly the rows that are missing.
"""

import io
import os
import weakref
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.storage.atomic import write_array_atomic
from ecg_lightning.storage.disk import DiskSpaceError
from ecg_lightning.storage.manifest import (
    StoreCorruptError,
    StoreDtype,
    StoreError,
    StoreMismatchError,
    StoreSpec,
    mismatch_message,
    read_manifest,
    warn_of_other_versions,
)
from ecg_lightning.storage.store_files import (
    ROWS_NAME,
    ensure_mask,
    flush_data,
    make_folder,
    mark_runs,
    mask_path,
    read_mask,
    write_all,
)
from ecg_lightning.storage.store_values import check_rows, encode

__all__ = [
    "ROWS_NAME",
    "DiskSpaceError",
    "RowStore",
    "StoreCorruptError",
    "StoreDtype",
    "StoreError",
    "StoreMismatchError",
    "StoreSpec",
]


class RowStore:
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

    def __init__(self, path: Path, spec: StoreSpec, rank: int | None) -> None:
        """Use ``create``, ``attach`` or ``open``; they check what lies on the disk."""
        self.path, self.spec, self.rank = path, spec, rank
        rows = self.array
        if rows.dtype != np.dtype(spec.dtype) or rows.shape != spec.shape:
            raise StoreCorruptError(
                f"{path / ROWS_NAME} is {rows.dtype} {rows.shape}, its manifest says {spec.dtype} {spec.shape}; "
                f"delete the folder {path} to compute it again"
            )
        self._offset = int(rows.offset)
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
        rank: int = 0,
        on_mismatch: Literal["error", "replace"] = "error",
    ) -> Self:
        """Make a store, or resume the one that lies there with the same digest; rank zero only.

        Args:
            path: The folder; it appears complete or not at all.
            spec: What it shall hold.
            rank: 0; other ranks ``attach`` after a barrier.
            on_mismatch: What to do with another store (or a broken one) at ``path``: an error, or move it
                aside to ``<name>.replaced-<timestamp>``.

        Raises:
            StoreMismatchError: The store was made with other settings, another network or other examples.
            StoreCorruptError: The folder holds a broken store, or files of something else.
            DiskSpaceError: The disk has no room for all rows.
        """
        path = Path(path)
        if rank != 0:
            raise ValueError(f"rank {rank} called create; rank zero creates, others attach after a barrier")
        if on_mismatch not in ("error", "replace"):
            raise ValueError(f"on_mismatch is {on_mismatch!r}, expected 'error' or 'replace'")
        if path.exists() and not (path.is_dir() and not any(path.iterdir())):
            try:
                store = cls.attach(path, spec, rank=0)
                warn_of_other_versions(path)
                return store
            except StoreError:
                if on_mismatch == "error":
                    raise
                path.rename(path.with_name(f"{path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"))
        make_folder(path, spec)
        return cls.attach(path, spec, rank=0)

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
        stored = read_manifest(path)[0]
        if stored.digest != spec.digest:
            raise StoreMismatchError(mismatch_message(path, stored, spec))
        store = cls(path, spec, rank)
        ensure_mask(mask_path(path, rank), len(store))
        read_mask(mask_path(path, rank), len(store))  # a broken mask is an error now, not after hours
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
        return cls(path, read_manifest(path)[0], None)

    @property
    def array(self) -> "np.memmap[Any, np.dtype[Any]]":
        """The rows as a read-only memory map, (n, ...); what was not computed is NaN in float stores.

        A row that is not ``done`` can hold anything if its writer was killed; ``read`` hides those.
        Mapped afresh each time, so that rows written on another node are seen.
        """
        path = self.path / ROWS_NAME
        try:
            rows = np.lib.format.open_memmap(path, mode="r")
            if rows.offset + rows.nbytes != path.stat().st_size:
                raise ValueError(f"{path.stat().st_size} bytes, expected {rows.offset + rows.nbytes}")
        except (OSError, ValueError) as error:
            raise StoreCorruptError(
                f"{path} is missing, truncated or no .npy file ({type(error).__name__}: {error}); "
                f"delete the folder {self.path} to compute it again"
            ) from error
        return rows

    @property
    def done(self) -> NDArray[np.bool_]:
        """(n,) which rows are computed and on the disk: the union of all ranks' masks."""
        done = np.zeros(len(self), dtype=np.bool_)
        # done.0 last: if a merge by rank zero takes another mask away meanwhile, done.0 holds its rows
        for path in (*self._other_masks(), mask_path(self.path, 0)):
            if path.exists():
                done |= read_mask(path, len(self))
        return done

    @property
    def complete(self) -> bool:
        """Whether every row is done."""
        return bool(self.done.all())

    def missing(self, rows: ArrayLike | None = None) -> NDArray[np.int64]:
        """Those of ``rows`` (default: of all rows) that are not done, in the order given."""
        wanted = np.arange(len(self)) if rows is None else check_rows(rows, self.spec, self.path)
        return wanted[~self.done[wanted]]

    def read(self, rows: ArrayLike) -> NDArray[Any]:
        """Read rows into memory.

        Args:
            rows: (k,) integers, any order.

        Returns:
            (k, ...) values; NaN for a row that is not done.

        Raises:
            ValueError: Rows that do not exist; or rows that are not done, in a store whose dtype has no NaN.
        """
        wanted = check_rows(rows, self.spec, self.path)
        absent = ~self.done[wanted]
        values = np.array(self.array[wanted])
        if absent.any() and values.dtype.kind != "f":
            raise ValueError(
                f"{absent.sum()} of {len(wanted)} rows of {self.path} are not done, the first is row "
                f"{wanted[absent][0]}, and {values.dtype} has no NaN to say so; ask for rows that are done"
            )
        if absent.any():
            values[absent] = np.nan
        return values

    def write(self, rows: ArrayLike, values: ArrayLike) -> None:
        """Write rows, flush them, and only then mark them as done.

        A row that is done may be written again with the same values; other values would stand there half
        written, and marked as done, if the process were killed meanwhile.

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
        runs = np.split(order, np.flatnonzero(np.diff(wanted[order]) != 1) + 1)
        for run in runs:
            offset = self._offset + int(wanted[run[0]]) * self.spec.row_bytes
            write_all(self._descriptor, encoded[run].data.cast("B"), offset)
        flush_data(self._descriptor)
        mark_runs(mask_path(self.path, self.rank), [(int(wanted[run[0]]), len(run)) for run in runs], len(self))

    def merge(self) -> None:
        """Unite the masks of all ranks in that of rank zero and remove the others; after a barrier.

        The union is on the disk before a mask is removed, so a kill in between loses nothing.
        """
        if self.rank != 0:
            raise ValueError(f"rank {self.rank} called merge on {self.path}; only rank zero merges")
        others = self._other_masks()
        write_array_atomic(mask_path(self.path, 0), self.done)
        for path in others:
            path.unlink()

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

    def __len__(self) -> int:
        return self.spec.shape[0]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{dim} {size}" for dim, size in zip(self.spec.dims, self.spec.shape, strict=True))
        state = f"{int(self.done.sum())} of {len(self)} rows done"
        return f"RowStore({self.path}: {sizes}; {self.spec.dtype} {self.spec.unit}; {state})"

    def _other_masks(self) -> list[Path]:
        return sorted(set(self.path.glob("done.*.npy")) - {mask_path(self.path, 0)})
