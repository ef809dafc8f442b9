"""Means over ECGs, seeds and targets of what the runs of a study have measured."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.functional.intervals import interval_of_weightings, weighted_mean, weightings
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.statistics.interval_settings import IntervalSettings


@dataclass(frozen=True)
class RunMeans:
    """A quantity's mean over ECGs, then over seeds, then over targets.

    Attributes:
        mean: (...) of the quantity.
        low: (...) of its interval, patients resampled, the same ones in every run.
        high: (...).
        sd: (...) standard deviation over all ECGs of all runs.
        n_values: (...) ECGs of all runs with a value.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sd: NDArray[np.float64]
    n_values: NDArray[np.int64]


def means_over_runs(
    runs: dict[str, dict[int, Run]],
    values: Callable[[Run], tuple[NDArray[np.float64], NDArray[np.object_]]],
    settings: IntervalSettings,
) -> dict[str, RunMeans]:
    """Average what was measured per ECG over the runs of each target, and over all runs of a study.

    Every run is read and resampled once, for its target's mean and for that of all targets.

    Args:
        runs: Target -> seed -> run.
        values: Run -> (n, ...) values, NaN for none, and (n,) patients.
        settings: Of the interval.

    Returns:
        Target -> its means, and those over all targets under ``ALL_TARGETS``.

    Raises:
        ValueError: No run.
    """
    if not any(runs.values()):
        raise ValueError("expected one run or more, got none")
    resamples = _Resamples(settings)
    sums = {target: _sums(seeds.values(), values, resamples) for target, seeds in runs.items() if seeds}
    found = {target: _run_means([own], settings) for target, own in sums.items()}
    return {**found, ALL_TARGETS: _run_means(list(sums.values()), settings)}


class _Resamples:
    """Weightings of the patients that were asked for last: the runs of a study mostly share their test ECGs."""

    def __init__(self, settings: IntervalSettings) -> None:
        self.settings = settings
        self._last: tuple[NDArray[np.object_], NDArray[np.float64]] | None = None

    def __call__(self, patients: NDArray[np.object_]) -> NDArray[np.float64]:
        if self._last is None or not np.array_equal(self._last[0], patients):
            self._last = patients, weightings(patients, self.settings.n_resamples, self.settings.seed)
        return self._last[1]


@dataclass(frozen=True)
class _TargetSums:
    """What one pass over a target's runs leaves; sums are over the ECGs of all its runs.

    Attributes:
        replicates: (1 + r, ...) mean over ECGs, then over seeds, the first of them the estimate.
        total: (...) sum of the values.
        squares: (...) sum of their squares.
        count: (...) ECGs with a value.
    """

    replicates: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    count: NDArray[np.int64]


def _sums(
    runs: Iterable[Run],
    values: Callable[[Run], tuple[NDArray[np.float64], NDArray[np.object_]]],
    resamples: _Resamples,
) -> _TargetSums:
    means, total, squares, count = [], 0.0, 0.0, 0  # arrays from the first run on
    for run in runs:
        own, patients = values(run)
        means.append(weighted_mean(own, resamples(patients)))
        total = total + np.nansum(own, axis=0)
        squares = squares + np.nansum(own**2, axis=0)
        count = count + np.isfinite(own).sum(axis=0)
    return _TargetSums(_mean(np.stack(means)), np.asarray(total), np.asarray(squares), np.asarray(count))


def _run_means(targets: Sequence[_TargetSums], settings: IntervalSettings) -> RunMeans:
    # ECGs of a single patient can't be resampled: their mean stands in every resample
    length = max(len(one.replicates) for one in targets)
    replicates = _mean(
        np.stack([np.broadcast_to(one.replicates, (length, *one.replicates.shape[1:])) for one in targets])
    )  # (1 + r, ...)
    interval = interval_of_weightings(replicates, settings.confidence)
    count = np.sum([one.count for one in targets], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.sum([one.total for one in targets], axis=0) / count
        variance = np.sum([one.squares for one in targets], axis=0) / count - mean**2
    sd = np.sqrt(np.maximum(variance, 0.0))
    return RunMeans(replicates[0], interval.low, interval.high, sd, count)


def _mean(stacked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the first axis, without NaN."""
    known = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, stacked, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean
