"""The players of Shapley values are groups of neighbouring samples of one lead."""

from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.attribution.task import FrozenModel, even_chunk, in_chunks
from ecg_lightning.functional.shapley_reliability import smoothed_products

_MOST_GROUPS: Final = 300
"""Groups of an ECG, unless their size is given: those of longer signals are wider."""


def group_size(shape: tuple[int, int], least: float) -> int:
    """Return the samples of a group of an ECG of shape (lead, sample): ``least``, or more where groups were too many.

    Args:
        shape: (lead, sample).
        least: Samples at least, rounded.
    """
    leads, samples = shape
    return max(round(least), -(-samples // max(_MOST_GROUPS // leads, 1)))


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
def group_products(leads: int, samples: int, size: int, window: int) -> Tensor:
    """Return ``smoothed_products`` of groups of ``size`` samples, (group, group), which are the same for every ECG."""
    groups = sample_groups(1, samples, size)
    spread = spread_evenly(torch.eye(int(groups.max()) + 1, dtype=torch.float64), groups)
    return smoothed_products(spread[:, 0], leads, window)


def coalition_logits(model: FrozenModel, ecg: Tensor, groups: Tensor, members: Tensor) -> Tensor:
    """Compute logits of the ECG with the absent groups at 0 mV.

    Args:
        model: The network.
        ecg: (1, lead, sample) mV.
        groups: (1, lead, sample) each point's group.
        members: (coalition, group) whether a group is present.

    Returns:
        (coalition,) float64.
    """
    network, points = model.sampling_network, groups.flatten()

    def masked(present: Tensor) -> Tensor:
        shown = present.to(ecg).index_select(1, points).reshape(len(present), *ecg.shape[1:])
        logit: Tensor = network(ecg * shown)
        return logit

    with torch.no_grad():
        # a forward stores nothing, so that two chunks fit in the memory of one: less is padded
        logits = in_chunks(masked, members, even_chunk(len(members), 2 * model.chunk))
    # the solve needs float64, which not every accelerator has
    return (logits if logits.device.type == "cuda" else logits.cpu()).double()
