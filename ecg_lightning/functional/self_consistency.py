"""Do networks of the same task agree on an ECG's map? (paper, experiment "Self-consistency").

Every pair of distinct training repetitions counts once. Resamples of the seeds weigh a pair by the product of how often
its two seeds were drawn; a seed is never compared with itself.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.functional.intervals import resampling_generator
from ecg_lightning.functional.similarity import STATISTICS, Statistic, similarity_matrices

MIN_SEEDS_FOR_INTERVAL: Final = 5
"""Fewer seeds are shown as a range: a bootstrap of two to four values is no interval (design, section 6)."""


def seed_pairs(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """All pairs of distinct seeds, in order.

    Raises:
        ValueError: A seed twice, or fewer than two.
    """
    if len(set(seeds)) != len(seeds) or len(seeds) < 2:
        raise ValueError(f"self-consistency needs two or more distinct seeds, got {list(seeds)}")
    return list(combinations(seeds, 2))


def self_consistency(maps: Tensor, statistics: Sequence[Statistic] = STATISTICS) -> dict[Statistic, Tensor]:
    """Similarity of an ECG's maps between every pair of seeds; each map is smoothed and ranked once.

    Args:
        maps: (ecg, seed, lead, sample) of one method.
        statistics: Which.

    Returns:
        Statistic -> (ecg, sign, pair) float64, signs as in ``SIGNS``, pairs as in ``seed_pairs``; NaN where either map
        is constant or not finite.
    """
    first, second = torch.triu_indices(maps.shape[1], maps.shape[1], 1)
    matrices = similarity_matrices(maps, statistics, scopes=("ecg",))
    return {statistic: matrix[:, 0, :, first, second] for statistic, matrix in matrices.items()}


def kendall_w(mean_rank_correlation: NDArray[np.float64], raters: int) -> NDArray[np.float64]:
    """Kendall's coefficient of concordance from the mean Spearman correlation of all pairs of raters.

    W = (1 + (m - 1) r) / m for rankings without ties (Kendall & Babington Smith, Ann Math Stat 1939;10:275-287): 1
    where all agree, 1 / m for rankings that have nothing to do with each other.

    Args:
        mean_rank_correlation: (...) mean over all pairs.
        raters: m, two or more.

    Returns:
        (...) float64.

    Raises:
        ValueError: Fewer than two raters.
    """
    if raters < 2:
        raise ValueError(f"concordance needs two raters or more, got {raters}")
    return (1.0 + (raters - 1) * np.asarray(mean_rank_correlation, dtype=np.float64)) / raters


def pair_weights(n_seeds: int, n_resamples: int, seed: int) -> NDArray[np.float64]:
    """Weights of the pairs of seeds in resamples of the seeds.

    Args:
        n_seeds: k.
        n_resamples: r.
        seed: Keys the draws.

    Returns:
        (r, pair) how often both seeds of a pair were drawn together; a resample of one seed alone has no pair and is
        drawn again.
    """
    generator = resampling_generator(seed)
    first, second = np.triu_indices(n_seeds, 1)
    counts = np.empty((0, n_seeds), dtype=np.int64)
    while len(counts) < n_resamples:
        drawn = generator.integers(0, n_seeds, size=(n_resamples, n_seeds))
        more = np.stack([np.bincount(row, minlength=n_seeds) for row in drawn])
        counts = np.concatenate([counts, more[(more > 0).sum(axis=1) > 1]])
    drawn_often: NDArray[np.float64] = counts[:n_resamples].astype(np.float64)
    return drawn_often[:, first] * drawn_often[:, second]


def mean_over_pairs(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over pairs for every weighting; a pair that is NaN is left out.

    Args:
        values: (..., pair).
        weights: (r, pair).

    Returns:
        (r, ...) NaN where no pair with a value has a weight.
    """
    known = ~np.isnan(values)
    total = np.tensordot(weights, known.astype(np.float64), axes=([1], [-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: NDArray[np.float64] = np.tensordot(weights, np.where(known, values, 0.0), axes=([1], [-1])) / total
    return mean
