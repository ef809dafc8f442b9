"""A sample of what is computed from the maps themselves: similarity, localization scores, shapes, self-consistency."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

Array = NDArray[np.float64]

SIGNS = ("native", "absolute")
SCOPES = ("ecg", "lead")
_TIES = 1e-12  # of the largest magnitude: what the filter's rounding does to a plateau is no order


def smoothed(one: Array, window: int | None = 31, order: int = 3) -> Array:
    """(lead, sample), smoothed along time; NaN everywhere where it is not finite somewhere."""
    if not np.isfinite(one).all():
        return np.full_like(one, np.nan)
    return one if window is None else savgol_filter(one, window, order, axis=-1)


def vectors(one: Array, statistic: str, scope: str, sign: str, window: int | None = 31) -> Array:
    """(part, point) what is correlated: all points, or those of each lead; ranks of them; NaN where nothing varies."""
    values = smoothed(one, window)
    values = np.abs(values) if sign == "absolute" else values
    parts = values.reshape(1, -1) if scope == "ecg" else values
    varies = np.array([np.isfinite(part).all() and not _constant(part) for part in parts])
    ranked = np.stack([_ranks(part) for part in parts]) if statistic == "spearman" else parts
    return np.where(varies[:, None], ranked, np.nan)


def correlation(a: Array, b: Array) -> float:
    """Of two maps' vectors: the mean over the parts that vary in both."""
    each = [np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True) if np.isfinite(x).all() and np.isfinite(y).all()]
    return float(np.mean(each)) if each else np.nan


def similarity(a: Array, b: Array, statistic: str, scope: str, sign: str, window: int | None = 31) -> float:
    """Of two maps (lead, sample): over all points, or the mean over leads."""
    return correlation(*(vectors(one, statistic, scope, sign, window) for one in (a, b)))


def _constant(values: Array) -> bool:
    return bool(np.ptp(values) <= _TIES * np.abs(values).max())


def _ranks(values: Array) -> Array:
    """Mean ranks; neighbours in order that are no further apart than rounding are ties."""
    order = np.argsort(values)
    groups = np.cumsum(np.diff(values[order], prepend=values[order[0]]) > _TIES * np.abs(values).max())
    tied = np.empty(len(values))
    tied[order] = groups
    return rankdata(tied)


def localization(one: Array, inside: NDArray[np.bool_]) -> dict[str, float]:
    """Scores of |map| against a region, both (lead, sample)."""
    size, mask = np.abs(one).ravel(), inside.ravel()
    names = ("relevance_mass", "relevance_rank_accuracy", "pointing_game", "auroc")
    n = int(mask.sum())
    if not np.isfinite(size).all() or size.max() == size.min() or n in (0, len(mask)):
        return dict.fromkeys(names, np.nan)
    last = np.sort(size)[::-1][n - 1]
    greater, equal = size > last, size == last
    hits = (greater & mask).sum() + (n - greater.sum()) * (equal & mask).sum() / equal.sum()
    found = (size[mask].sum() / size.sum(), hits / n, mask[size == size.max()].mean(), roc_auc_score(mask, size))
    return {name: float(value) for name, value in zip(names, found, strict=True)}


def sparseness(one: Array) -> float:
    """Gini's coefficient of |map|, by its definition from sorted values."""
    size = np.sort(np.abs(one).ravel())
    if not np.isfinite(size).all() or size.sum() == 0:
        return np.nan
    n = len(size)
    return float((2 * np.arange(1, n + 1) - n - 1) @ size / (n * size.sum()))


def complexity(one: Array) -> float:
    """Entropy of |map| as shares of its sum, nat."""
    size = np.abs(one).ravel()
    if not np.isfinite(size).all() or size.sum() == 0:
        return np.nan
    share = size[size > 0] / size.sum()
    return float(-(share * np.log(share)).sum())


def network_free(ecg: NDArray[np.float32]) -> dict[str, Array]:
    """Of an ECG (lead, sample) mV: its magnitude and the magnitude of its slope (mV/s), which draw nothing.

    In single precision, as all maps are: otherwise slopes that tie by the beats' microvolts would not.
    """
    slope = np.abs(np.gradient(ecg, np.float32(1 / 500), axis=-1))
    return {"absolute_input": np.abs(ecg).astype(float), "absolute_slope": slope.astype(float)}
