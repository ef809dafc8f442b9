"""Confidence intervals resample patients, never ECGs: the ECGs of one patient are no independent facts.

A resample is a row of weights: how often each ECG's patient was drawn.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.randomness import STREAMS, keyed_number, numpy_generator

_CHUNK_ELEMENTS = 1 << 22
"""Weights that are in memory at once."""


@dataclass(frozen=True)
class Interval:
    """An interval holds the bounds of a statistic; ``low, high = interval`` unpacks it.

    Attributes:
        low: (...) lower bound, NaN where no replicate is defined.
        high: (...) upper bound.
        undefined: (...) number of replicates that are NaN and were left out.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    undefined: NDArray[np.int64]

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        return iter((self.low, self.high))


@dataclass(frozen=True)
class Bootstrap:
    """A bootstrap holds a statistic, its interval and the replicates that the interval was made of.

    Attributes:
        estimate: (...) the statistic with every ECG counted once.
        interval: Percentile interval of the replicates.
        replicates: (r, ...) the statistic of every resample.
    """

    estimate: NDArray[np.float64]
    interval: Interval
    replicates: NDArray[np.float64]


def patient_resamples(patient_ids: ArrayLike, n_resamples: int, seed: int) -> NDArray[np.uint16]:
    """Draw as many patients as there are, with replacement, many times.

    Args:
        patient_ids: (n,) whose ECG it is; strings or integers.
        n_resamples: r, how often to draw.
        seed: Keys the draws: the same patients and seed give the same draws whatever the order of the ECGs, and
            the first rows of a longer series are those of a shorter one.

    Returns:
        (r, n) how often each ECG's patient was drawn. Convert before arithmetic: uint16 wraps around.

    Raises:
        ValueError: Fewer than two patients, a missing id, another shape, or r < 1.
    """
    codes, n_patients = _patient_codes(patient_ids)
    weights = np.empty((n_resamples, len(codes)), dtype=np.uint16)
    start = 0
    for chunk in _draw(codes, n_patients, n_resamples, seed):
        weights[start : start + len(chunk)] = chunk
        start += len(chunk)
    return weights


