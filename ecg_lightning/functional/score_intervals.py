"""Several scores of a network at once, with intervals over patients."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.functional.intervals import patient_bootstrap


def scores_with_intervals(
    scores: Callable[[ArrayLike | None], Mapping[str, NDArray[np.float64]]],
    patient_ids: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Compute scores with percentile intervals that resample patients, as they stand in ``metrics.json``.

    Args:
        scores: Weights (k, n), or None for every ECG once -> name -> (k,).
        patient_ids: (n,) whose ECG it is.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Share of the replicates inside the interval.
        seed: Keys the resamples.

    Returns:
        Name -> ``value``, ``low``, ``high`` and ``undefined``, the number of resamples in which the score is not
        defined. With one patient there is no interval: ``low`` and ``high`` are NaN.
    """
    once = scores(None)
    if len(np.unique(np.asarray(patient_ids))) < 2:
        none = {"low": np.nan, "high": np.nan, "undefined": float(n_resamples)}
        return {name: {"value": float(value[0]), **none} for name, value in once.items()}

    def stacked(weights: NDArray[np.uint16]) -> NDArray[np.float64]:
        return np.stack(list(scores(weights).values()), axis=1)

    found = patient_bootstrap(stacked, patient_ids, n_resamples=n_resamples, confidence=confidence, seed=seed).interval
    sides = zip(once.items(), found.low, found.high, found.undefined, strict=True)
    return {
        name: {"value": float(value[0]), "low": float(low), "high": float(high), "undefined": float(undefined)}
        for (name, value), low, high, undefined in sides
    }
