"""Reading a row store: an array on disk with one row per ECG, each with a digest of what was written."""

import multiprocessing
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.storage.manifest import MADE_ANEW, Manifest, StoreCorruptError, StoreDamagedError
from ecg_lightning.storage.row_digests import Digests, digest_rows, digest_rows_of, fits
from ecg_lightning.storage.store_files import COMPUTED_AGAIN, ROWS_NAME, digests_paths, mask_paths, read_marks
from ecg_lightning.storage.store_values import check_rows

_SHOWN_ROWS: Final = 5
_told_of_older_stores = False


class StoredRows:
    """A store for reading; see :class:`ecg_lightning.storage.store.RowStore`.

    Attributes:
        path: Folder of the store.
        spec: What it holds.
        has_digests: Whether its rows have digests; stores of earlier versions had none.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        """Use ``open``; it checks what lies on the disk."""
        self.path, self.spec, self.has_digests = path, manifest.spec, manifest.has_digests
        rows = self.array
        if rows.dtype != np.dtype(self.spec.dtype) or rows.shape != self.spec.shape:
            raise StoreCorruptError(
                f"{path / ROWS_NAME} is {rows.dtype} {rows.shape}, its manifest says {self.spec.dtype} "
                f"{self.spec.shape}; {MADE_ANEW}"
            )
        if not self.has_digests:
            tell_of_older_stores(path)

    @property
    def array(self) -> "np.memmap[Any, np.dtype[Any]]":
        """Map the rows (n, ...) read-only and unchecked; what was not computed is NaN in float stores.

        A row that is not ``done`` can hold anything if its writer was killed, and a damaged one what it likes:
        ``read`` hides those and refuses these; ``damaged`` names them.
        Mapped afresh each time, so that rows written on another node are seen.
        """
        path = self.path / ROWS_NAME
        try:
            rows = np.lib.format.open_memmap(path, mode="r")
            if rows.offset + rows.nbytes != path.stat().st_size:
                raise ValueError(f"{path.stat().st_size} bytes, expected {rows.offset + rows.nbytes}")
            if not rows.flags.c_contiguous:
                raise ValueError("its rows do not lie one after another")
        except Exception as error:  # NumPy reads a broken header by Python's tokenizer, which raises much
            raise StoreCorruptError(
                f"{path} is missing, truncated or no .npy file ({type(error).__name__}: {error}); {MADE_ANEW}"
            ) from error
        return rows

    @property
    def done(self) -> NDArray[np.bool_]:
        """Return which rows (n,) are computed and on the disk: the union of all ranks' masks.

        Raises:
            StoreDamagedError: A mask is missing or broken.
        """
        done: NDArray[np.bool_] = np.logical_or.reduce(self._marks(mask_paths(self.path)))
        return done

    @property
    def digests(self) -> list[Digests]:
        """Return the digests (n,) that each rank wrote, 0 where it wrote nothing; no rank in a store without digests.

        Raises:
            StoreDamagedError: Digests are missing or broken.
        """
        return self._marks(digests_paths(self.path)) if self.has_digests else []

    @property
    def complete(self) -> bool:
        """Return whether every row is done."""
        return bool(self.done.all())

    def missing(self, rows: ArrayLike | None = None) -> NDArray[np.int64]:
        """Return those of ``rows`` (default: of all rows) that are not done, in the order given."""
        wanted = np.arange(len(self)) if rows is None else check_rows(rows, self.spec, self.path)
        return wanted[~self.done[wanted]]

    def damaged(self, rows: ArrayLike | None = None) -> NDArray[np.int64]:
        """Return those of ``rows`` (default: of all rows) that are done but not what was written, in the order given.

        None of a store that has no digests.

        Raises:
            StoreDamagedError: A mask or digests are missing or broken.
        """
        wanted = np.arange(len(self)) if rows is None else check_rows(rows, self.spec, self.path)
        wanted = wanted[self.done[wanted]]
        if not self.has_digests:
            return wanted[:0]
        digests = [digests[wanted] for digests in self.digests]
        return wanted[~fits(digest_rows_of(self.array, wanted), digests)]

    def check(self) -> None:
        """Make sure of every row before ``array`` is used as it is.

        Raises:
            StoreDamagedError: A row, a mask or digests are damaged.
        """
        self._refuse(self.damaged())

    def read(self, rows: ArrayLike) -> NDArray[Any]:
        """Read rows into memory, and check that they are what was written.

        Args:
            rows: (k,) integers, any order.

        Returns:
            (k, ...) values; NaN for a row that is not done.

        Raises:
            ValueError: Rows that do not exist; or rows that are not done, in a store whose dtype has no NaN.
            StoreDamagedError: A row, a mask or digests are damaged.
        """
        wanted = check_rows(rows, self.spec, self.path)
        absent = ~self.done[wanted]
        values = np.array(self.array[wanted])
        if self.has_digests:
            right = fits(digest_rows(wanted, values), [digests[wanted] for digests in self.digests])
            self._refuse(wanted[~absent & ~right])
            # digests are written before masks: a row that has its own was done, whatever became of its mask
            absent &= ~right
        if absent.any() and values.dtype.kind != "f":
            raise ValueError(
                f"{absent.sum()} of {len(wanted)} rows of {self.path} are not done, the first is row "
                f"{wanted[absent][0]}, and {values.dtype} has no NaN to say so; ask for rows that are done"
            )
        if absent.any():
            values[absent] = np.nan
        return values

    def _marks(self, paths: list[Path]) -> list[NDArray[Any]]:
        return [read_marks(path, len(self)) for path in paths if path.exists() or path == paths[-1]]

    def _refuse(self, damaged: NDArray[np.int64]) -> None:
        if len(damaged):
            raise StoreDamagedError(f"{self.path}: {damaged_rows(damaged)}; {COMPUTED_AGAIN}")

    def __len__(self) -> int:
        return self.spec.shape[0]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{dim} {size}" for dim, size in zip(self.spec.dims, self.spec.shape, strict=True))
        state = f"{int(self.done.sum())} of {len(self)} rows done"
        return f"{type(self).__name__}({self.path}: {sizes}; {self.spec.dtype} {self.spec.unit}; {state})"


def damaged_rows(rows: NDArray[np.int64]) -> str:
    """Say how many rows are damaged, and which."""
    shown = ", ".join(map(str, rows[:_SHOWN_ROWS])) + (", ..." if len(rows) > _SHOWN_ROWS else "")
    what = f"row {shown} contradicts its digest" if len(rows) == 1 else f"{len(rows):,} rows contradict their digests"
    return f"{what} ({'' if len(rows) == 1 else f'rows {shown}: '}changed, cut, or taken from elsewhere)"


def tell_of_older_stores(path: Path) -> None:
    """Say once that a store has no digests; worker processes leave it to their parent."""
    global _told_of_older_stores
    if not _told_of_older_stores and multiprocessing.parent_process() is None:
        _told_of_older_stores = True
        warnings.warn(
            f"{path} was made by an earlier version, which kept no digests of rows: damage in it can't be seen. It is "
            "used as it is (so are others like it, without another word), and gets digests when it is written to",
            stacklevel=4,
        )
