"""This module computes the scores of predicted measurements under many weightings of the same ECGs, for a bootstrap.

An ECG that a resample draws twice has the weight 2: scores are those of the resample, ranks included, without building
it.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.functional.score_intervals import scores_with_intervals

Floats = NDArray[np.float64]

METRICS: Final = ("mae", "rmse", "r2", "pearson", "spearman")
"""What ``regression_metrics`` gives, in this order."""

_ROUNDING: Final = 1e-24
"""Share of the sum of squares below which a variance is rounding."""


def regression_metrics(
    prediction: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None
) -> dict[str, NDArray[np.float64]]:
    """Compute all scores of predicted measurements, for every weighting.

    Args:
        prediction: (n,) in the label's unit.
        label: (n,) NaN where missing; such ECGs are left out.
        weights: (r, n) how often each ECG counts, one row per resample; None counts each once (r = 1).

    Returns:
        Name -> (r,): mean absolute error and root mean squared error in the label's unit; R2, Pearson's and Spearman's
        correlation. NaN where a resample leaves it undefined: labels, or of the correlations predictions, all alike.

    Raises:
        ValueError: Shapes that do not agree, or a prediction that is not a number.
    """
    predicted, truth = np.asarray(prediction, dtype=np.float64), np.asarray(label, dtype=np.float64)
    counts = np.ones((1, len(truth))) if weights is None else np.asarray(weights, dtype=np.float64)
    if predicted.ndim != 1 or predicted.shape != truth.shape or counts.shape[1:] != truth.shape:
        raise ValueError(
            f"predictions are {predicted.shape}, labels {truth.shape} and weights {counts.shape}, expected (n,) and "
            "(resamples, n)"
        )
    known = ~np.isnan(truth)
    predicted, truth, counts = predicted[known], truth[known], counts[:, known]
    if np.isnan(predicted).any():
        raise ValueError(f"{int(np.isnan(predicted).sum())} of {len(predicted)} predictions are NaN")
    total = counts.sum(axis=1)
    error = predicted - truth
    with np.errstate(divide="ignore", invalid="ignore"):
        absolute, squared = counts @ np.abs(error) / total, counts @ error**2 / total
    return {
        "mae": absolute,
        "rmse": np.sqrt(squared),
        "r2": r2_of_columns(predicted[:, None], truth, counts)[:, 0],
        "pearson": _correlation(*np.broadcast_arrays(predicted, truth, counts)),
        "spearman": _correlation(_ranks(predicted, counts), _ranks(truth, counts), counts),
    }


def regression_metrics_with_intervals(
    prediction: ArrayLike,
    label: ArrayLike,
    patient_ids: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Compute all scores with percentile intervals that resample patients, as they stand in ``metrics.json``.

    Args:
        prediction: (n,) in the label's unit.
        label: (n,) NaN where missing.
        patient_ids: (n,) whose ECG it is.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Share of the replicates inside the interval.
        seed: Keys the resamples.

    Returns:
        Name -> ``value``, ``low``, ``high`` and ``undefined``, the number of resamples in which the score is not
        defined. With one patient there is no interval: ``low`` and ``high`` are NaN.
    """
    return scores_with_intervals(
        lambda weights: regression_metrics(prediction, label, weights),
        patient_ids,
        n_resamples=n_resamples,
        confidence=confidence,
        seed=seed,
    )


def r2_of_columns(prediction: Floats, label: Floats, weights: Floats) -> Floats:
    """Compute R2, 1 - sum of squared errors / sum of squared distances of the labels from their mean.

    Args:
        prediction: (n, column); NaN is left out of its column, with its label.
        label: (n,) in the same unit.
        weights: (r, n) how often each ECG counts.

    Returns:
        (r, column); negative where the mean of the labels would predict better, NaN where the labels are all alike.
    """
    there = np.isfinite(prediction) & np.isfinite(label)[:, None]
    centred = np.where(np.isfinite(label), label - np.nanmean(label) if np.isfinite(label).any() else 0.0, 0.0)[:, None]
    error = np.where(there, prediction - label[:, None], 0.0)
    count, sums, squares = (weights @ np.where(there, part, 0.0) for part in (1.0, centred, centred**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = squares - sums**2 / count
        alike = spread <= 1e-12 * squares
        return np.where(alike, np.nan, 1 - (weights @ error**2) / spread)


def _correlation(a: Floats, b: Floats, weights: Floats) -> Floats:
    """Pearson's correlation of (r, n) values under each weighting (r, n)."""
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        centred = [value - (weights * value).sum(axis=1, keepdims=True) / total for value in (a, b)]
        spreads = [(weights * value**2).sum(axis=1) for value in centred]
        correlation = (weights * centred[0] * centred[1]).sum(axis=1) / np.sqrt(spreads[0] * spreads[1])
    # values that are all alike differ from their mean by rounding only
    sizes = [(weights * value**2).sum(axis=1) for value in (a, b)]
    flat = np.any([spread <= _ROUNDING * size for spread, size in zip(spreads, sizes, strict=True)], axis=0)
    return np.where(flat, np.nan, np.clip(correlation, -1.0, 1.0))


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Mean ranks (r, n) of values (n,) in the resample of each weighting, equal values sharing one."""
    distinct, place = np.unique(values, return_inverse=True)
    of_value = np.zeros((len(weights), len(distinct)))
    for column, group in enumerate(place):
        of_value[:, group] += weights[:, column]
    ranks: Floats = (of_value.cumsum(axis=1) - (of_value - 1) / 2)[:, place]
    return ranks
