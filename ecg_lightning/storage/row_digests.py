"""This module digests rows: it shows whether an array holds what was written there, row by row."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NO_DIGEST: Final = 0
"""Digest of a row that was not written."""

DIGEST_DTYPE: Final = np.dtype("<u8")

_CHUNK_BYTES: Final = 1 << 24
_NUMBER_BYTES: Final = 8

Digests = NDArray[np.uint64]


def digest_rows(rows: NDArray[np.int64], values: NDArray[Any]) -> Digests:
    """Hash rows, each with its number: a row at another's index is as wrong as one with another value.

    Args:
        rows: (k,) their numbers.
        values: (k, ...) as they lie on the disk.

    Returns:
        (k,) BLAKE2b of 8 bytes over the number (8 bytes, little endian) and the row's bytes; never ``NO_DIGEST``.

    Raises:
        ValueError: Another number of values than of rows.
    """
    if len(values) != len(rows):
        raise ValueError(f"{len(rows)} row numbers for {len(values)} rows of values; give one each")
    if not len(rows):
        return np.empty(0, dtype=DIGEST_DTYPE)
    numbers = rows.astype("<u8").tobytes()
    data = np.ascontiguousarray(values).data.cast("B")
    size = len(data) // len(rows)
    found = []
    for index in range(len(rows)):
        digest = blake2b(numbers[_NUMBER_BYTES * index : _NUMBER_BYTES * (index + 1)], digest_size=_NUMBER_BYTES)
        digest.update(data[size * index : size * (index + 1)])
        found.append(digest.digest())
    digests = np.frombuffer(b"".join(found), dtype=DIGEST_DTYPE)
    return np.where(digests == NO_DIGEST, DIGEST_DTYPE.type(1), digests)


def digest_rows_of(array: NDArray[Any], rows: NDArray[np.int64]) -> Digests:
    """Hash some rows of an array that may be larger than the memory, as :func:`digest_rows` does.

    Args:
        array: (n, ...) for instance a memory map.
        rows: (k,) which rows.
    """
    step = max(1, _CHUNK_BYTES // max(1, array[:1].nbytes))
    parts = (rows[start : start + step] for start in range(0, len(rows), step))
    return np.concatenate([np.empty(0, DIGEST_DTYPE), *(digest_rows(part, array[part]) for part in parts)])


def fits(found: Digests, candidates: Sequence[Digests]) -> NDArray[np.bool_]:
    """Find which rows are as one of their writers left them.

    Args:
        found: (k,) of what stands there.
        candidates: (k,) each: what each rank wrote down; a row that was written again by another rank has several.

    Returns:
        (k,).
    """
    agree = np.zeros(len(found), dtype=np.bool_)
    for candidate in candidates:
        agree |= found == candidate
    return agree


def unite(candidates: Sequence[Digests], array: NDArray[Any]) -> Digests:
    """Unite the digests of all ranks to one a row.

    Args:
        candidates: Digests of each rank, (n,) each.
        array: (n, ...) the rows: where ranks disagree, the digest that the row has is the right one.

    Returns:
        (n,) ``NO_DIGEST`` for rows that no rank wrote. A row that has none of its digests keeps one of them, and so
        stays known as damaged.
    """
    united = np.zeros(len(array), dtype=DIGEST_DTYPE)
    disagree = np.zeros(len(array), dtype=np.bool_)
    for candidate in candidates:
        known = candidate != NO_DIGEST
        disagree |= known & (united != NO_DIGEST) & (united != candidate)
        united[known] = candidate[known]
    rows = np.flatnonzero(disagree)
    found = digest_rows_of(array, rows)
    right = fits(found, [candidate[rows] for candidate in candidates])
    united[rows[right]] = found[right]
    return united
