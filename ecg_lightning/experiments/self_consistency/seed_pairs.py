"""Means over patients and pairs of seeds with their intervals: raw, and above the floor without Monte-Carlo noise."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.experiments.self_consistency.measure import seed_pairs
from ecg_lightning.runs.run import Run
from ecg_lightning.statistics.effect import MIN_PATIENTS, Effect, patient_means
from ecg_lightning.statistics.seed_pairs import corrected_pair_effect, pair_effect

OVER_BOTH: Final = "t over patients and seeds"
TWO_SEEDS: Final = "none: two seeds"
FEW_PATIENTS: Final = f"none: fewer than {MIN_PATIENTS} patients"
UNDEFINED: Final = "none: undefined"


def raw_effect(values: NDArray[np.float64], patients: ArrayLike, seeds: Sequence[int]) -> Effect:
    """Mean similarity of two seeds' maps.

    Args:
        values: (ecg, pair), NaN where undefined.
        patients: (ecg,) whose ECG it is.
        seeds: Training repetitions.
    """
    return pair_effect(patient_means(values, patients)[0], seed_pairs(seeds))


def corrected_effect(
    values: NDArray[np.float64], noise: NDArray[np.float64], patients: ArrayLike, seeds: Sequence[int]
) -> Effect:
    """Mean similarity (or similarity less its floor) that maps without Monte-Carlo noise would have.

    Noise lowers the similarity with one's own map and with that of another patient alike, so that it divides their
    difference. It is a ratio of means over the same ECGs and pairs, so that no single small reliability decides it.

    Args:
        values: (ecg, pair), NaN where undefined.
        noise: (ecg, pair) of ``noise_of_pairs``.
        patients: (ecg,) whose ECG it is.
        seeds: Training repetitions.
    """
    known = np.isfinite(values) & np.isfinite(noise)
    above, below = (patient_means(np.where(known, part, np.nan), patients)[0] for part in (values, noise))
    return corrected_pair_effect(above, below, seed_pairs(seeds))


def noise_of_pairs(reliability: NDArray[np.float64] | None, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """What Monte-Carlo noise leaves of the correlation of two maps: the root of the product of their reliabilities.

    Args:
        reliability: (seed, ecg) given the backgrounds, which the seeds share; None of deterministic maps.
        shape: (ecg, pair).

    Returns:
        (ecg, pair) 1 of deterministic maps; NaN where a reliability is unknown or no positive number.
    """
    if reliability is None:
        return np.ones(shape)
    first, second = np.triu_indices(len(reliability), 1)
    product = reliability[first] * reliability[second]
    return np.sqrt(np.where(product > 0, product, np.nan)).T


def reliability_of(runs: Mapping[int, Run], rows: NDArray[np.int64], method: str) -> NDArray[np.float64] | None:
    """(seed, ecg) of a stochastic method's maps; None of a deterministic one.

    Args:
        runs: Seed -> run.
        rows: (seed, ecg) in which row of each run an ECG stands.
        method: Its name.
    """
    name = f"reliability/{method}"
    if not all((run.path / name).is_dir() for run in runs.values()):
        return None
    read = [run.row_store(name).read(own) for run, own in zip(runs.values(), rows, strict=True)]
    return np.stack(read).astype(np.float64)


def interval_of(effect: Effect, confidence: float) -> tuple[float, float, str]:
    """Low and high bound, and of what kind the interval is; NaN where there is none, with the reason."""
    if effect.n_seeds < 3:
        return np.nan, np.nan, TWO_SEEDS
    if int(effect.n_patients) < MIN_PATIENTS:
        return np.nan, np.nan, FEW_PATIENTS
    low, high = (float(bound) for bound in effect.interval(confidence))
    return low, high, OVER_BOTH if np.isfinite(low) else UNDEFINED
