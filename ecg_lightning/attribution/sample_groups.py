"""The players of Shapley values are groups of neighbouring samples of one lead."""

from functools import lru_cache

import torch
from torch import Tensor

from ecg_lightning.functional.shapley_reliability import smoothed_products


def sample_groups(leads: int, samples: int, size: int) -> Tensor:
    """Return each point's group: ``size`` neighbouring samples of one lead, the last of a lead may be smaller.

    Returns:
        (1, lead, sample) integer, 0 ... groups - 1.
    """
    per_lead = -(-samples // size)
    return (torch.arange(leads)[:, None] * per_lead + torch.arange(samples)[None] // size)[None]


def spread_evenly(values: Tensor, groups: Tensor) -> Tensor:
    """Spread each group's value over its points: (group,) -> (1, lead, sample), (n, group) -> (n, lead, sample)."""
    groups = groups.to(values.device)
    per_point: Tensor = values.reshape(-1, values.shape[-1]) / torch.bincount(groups.flatten())
    return per_point[:, groups[0]]


def group_sums(points: Tensor, groups: Tensor) -> Tensor:
    """Sum a map (1, lead, sample) over each group, (group,) float64."""
    sums = torch.zeros(int(groups.max()) + 1, dtype=torch.float64)
    return sums.index_add_(0, groups.flatten().cpu(), points.detach().flatten().cpu().double())


@lru_cache(maxsize=8)
def group_products(leads: int, samples: int, size: int) -> Tensor:
    """Return ``smoothed_products`` of groups of ``size`` samples, (group, group), which are the same for every ECG."""
    groups = sample_groups(leads, samples, size)
    return smoothed_products(spread_evenly(torch.eye(int(groups.max()) + 1, dtype=torch.float64), groups))
