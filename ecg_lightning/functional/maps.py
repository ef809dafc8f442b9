"""This module counts maps that no correlation can be computed of."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BLOCK = 256
"""Maps in memory at a time (5 MB)."""


class UnusableMaps(NamedTuple):
    """The unusable maps are counted, since they can't be compared.

    Attributes:
        done: Maps looked at.
        constant: Finite maps with one value only; no correlation is defined for them.
        not_finite: Maps with a NaN or an infinity.
    """

    done: int
    constant: int
    not_finite: int


def count_unusable(maps: NDArray[np.floating], done: NDArray[np.bool_]) -> UnusableMaps:
    """Count maps that are constant or not finite.

    Args:
        maps: (n, lead, sample), for instance the memory map of a store.
        done: (n,) which rows to look at.

    Raises:
        ValueError: ``done`` does not say yes or no to each map.
    """
    if done.shape != maps.shape[:1] or done.dtype != np.bool_:
        raise ValueError(f"done is {done.dtype} {done.shape}, expected bool {maps.shape[:1]}, one for each map")
    constant = not_finite = 0
    rows = np.flatnonzero(done)
    for start in range(0, len(rows), _BLOCK):
        block = np.asarray(maps[rows[start : start + _BLOCK]]).reshape(len(rows[start : start + _BLOCK]), -1)
        finite = np.isfinite(block).all(axis=1)
        not_finite += int((~finite).sum())
        constant += int((block[finite].max(axis=1) == block[finite].min(axis=1)).sum()) if finite.any() else 0
    return UnusableMaps(len(rows), constant, not_finite)
