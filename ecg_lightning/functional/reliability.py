"""This module says how far a Monte-Carlo map can be trusted to be its own limit: reliability from the run itself."""

import math
from itertools import combinations

import torch
from torch import Tensor

from ecg_lightning.functional.smoothing import WINDOW, savitzky_golay


def split_reliability(group_means: Tensor, weights: Tensor | None = None, window: int = WINDOW) -> Tensor:
    """Compute the reliability of the weighted mean of groups: the correlation of two such means of fresh draws.

    The groups are split into halves in every way. From the correlation r of two halves that make the shares p and
    q = 1 - p of the mean, with noise in proportion to 1 / p and 1 / q, the mean's reliability is
    2 r / (r + sqrt(r^2 + 4 p q (1 - r^2))) (Horst, Educ Psychol Meas 1951;11:368-371); for equal halves that is
    Spearman-Brown's formula. Halves are nearer to the whole than single groups: a few large draws, which make single
    groups of one map unlike, do so less in them. Groups need to be independent and of one expectation; of draws that
    balance each other across groups the mean is better than this says. The root predicts the correlation with the
    converged map. Maps are smoothed first, as they are when they are compared.

    Args:
        group_means: (..., group, lead, sample): means over disjoint groups of draws, at least two.
        weights: (group,) how much each counts in the mean, above 0; None: all alike.
        window: Samples of the smoothing filter, odd.

    Returns:
        (...) float64 in [0, 1]; 0 where halves do not agree at all, NaN where one is constant or not finite.

    Raises:
        ValueError: Fewer than two groups.
    """
    groups = group_means.shape[-3]
    if groups < 2:
        raise ValueError(f"a reliability needs two groups or more, got {groups}")
    share = torch.ones(groups) if weights is None else weights
    share = (share / share.sum()).to(group_means.device, torch.float64)
    flat = savitzky_golay(group_means, window).flatten(-2)  # (..., group, point)
    parts = (flat - flat.mean(-1, keepdim=True)) * share[:, None]
    first = _halves(groups).to(parts)  # (split, group)
    p, sums = first @ share, (first @ parts, (1.0 - first) @ parts)  # (split,), 2 x (..., split, point)
    norms = [half.norm(dim=-1) for half in sums]
    # Smoothing leaves a constant map with rounding errors, whose correlation would be a number that means nothing.
    least = torch.finfo(torch.float64).tiny + 1e-12 * math.sqrt(flat.shape[-1]) * flat.abs().amax((-2, -1))[..., None]
    r = ((sums[0] * sums[1]).sum(-1) / (norms[0] * norms[1])).clamp(0.0, 1.0)
    whole = 2.0 * r / (r + (r.square() + 4.0 * p * (1.0 - p) * (1.0 - r.square())).sqrt())
    constant = (norms[0] <= least * p) | (norms[1] <= least * (1.0 - p))
    return torch.where(constant, torch.nan, whole).mean(-1)


def _halves(groups: int) -> Tensor:
    """Every split of groups into two halves, (split, group): 1 for those of the first half."""
    chosen = list(combinations(range(groups), groups // 2))
    if groups % 2 == 0:
        chosen = chosen[: len(chosen) // 2]  # the others are these, with the halves exchanged
    return torch.zeros(len(chosen), groups).scatter_(1, torch.tensor(chosen), 1.0)


def stopping_reliability(target_correlation: float) -> float:
    """Return the reliability to stop at so that maps end at a correlation with their limit.

    Stopping at the first look that is above a target overshoots it by chance, so the target is moved towards 1 by
    30 % of what is missing: to end at .99, stop at .993.

    Args:
        target_correlation: Correlation with the limit that maps shall have, in (0, 1).

    Raises:
        ValueError: Outside (0, 1).
    """
    if not 0.0 < target_correlation < 1.0:
        raise ValueError(f"expected a correlation between 0 and 1, got {target_correlation}")
    return float((1.0 - 0.7 * (1.0 - target_correlation)) ** 2)
