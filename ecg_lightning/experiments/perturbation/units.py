"""Units of points that are replaced as a whole, so that maps of any granularity are ranked alike.

Points rank a fine map's every spike and a coarse map's plateaus in random order: a map that is averaged over blocks
knows nothing more of the network, and yet falls faster (blurriness bias, arXiv 2304.13836). With blocks every map is
averaged over the same blocks before it is ranked.
"""

from typing import Literal

import torch
from torch import Tensor

from ecg_lightning.experiments.perturbation.measure import Ranking, relevance_of, sorted_by

Unit = Literal["point", "block20", "block50", "block100", "wave"]
"""Single points; blocks of 20, 50 or 100 ms of one lead; or the waves of one lead."""


def block_labels(unit: Unit, leads: int, samples: int, sampling_rate: float) -> Tensor:
    """Number of each point's block; the last block of a lead is shorter where the samples do not divide.

    Args:
        unit: ``block20``, ``block50`` or ``block100``.
        leads: Of a beat.
        samples: Of a lead.
        sampling_rate: Hz; a block has at least one sample.

    Returns:
        (lead, sample) int64, counted from 0 without gaps.

    Raises:
        ValueError: A unit that is no block.
    """
    if not unit.startswith("block"):
        raise ValueError(f"expected a block, such as block50, got {unit!r}")
    length = max(round(float(unit.removeprefix("block")) * sampling_rate / 1000), 1)  # samples
    blocks = -(-samples // length)
    return torch.arange(leads)[:, None] * blocks + torch.arange(samples)[None] // length


def unit_positions(maps: Tensor, ties: Tensor, labels: Tensor, ranking: Ranking = "magnitude") -> Tensor:
    """Place of every point where whole units are ranked by their mean relevance, most relevant first.

    All points of a unit have one place, the mean of the places that they take up together. So a step that replaces
    what lies before its count replaces the number of whole units that is nearest to it; of units of one size, as many
    as its rounded share of them. With units of one point this is :func:`relevance_positions`.

    Args:
        maps: (batch, method, lead, sample) finite.
        ties: (batch, lead, sample) distinct random numbers: units of equal relevance follow in the rising order of
            their mean.
        labels: (batch or 1, lead, sample) int64: number of each point's unit.
        ranking: Mean |map|, or mean map.

    Returns:
        (batch, method, lead, sample) float32. The order of LeRF is ``points - 1 - position``.

    Raises:
        ValueError: Shapes that do not agree, maps that are not finite, or an unknown ranking.
    """
    if maps.ndim != 4 or ties.shape != maps[:, 0].shape or labels.shape[1:] != maps.shape[2:]:
        raise ValueError(
            f"expected maps (batch, method, lead, sample), ties (batch, lead, sample) and labels of the same leads and "
            f"samples, got {tuple(maps.shape)}, {tuple(ties.shape)} and {tuple(labels.shape)}"
        )
    relevance = relevance_of(maps, ties[:, None].expand(maps.shape), ranking).flatten(2).double()
    flat = labels.to(maps.device).flatten(1).expand(len(maps), -1)  # (batch, point)
    units = int(labels.max()) + 1
    sizes = _sums(torch.ones_like(relevance[:, 0]), flat, units)  # (batch, unit)
    # a unit without points comes last, where it changes nothing
    means = torch.stack([_sums(one, flat, units) for one in relevance.unbind(1)], dim=1) / sizes[:, None]
    falling = torch.where(sizes[:, None] > 0, -means, torch.inf)
    broken = (_sums(ties.flatten(1).double(), flat, units) / sizes.clamp(min=1)).nan_to_num_()
    order = sorted_by(falling.flatten(0, 1), broken[:, None].expand(falling.shape).flatten(0, 1)).reshape(falling.shape)
    ranked = sizes[:, None].expand(falling.shape).gather(2, order)
    middle = ranked.cumsum(2) - (ranked + 1) / 2
    places = torch.empty_like(middle).scatter_(2, order, middle)
    return places.gather(2, flat[:, None].expand(relevance.shape)).float().reshape(maps.shape)


def random_positions(units: Tensor, labels: Tensor, ties: Tensor) -> Tensor:
    """Place of every point where whole units follow in random order, all orders alike whatever the units' sizes.

    Args:
        units: (batch, unit) distinct random numbers, the greatest first.
        labels: (batch or 1, lead, sample) int64: number of each point's unit.
        ties: (batch, lead, sample) distinct random numbers.

    Returns:
        (batch, lead, sample) float32, as of :func:`unit_positions`.
    """
    drawn = units.gather(1, labels.flatten(1).expand(len(units), -1)).reshape(ties.shape)
    return unit_positions(drawn[:, None], ties, labels, "signed")[:, 0]


def _sums(values: Tensor, labels: Tensor, units: int) -> Tensor:
    """(batch, point) values and their units -> (batch, unit) sums."""
    return torch.zeros(len(values), units, dtype=values.dtype, device=values.device).scatter_add_(1, labels, values)
