"""This module averages over ECGs what is measured per ECG, with intervals that resample patients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.functional.intervals import patient_bootstrap, weighted_mean


@dataclass(frozen=True)
class EcgMeans:
    """The ECG means are one mean a measured quantity; an ECG without a value (NaN) is left out and counted.

    Attributes:
        mean: (...) over ECGs, NaN where none has a value.
        low: (...) lower bound of the interval, NaN with fewer than two patients.
        high: (...) upper bound.
        sd: (...) standard deviation over ECGs (n - 1), NaN for fewer than two values.
        defined: (...) number of ECGs with a value.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sd: NDArray[np.float64]
    defined: NDArray[np.int64]


def mean_over_ecgs(
    values: ArrayLike,
    patient_ids: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> EcgMeans:
    """Average every quantity over ECGs, with a percentile interval that resamples patients.

    Args:
        values: (n, ...) one entry an ECG; NaN where it has no value.
        patient_ids: (n,) whose ECG it is.
        n_resamples: Number of patient resamples.
        confidence: Confidence level of the interval.
        seed: Keys the draws; quantities that are compared share it.

    Raises:
        ValueError: As for :func:`ecg_lightning.functional.intervals.patient_bootstrap`, but for a single patient.
    """
    table, ids = np.asarray(values, dtype=np.float64), np.asarray(patient_ids)
    if table.ndim < 1 or ids.shape != table.shape[:1]:
        raise ValueError(f"values are {table.shape} and patient_ids {ids.shape}, expected (n, ...) and (n,)")
    mean = weighted_mean(table, np.ones((1, len(table))))[0]
    low = high = np.full_like(mean, np.nan)
    if len(np.unique(ids)) > 1:
        low, high = patient_bootstrap(
            lambda weights: weighted_mean(table, weights),
            ids,
            n_resamples=n_resamples,
            confidence=confidence,
            seed=seed,
        ).interval
    return EcgMeans(mean, low, high, _deviation(table, mean), (~np.isnan(table)).sum(axis=0))


def _deviation(table: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = np.nansum((table - mean) ** 2, axis=0)
    freedom = (~np.isnan(table)).sum(axis=0) - 1
    return np.asarray(np.sqrt(squares / np.where(freedom > 0, freedom, np.nan)), dtype=np.float64)
