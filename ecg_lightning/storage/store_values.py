"""This module checks what goes into a RowStore: row numbers and values, cast to the store's dtype."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.storage.manifest import StoreSpec

_REMEDY = "; take a wider dtype (float32 for maps)"


def check_rows(rows: ArrayLike, spec: StoreSpec, path: Path, *, distinct: bool = False) -> NDArray[np.int64]:
    """Check the row numbers of a call.

    Args:
        rows: (k,) integers from 0 to n - 1.
        spec: Specification of the store.
        path: The store's folder, for errors.
        distinct: Whether a number may come only once.

    Returns:
        (k,) the same.

    Raises:
        ValueError: Not a list of integers (a boolean mask is not one), a number out of range, or one twice.
    """
    checked = np.asarray(rows)
    if checked.ndim != 1 or (checked.size and checked.dtype.kind not in "iu"):
        raise ValueError(
            f"rows is {checked.dtype} {checked.shape}, expected a list of integers (of a mask: np.flatnonzero(mask))"
        )
    checked = checked.astype(np.int64)
    outside = checked[(checked < 0) | (checked >= spec.shape[0])]
    if outside.size:
        raise ValueError(f"row {outside[0]} does not exist: {path} has rows 0 to {spec.shape[0] - 1}")
    if distinct and len(np.unique(checked)) < len(checked):
        values, counts = np.unique(checked, return_counts=True)
        raise ValueError(f"row {values[counts > 1][0]} of {path} is written twice at once; give each row once")
    return checked


def encode(values: ArrayLike, rows: NDArray[np.int64], spec: StoreSpec, path: Path) -> NDArray[Any]:
    """Check values and cast them to the store's dtype; never to an infinity, a zero or a rounded integer unasked.

    Args:
        values: (k, ...) one entry per row.
        rows: (k,) their row numbers, for errors.
        spec: Specification of the store.
        path: The store's folder, for errors.

    Returns:
        (k, ...) of the store's dtype, C-contiguous.

    Raises:
        ValueError: Another shape, values that are no numbers, or values that the dtype can't hold.
    """
    given = np.asarray(values)
    expected = (len(rows), *spec.shape[1:])
    if given.shape != expected:
        raise ValueError(f"values have shape {given.shape}, {path} takes {expected}: {spec.dims}")
    if given.dtype.kind not in "biuf":
        raise ValueError(f"values are {given.dtype}, expected numbers for {path} ({spec.dtype})")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        encoded = np.ascontiguousarray(given, dtype=spec.dtype).reshape(expected)
    overflown = np.isinf(encoded) & np.isfinite(given)
    wrong = overflown if encoded.dtype.kind == "f" else given != encoded
    if wrong.any():
        row = rows[np.argwhere(wrong)[0][0]]
        raise ValueError(f"row {row} of {path} holds {given[wrong][0]}, which {spec.dtype} can't hold{_REMEDY}")
    if encoded.dtype == np.float16 and len(rows):
        _check_not_tiny(given, rows, path)
    return encoded


def _check_not_tiny(given: NDArray[Any], rows: NDArray[np.int64], path: Path) -> None:
    """Refuse rows that lie below float16's normal range as a whole: they would lose their digits, or all be 0."""
    largest = np.abs(np.nan_to_num(given, posinf=0, neginf=0)).reshape(len(rows), -1).max(axis=1)
    smallest_normal = float(np.finfo(np.float16).smallest_normal)
    tiny = (largest > 0) & (largest < smallest_normal)
    if tiny.any():
        raise ValueError(
            f"the largest magnitude in row {rows[tiny][0]} of {path} is {largest[tiny][0]}; float16 keeps its "
            f"digits only above {smallest_normal:.1e}{_REMEDY}"
        )
