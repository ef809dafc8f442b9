"""Do networks of the same task agree on an ECG's map? (paper, experiment "Self-consistency").

Every pair of distinct training repetitions counts once. Maps of *different* patients are alike too, as all median beats
are aligned at the QRS: that is the floor, above which agreement begins.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.functional.similarity import STATISTICS, Statistic, correlated_vectors
from ecg_lightning.functional.smoothing import WINDOW


def seed_pairs(seeds: Sequence[int]) -> list[tuple[int, int]]:
    """All pairs of distinct seeds, in order.

    Raises:
        ValueError: A seed twice, or fewer than two.
    """
    if len(set(seeds)) != len(seeds) or len(seeds) < 2:
        raise ValueError(f"self-consistency needs two or more distinct seeds, got {list(seeds)}")
    return list(combinations(seeds, 2))


def self_consistency(
    maps: Tensor,
    ecgs: Tensor,
    partners: Tensor,
    statistics: Sequence[Statistic] = STATISTICS,
    window: int = WINDOW,
) -> tuple[Tensor, Tensor]:
    """Similarity of an ECG's maps between every pair of seeds, and of its maps with those of another patient.

    The floor of a pair (a, b) is the mean of two similarities: a's map of the ECG with b's map of its partner, and b's
    map of the ECG with a's map of its partner. Each map is smoothed and ranked once.

    Args:
        maps: (map, seed, lead, sample) of one method.
        ecgs: (ecg,) places in ``maps`` of the ECGs that are asked for.
        partners: (ecg, pair) places in ``maps`` of each ECG's partner; -1 for none.
        statistics: Which.
        window: Samples of the smoothing filter, odd.

    Returns:
        Self-consistency and floor, (ecg, statistic, sign, pair) float64, signs as in ``SIGNS``, pairs as in
        ``seed_pairs``; NaN where either map is constant or not finite, or where there is no partner.
    """
    seeds = maps.shape[1]
    first, second = torch.triu_indices(seeds, seeds, 1)
    wanted, pair = (partners >= 0).nonzero(as_tuple=True)
    met = torch.stack([ecgs[wanted], partners[wanted, pair]], dim=1)  # mostly the same partner for every pair
    meetings, place = torch.unique(met, dim=0, return_inverse=True)
    own, floor = [], []
    for vectors in correlated_vectors(maps, statistics, window):
        for unit in vectors.values():  # (map, seed, point)
            asked = unit[ecgs]
            own.append(_products(asked, asked)[:, first, second])
            similarity = _products(unit[meetings[:, 0]], unit[meetings[:, 1]])
            lowest = torch.full(partners.shape, torch.nan, dtype=torch.float64)
            lowest[wanted, pair] = similarity[place, first[pair], second[pair]]
            floor.append(lowest)
    return _by_statistic(own, len(statistics)), _by_statistic(floor, len(statistics))


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


def _products(a: Tensor, b: Tensor) -> Tensor:
    """(n, seed, point) twice -> (n, seed, seed), seeds exchanged averaged in."""
    matrix = (a @ b.mT).clamp(-1.0, 1.0)
    return (matrix + matrix.mT) / 2


def _by_statistic(found: Sequence[Tensor], n_statistics: int) -> Tensor:
    """(ecg, pair) of every sign and, within it, statistic -> (ecg, statistic, sign, pair)."""
    stacked = torch.stack(list(found), dim=1)  # (ecg, sign * statistic, pair)
    return stacked.reshape(len(stacked), -1, n_statistics, stacked.shape[-1]).transpose(1, 2)
