"""This module averages over pairs of training seeds, with a variance over patients and, by a jackknife, over seeds.

Pairs that share a seed are not independent, so seeds are left out one by one with all of their pairs (Efron, The
jackknife, the bootstrap and other resampling plans, 1982, chapter 3).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.statistics.effect import Effect, effect_of


def pair_effect(values: ArrayLike, pairs: Sequence[tuple[int, int]]) -> Effect:
    """Average over patients and pairs of seeds.

    Args:
        values: (patient, pair, ...) such as the correlation of two seeds' maps, averaged over the patient's ECGs. A
            pair that a patient has no value (NaN) of is left out of the patient's mean.
        pairs: The two seeds of each pair.

    Returns:
        Effects of shape (...). Two seeds make one pair, which says nothing of other seeds: the variance is NaN.

    Raises:
        ValueError: See :func:`corrected_pair_effect`.

    Example:
        >>> effect = pair_effect([[0.5, 0.6, 0.7], [0.4, 0.5, 0.6]], [(0, 1), (0, 2), (1, 2)])
        >>> print(f"{effect.estimate:.2f} over {effect.n_seeds} seeds and {effect.n_patients} patients")
        0.55 over 3 seeds and 2 patients
    """
    table = np.asarray(values, dtype=np.float64)
    return corrected_pair_effect(table, np.where(np.isfinite(table), 1.0, np.nan), pairs)


def corrected_pair_effect(difference: ArrayLike, denominator: ArrayLike, pairs: Sequence[tuple[int, int]]) -> Effect:
    """Divide two means over patients and pairs of seeds: a similarity corrected for the noise of the maps.

    The ratio is linearised per patient, and both means are jackknifed together over the seeds.

    Args:
        difference: (patient, pair, ...) similarity of two seeds' maps less its floor, averaged over the patient's ECGs.
        denominator: (patient, pair, ...) root of the product of both maps' reliabilities; 1 for deterministic methods.
            A cell that has no value (NaN) in either is left out of both.
        pairs: The two seeds of each pair.

    Returns:
        Effects of shape (...). ``n_left_out`` counts patients without any value. The variance is NaN with fewer than
        two patients or three seeds, or where leaving out a seed leaves nothing.

    Raises:
        ValueError: Shapes that do not agree, a pair twice, or a seed with itself.
    """
    above, below = np.asarray(difference, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    members = _members(pairs)
    if above.ndim < 2 or above.shape != below.shape or above.shape[1] != len(members):
        raise ValueError(
            f"expected two tables (patient, pair, ...) of {len(members)} pairs, got {above.shape} and {below.shape}"
        )
    known = np.isfinite(above) & np.isfinite(below)
    above, below = np.where(known, above, 0.0), np.where(known, below, 0.0)
    patients, seeds = known.any(axis=1).sum(axis=0), members.shape[1]
    ratio, contributions = _ratio(above, below, known, np.ones(len(members)))
    without = np.stack([_ratio(above, below, known, 1.0 - members[:, seed])[0] for seed in range(seeds)])
    with np.errstate(invalid="ignore", divide="ignore"):
        over_patients = (contributions**2).sum(axis=0) * patients / (patients - 1)
    over_seeds = (seeds - 1) / seeds * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    return effect_of(
        ratio,
        variances=[np.where(patients > 1, over_patients, np.nan), over_seeds if seeds > 2 else over_seeds * np.nan],
        df=[patients - 1, np.full_like(patients, seeds - 1)],
        third_moment=(contributions**3).sum(axis=0),
        size=np.abs(above).max(axis=(0, 1), initial=0.0),
        n_patients=patients,
        n_left_out=len(above) - patients,
        n_seeds=seeds,
    )


def _ratio(
    above: NDArray[np.float64], below: NDArray[np.float64], known: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ratio of the means over patients of the means over weighted pairs, (...), and each patient's share in its error.

    Args:
        above: (patient, pair, ...), 0 where not known.
        below: (patient, pair, ...), 0 where not known.
        known: (patient, pair, ...).
        weights: Weight of each pair, (pair,).
    """
    count = np.tensordot(known, weights, axes=([1], [0]))  # (patient, ...)
    there = count > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        numerator, denominator = (
            np.where(there, np.tensordot(part, weights, axes=([1], [0])) / count, 0.0) for part in (above, below)
        )
        ratio = numerator.sum(axis=0) / denominator.sum(axis=0)
        contributions = np.where(there, numerator - ratio * denominator, 0.0) / denominator.sum(axis=0)
    undefined = denominator.sum(axis=0) <= 0  # reliability that is not positive corrects nothing
    return np.where(undefined, np.nan, ratio), contributions


def _members(pairs: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """(pair, seed) 1 where the seed is in the pair."""
    seeds = np.asarray(pairs)
    if seeds.ndim != 2 or seeds.shape[1] != 2 or (seeds[:, 0] == seeds[:, 1]).any():
        raise ValueError(f"expected pairs of distinct seeds, got {list(pairs)}")
    if len(np.unique(np.sort(seeds, axis=1), axis=0)) != len(seeds):
        raise ValueError(f"a pair of seeds stands there twice: {list(pairs)}")
    members: NDArray[np.float64] = (seeds[:, :, None] == np.unique(seeds)).any(axis=1).astype(np.float64)
    return members
