"""Is a method better than maps that know nothing of the network?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.functional.intervals import percentile_interval
from ecg_lightning.statistics.multiplicity import holm


class ControlComparison(NamedTuple):
    """Methods against the best control.

    Attributes:
        difference: (method,) score less the best control's.
        low: (method,) of its percentile interval.
        high: (method,).
        p: (method,) two-sided, from the resamples; NaN where the difference is not defined.
        p_holm: (method,) adjusted for the number of methods.
    """

    difference: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    p_holm: NDArray[np.float64]


def compare_with_best_control(
    scores: ArrayLike,
    controls: ArrayLike,
    replicates: ArrayLike,
    control_replicates: ArrayLike,
    confidence: float = 0.95,
) -> ControlComparison:
    """Difference of every method's score to that of the best control, by the same resamples of the patients.

    Which control is best is decided anew in every resample. That is to the methods' disadvantage: the greatest of
    several noisy scores is on average above the greatest true one (design, section 6, "Statistics").

    Args:
        scores: (method,) where more is better.
        controls: (control,).
        replicates: (r, method) the methods' scores in every resample.
        control_replicates: (r, control) the controls' in the same resamples.
        confidence: Of the interval.

    Returns:
        The comparison. Everything is NaN for a method without a score, and for all where no control has one.

    Raises:
        ValueError: Shapes that do not agree, or no control.
    """
    own, others = np.asarray(scores, dtype=np.float64), np.asarray(controls, dtype=np.float64)
    drawn, drawn_others = np.asarray(replicates, dtype=np.float64), np.asarray(control_replicates, dtype=np.float64)
    fits = drawn.shape[1:] == own.shape and drawn_others.shape[1:] == others.shape and len(drawn) == len(drawn_others)
    if own.ndim != 1 or not others.size or not fits:
        raise ValueError(
            "expected scores (method,), at least one control (control,) and their replicates (r, method), "
            f"(r, control); got {own.shape}, {others.shape}, {drawn.shape} and {drawn_others.shape}"
        )
    difference = own - _greatest(others[None])[0]
    spread = drawn - _greatest(drawn_others)[:, None]
    interval = percentile_interval(spread, confidence)
    unknown = np.isnan(difference)
    p = np.where(unknown, np.nan, two_sided_p(spread))
    return ControlComparison(
        difference, np.where(unknown, np.nan, interval.low), np.where(unknown, np.nan, interval.high), p, holm(p)
    )


def two_sided_p(replicates: ArrayLike) -> NDArray[np.float64]:
    """Bootstrap p-value of a difference being 0: twice the smaller share of replicates on either side.

    Counted with one more on each side, so that no finite number of resamples gives 0 (Davison & Hinkley 1997, 4.2).

    Args:
        replicates: (r, ...) of the difference; NaN is left out.

    Returns:
        (...) in (0, 1]; NaN where every replicate is NaN.
    """
    values = np.asarray(replicates, dtype=np.float64)
    known = (~np.isnan(values)).sum(axis=0)
    below, above = (values <= 0).sum(axis=0), (values >= 0).sum(axis=0)
    p = np.minimum(2.0 * (np.minimum(below, above) + 1) / (known + 1), 1.0)
    return np.where(known > 0, p, np.nan)


def _greatest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Greatest of the last axis, leaving NaN out; NaN where there is nothing else."""
    known = ~np.isnan(values)
    return np.where(known.any(axis=-1), np.where(known, values, -np.inf).max(axis=-1), np.nan)
