"""This module adjusts p-values for several tests at once."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Apply Holm's adjustment for several tests (Scand J Stat 1979;6:65-70).

    Args:
        p: (...) p-values; NaN stands for a test that was not made and does not count.

    Returns:
        (...) adjusted p-values, at most 1.

    Raises:
        ValueError: A p-value outside [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=np.float64)
    flat = values.ravel()
    made = np.flatnonzero(~np.isnan(flat))
    if ((flat[made] < 0) | (flat[made] > 1)).any():
        raise ValueError(f"expected p-values between 0 and 1, got {values}")
    order = made[np.argsort(flat[made], kind="stable")]
    factors = len(made) - np.arange(len(made))
    adjusted = np.full_like(flat, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(flat[order] * factors), 1.0)
    return adjusted.reshape(values.shape)


def bonferroni(p: ArrayLike) -> float:
    """Multiply the smallest p-value by the number of tests, at most 1: p of "one of these holds".

    Example:
        >>> bonferroni([0.01, 0.5, 0.2])
        0.03
    """
    values = np.asarray(p, dtype=np.float64)
    return float(min(values.min() * values.size, 1.0))
