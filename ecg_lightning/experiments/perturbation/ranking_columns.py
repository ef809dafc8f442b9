"""AUROC and average precision of many scores of the same ECGs under many weightings, as matrix products.

A bootstrap of a thousand curves' steps sorts nothing: which positive beats which negative is a matrix that all
resamples share. :mod:`ecg_lightning.functional.classification` has the same numbers for one score and any number of
ECGs.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

_AT_ONCE: Final = 1 << 24
"""Values in memory at a time (64 MB)."""

_EXACT_SINGLE: Final = 1 << 24
"""Whole numbers up to this are exact in float32."""


def auroc_of_columns(
    positives: Floats, negatives: Floats, weights_of_positives: Floats, weights_of_negatives: Floats
) -> NDArray[np.float64]:
    """Area under the ROC curve of every column and weighting, ties counting one half.

    Args:
        positives: (p, column) scores; NaN is left out of its column.
        negatives: (q, column).
        weights_of_positives: (r, p) how often each ECG counts, whole numbers.
        weights_of_negatives: (r, q).

    Returns:
        (r, column); NaN where a weighting leaves a column with one class only.
    """
    _check(positives, negatives, weights_of_positives, weights_of_negatives)
    most = 2 * weights_of_positives.sum(axis=1).max(initial=0) * weights_of_negatives.sum(axis=1).max(initial=0)
    dtype: type[np.floating] = np.float32 if most < _EXACT_SINGLE else np.float64
    first, second = weights_of_positives.astype(dtype), weights_of_negatives.astype(dtype)
    areas = np.full((len(first), positives.shape[1]), np.nan)
    for some in _columns(positives, len(first)):
        a, b = positives[None, :, some], negatives[:, None, some]
        wins = (2 * (a > b) + (a == b)).astype(dtype)  # (q, p, column)
        total = np.matmul(first[:, None], _weighted(second, wins))[:, 0]
        pairs = (first @ np.isfinite(a[0])) * (second @ np.isfinite(b[:, 0]))
        np.divide(total, 2 * pairs, out=areas[:, some], where=pairs > 0, dtype=np.float64, casting="unsafe")
    return areas


def average_precision_of_columns(
    positives: Floats, negatives: Floats, weights_of_positives: Floats, weights_of_negatives: Floats
) -> NDArray[np.float64]:
    """Average precision of every column and weighting, as of ``ranking_scores``; arguments as above.

    Returns:
        (r, column); NaN where a weighting leaves a column with one class only.
    """
    _check(positives, negatives, weights_of_positives, weights_of_negatives)
    first, second = weights_of_positives.astype(np.float32), weights_of_negatives.astype(np.float32)
    found = np.full((len(first), positives.shape[1]), np.nan)
    for some in _columns(positives, len(first)):
        own = positives[None, :, some]
        true, called = (
            _weighted(weights, (other[:, None, some] >= own).astype(np.float32))
            for weights, other in ((first, positives), (second, negatives))
        )  # (r, p, column) at each positive's score
        called += true
        true /= np.maximum(called, 1, out=called)  # below 1 only where nothing counts
        total = np.matmul(first[:, None], true)[:, 0]
        known = first @ np.isfinite(own[0])
        both = (known > 0) & (second @ np.isfinite(negatives[:, some]) > 0)
        np.divide(total, known, out=found[:, some], where=both, dtype=np.float64, casting="unsafe")
    return found


def _weighted(weights: Floats, kernel: Floats) -> Floats:
    """(r, n) weights and (n, p, column) -> (r, p, column) sums over n."""
    flat = kernel.reshape(len(kernel), kernel.shape[1] * kernel.shape[2])
    summed: Floats = (weights @ flat).reshape(len(weights), *kernel.shape[1:])
    return summed


def _columns(positives: Floats, weightings: int) -> Iterator[slice]:
    """Columns that fit into memory together."""
    size = max(1, _AT_ONCE // max(1, len(positives) * weightings))
    yield from (slice(start, start + size) for start in range(0, positives.shape[1], size))


def _check(positives: Floats, negatives: Floats, of_positives: Floats, of_negatives: Floats) -> None:
    rows = (len(positives), len(negatives)) == (of_positives.shape[1], of_negatives.shape[1])
    if not rows or positives.shape[1:] != negatives.shape[1:] or len(of_positives) != len(of_negatives):
        raise ValueError(
            "expected scores (p, column), (q, column) and weights (r, p), (r, q), got "
            f"{positives.shape}, {negatives.shape}, {of_positives.shape} and {of_negatives.shape}"
        )
