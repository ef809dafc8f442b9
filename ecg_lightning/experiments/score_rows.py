"""Means of scores over the test ECGs, as tables show them: with intervals, and how many patients they are of."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.functional.intervals import interval_of_weightings, weighted_mean
from ecg_lightning.statistics.effect import patient_means


def score_rows(values: NDArray[np.float64], run: AuditedRun) -> pd.DataFrame:
    """One row a method.

    Args:
        values: (n, method), NaN where a score is not known.
        run: The run, with the ECGs that the values are of.

    Returns:
        ``method``; ``value``, the mean over ECGs with its interval ``low`` to ``high`` over resampled patients;
        ``patient_mean``, the mean over patients of the means of their ECGs; ``n_ecgs``, and ``n_patients`` with and
        ``n_patients_without`` the diagnosis, that count; ``n_resamples_undefined``, which hold no ECG with a score.
    """
    means = weighted_mean(values, run.weights)
    interval = interval_of_weightings(means, run.confidence)
    patients, ids = patient_means(values, run.patient_ids)
    have_it = np.isin(ids, run.patient_ids[run.has_it])[:, None]
    counted = np.isfinite(patients)
    return pd.DataFrame(
        {
            "method": list(run.names),
            "value": means[0],
            "low": interval.low,
            "high": interval.high,
            "patient_mean": weighted_mean(patients, np.ones((1, len(patients))))[0],
            "n_ecgs": np.isfinite(values).sum(axis=0),
            "n_patients": (counted & have_it).sum(axis=0),
            "n_patients_without": (counted & ~have_it).sum(axis=0),
            "n_resamples_undefined": interval.undefined,
        }
    )


def where_own_is_known(own: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores (...) of what stands in for a map, NaN where the own map's is: means are then of the same ECGs."""
    return np.where(np.isfinite(own), other, np.nan)


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Average the runs of a study: means over diagnoses, then the mean and the range of the seeds.

    Args:
        table: ``target, seed, method, map, value`` of one score.

    Returns:
        ``method, map, value, low, high``; the range is no interval, and NaN where there is one seed.
    """
    of_seed = table.groupby(["method", "map", "seed"], sort=False)["value"].mean().reset_index()
    span = of_seed.groupby(["method", "map"], sort=False)["value"].agg(value="mean", low="min", high="max")
    if table["seed"].nunique() == 1:
        span[["low", "high"]] = np.nan
    return span.reset_index()