def weightings(patient_ids: ArrayLike, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """Return weights that count every ECG once, then the resamples of the patients, for one call of a statistic.

    Args:
        patient_ids: (n,) whose ECG it is.
        n_resamples: Number of resamples, r.
        seed: Keys the draws, as in ``patient_resamples``.

    Returns:
        (1 + r, n); (1, n) where all ECGs are of one patient, who can't be resampled.
    """
    ids = np.asarray(patient_ids)
    once = np.ones((1, len(ids)))
    if len(np.unique(ids)) < 2:
        return once
    return np.concatenate([once, patient_resamples(ids, n_resamples, seed)])


def interval_of_weightings(values: ArrayLike, confidence: float) -> Interval:
    """Compute the percentile interval of a statistic under ``weightings``.

    Args:
        values: (1 + r, ...) the first of them the estimate.
        confidence: Share of the replicates inside.

    Returns:
        Bounds of shape (...), NaN where there are no replicates.
    """
    table = np.asarray(values, dtype=np.float64)
    if len(table) > 1:
        return percentile_interval(table[1:], confidence)
    nothing = np.full(table.shape[1:], np.nan)
    return Interval(nothing, nothing.copy(), np.zeros(table.shape[1:], dtype=np.int64))


def percentile_interval(replicates: ArrayLike, confidence: float = 0.95) -> Interval:
    """Compute the percentile interval over the first axis, with linear interpolation between replicates.

    NaN replicates (a resample without positives, for instance) are left out and counted.

    Args:
        replicates: (r, ...) the statistic of every resample.
        confidence: Share of the replicates inside, in (0, 1).

    Returns:
        Bounds of shape (...), and the number of undefined replicates.

    Raises:
        ValueError: No replicate, or a confidence outside of (0, 1).
    """
    values = np.asarray(replicates, dtype=np.float64)
    if values.ndim == 0 or len(values) < 1:
        raise ValueError(f"replicates are {values.shape}, expected (resamples, ...) with one or more resamples")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, expected a share between 0 and 1 such as 0.95")
    ordered = np.sort(values, axis=0)  # NaN last
    undefined = np.isnan(values).sum(axis=0)
    defined = len(values) - undefined
    tail = (1 - confidence) / 2
    return Interval(_quantile(ordered, defined, tail), _quantile(ordered, defined, 1 - tail), undefined)


def patient_bootstrap(
    statistic: Callable[[NDArray[np.uint16]], ArrayLike],
    patient_ids: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Bootstrap:
    """Bootstrap a statistic by patients, without holding all resamples in memory.

    Args:
        statistic: Weights (k, n), any k -> (k, ...), such as ``lambda w: auroc(score, label, w)``.
        patient_ids: (n,) whose ECG it is.
        n_resamples: Number of patient resamples.
        confidence: Share of the replicates inside the interval.
        seed: Keys the draws, as in ``patient_resamples``; statistics that are compared share it.

    Returns:
        Estimate, percentile interval and replicates.

    Raises:
        ValueError: As for ``patient_resamples``, or a statistic that does not give one result per weighting.
    """
    codes, n_patients = _patient_codes(patient_ids)
    once = _replicates(statistic, np.ones((1, len(codes)), dtype=np.uint16))
    draws = _draw(codes, n_patients, n_resamples, seed)
    replicates = np.concatenate([_replicates(statistic, chunk) for chunk in draws])
    return Bootstrap(once[0], percentile_interval(replicates, confidence), replicates)


def weighted_mean(values: ArrayLike, weights: ArrayLike) -> NDArray[np.float64]:
    """Average over ECGs for every weighting; a NaN (a similarity that is not defined) is left out of its mean.

    Args:
        values: (n, ...) one entry per ECG.
        weights: (r, n) how often each ECG counts.

    Returns:
        (r, ...) NaN where no ECG with a value has a weight.

    Raises:
        ValueError: Shapes that do not agree.
    """
    table, counts = np.asarray(values, dtype=np.float64), np.asarray(weights)
    if table.ndim == 0 or counts.ndim != 2 or counts.shape[1] != len(table):
        raise ValueError(f"values are {table.shape} and weights {counts.shape}, expected (n, ...) and (r, n)")
    flat = table.reshape(len(table), -1)
    there = ~np.isnan(flat)
    filled = np.where(there, flat, 0)
    counts = counts.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        means: NDArray[np.float64] = (counts @ filled) / (counts @ there.astype(np.float64))
    return means.reshape(len(counts), *table.shape[1:])


def resampling_generator(seed: int) -> np.random.Generator:
    """Return the generator that patients are drawn with: keyed by seed and purpose, apart from every other stream."""
    return numpy_generator(keyed_number(f"patient_resamples:{int(seed)}", STREAMS))


def _patient_codes(patient_ids: ArrayLike) -> tuple[NDArray[np.intp], int]:
    """Number the patients by their sorted ids, and count them."""
    ids = np.asarray(patient_ids)
    if ids.ndim != 1:
        raise ValueError(f"patient_ids are {ids.shape}, expected (n,), one per ECG")
    if any(name is None or name != name for name in ids.tolist()):
        raise ValueError("a patient id is missing (None or NaN); every ECG needs one to be resampled by patient")
    patients, codes = np.unique(ids, return_inverse=True)
    if len(patients) < 2:
        raise ValueError(f"{len(patients)} patient(s) in {len(ids)} ECGs; an interval needs two or more")
    return codes, len(patients)


def _draw(codes: NDArray[np.intp], n_patients: int, n_resamples: int, seed: int) -> Iterator[NDArray[np.uint16]]:
    """Resamples (k, n) in chunks; where they are cut does not change them."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples is {n_resamples}, expected 1 or more")
    generator = resampling_generator(seed)
    rows = max(1, _CHUNK_ELEMENTS // len(codes))
    for start in range(0, n_resamples, rows):
        k = min(rows, n_resamples - start)
        drawn = generator.integers(0, n_patients, size=(k, n_patients))
        drawn += n_patients * np.arange(k)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=k * n_patients).reshape(k, n_patients)
        yield counts.astype(np.uint16)[:, codes]


def _replicates(
    statistic: Callable[[NDArray[np.uint16]], ArrayLike], weights: NDArray[np.uint16]
) -> NDArray[np.float64]:
    values = np.asarray(statistic(weights), dtype=np.float64)
    if values.ndim == 0 or len(values) != len(weights):
        raise ValueError(
            f"the statistic gave {values.shape} for weights {weights.shape}, expected ({len(weights)}, ...): "
            "one result per row of weights"
        )
    return values


def _quantile(ordered: NDArray[np.float64], defined: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """Quantile of the first ``defined`` of each column of ``ordered``, by linear interpolation."""
    position = share * np.maximum(defined - 1, 0)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(defined - 1, 0))
    low = np.take_along_axis(ordered, below[None], axis=0)[0]
    high = np.take_along_axis(ordered, above[None], axis=0)[0]
    return np.asarray(low + (high - low) * (position - below), dtype=np.float64)
