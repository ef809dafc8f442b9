"""How far a Monte-Carlo map can be trusted to be its own limit: reliability from the run itself."""

import math

import torch
from torch import Tensor

from ecg_lightning.functional.smoothing import savitzky_golay


def mean_correlation(group_means: Tensor) -> Tensor:
    """Mean Pearson correlation of all pairs of independent estimates of one map, after smoothing.

    Args:
        group_means: (..., group, lead, sample), at least two groups.

    Returns:
        (...) float64; NaN where a group is constant or not finite: a constant map has no correlation.

    Raises:
        ValueError: Fewer than two groups.
    """
    groups = group_means.shape[-3]
    if groups < 2:
        raise ValueError(f"a correlation needs two groups or more, got {groups}")
    flat = savitzky_golay(group_means).flatten(-2)
    centred = flat - flat.mean(-1, keepdim=True)
    norm = centred.norm(dim=-1, keepdim=True)
    # Smoothing leaves a constant map with rounding errors, whose correlation would be a number that means nothing.
    least = torch.finfo(torch.float64).tiny + 1e-12 * math.sqrt(flat.shape[-1]) * flat.abs().amax(-1)
    constant = norm.squeeze(-1) <= least
    unit = centred / norm
    total = unit.sum(-2).square().sum(-1)
    result = (total - groups) / (groups * (groups - 1))
    return torch.where(constant.any(-1), torch.nan, result)


def split_reliability(group_means: Tensor) -> Tensor:
    """Reliability of the mean of the groups: the correlation that two such means of fresh draws would have.

    Spearman-Brown's formula on the mean correlation r of G groups: G r / (1 + (G - 1) r) (Br J Psychol 1910;3:271-322).
    Its square root predicts the correlation with the converged map (:func:`correlation_with_limit`). It is exact for
    independent draws; of draws that balance each other the mean of all is better than its groups tell, so that the
    prediction is on the safe side. Smoothed by Savitzky-Golay 31/3 as maps are when they are compared.

    Args:
        group_means: (..., group, lead, sample): means over disjoint groups of equally many draws.

    Returns:
        (...) float64 in [0, 1]; 0 where the groups do not agree at all, NaN where a group is constant.
    """
    groups = group_means.shape[-3]
    r = mean_correlation(group_means).clamp(min=0.0)
    return groups * r / (1.0 + (groups - 1) * r)


def correlation_with_limit(reliability: Tensor) -> Tensor:
    """Predicted correlation of a map with its converged limit: the square root of its reliability."""
    return reliability.clamp(min=0.0).sqrt()


def stopping_reliability(target_correlation: float) -> float:
    """The reliability to stop at so that maps end at a correlation with their limit.

    Stopping at the first look that is above a target overshoots it by chance, so the target is moved towards 1 by
    30 % of what is missing: to end at .99, stop at .993.

    Args:
        target_correlation: In (0, 1).

    Raises:
        ValueError: Outside (0, 1).
    """
    if not 0.0 < target_correlation < 1.0:
        raise ValueError(f"expected a correlation between 0 and 1, got {target_correlation}")
    return float((1.0 - 0.7 * (1.0 - target_correlation)) ** 2)
