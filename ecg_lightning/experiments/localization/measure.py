"""Does a map mark the evidence? Scores of |map| against a region whose place is known.

All are of the unsmoothed magnitude, as perturbation ranks it. A map that is constant or not finite points nowhere,
and a region that is empty or covers everything can't be found: NaN, never a number.
"""

from typing import Final, Literal, get_args

import torch
from torch import Tensor

from ecg_lightning.functional.correlation import ascending, ranks

LocalizationScore = Literal["relevance_mass", "relevance_rank_accuracy", "pointing_game", "auroc"]

COARSEST_MS: Final = 100.0
"""A map that has one value for longer than this, as of wide groups of Shapley values, can't say where a wave is."""

LOCALIZATION_SCORES: Final[tuple[LocalizationScore, ...]] = get_args(LocalizationScore)


def localization_scores(maps: Tensor, masks: Tensor) -> dict[LocalizationScore, Tensor]:
    """All scores of every map against every region.

    ``relevance_mass``: share of the sum of |map| inside (Arras et al., Inf Fusion 2022;81:14-40); its chance level is
    the region's own share of the points. ``relevance_rank_accuracy``: with n points inside, the share of the n greatest
    |map| that are inside (ibid.); points that tie at the n-th value count by their share. ``pointing_game``: whether
    the greatest |map| is inside (Zhang et al., IJCV 2018;126:1084-1102); of tied maxima the share inside. ``auroc``:
    chance that a point inside has a greater |map| than one outside, ties one half; its chance level is .5.

    Args:
        maps: (batch, method, lead, sample).
        masks: (batch, region, lead, sample) bool.

    Returns:
        Score -> (batch, region, method) float64 in [0, 1]; NaN where it is not defined.

    Raises:
        ValueError: Shapes that do not agree, or masks that are not boolean.
    """
    if maps.ndim != 4 or masks.ndim != 4 or maps.shape[:1] + maps.shape[2:] != masks.shape[:1] + masks.shape[2:]:
        raise ValueError(
            "expected maps (batch, method, lead, sample) and masks (batch, region, lead, sample) of the same ECGs, got "
            f"{tuple(maps.shape)} and {tuple(masks.shape)}"
        )
    if masks.dtype != torch.bool:
        raise ValueError(f"expected boolean masks, got {masks.dtype}")
    size, inside = maps.double().abs().flatten(2), masks.flatten(2)
    points, within = size.shape[-1], inside.double()
    count = inside.sum(-1)  # (batch, region)
    known = size.isfinite().all(-1) & (size.amax(-1) > size.amin(-1))  # (batch, method)
    size = torch.where(known[..., None], size, 0.0)
    defined = known[:, None] & ((count > 0) & (count < points))[..., None]  # (batch, region, method)
    total = size.sum(-1)[:, None]
    rank_sum = within @ ranks(size).mT
    least = (count * (count + 1) / 2).double()[..., None]
    scores: dict[LocalizationScore, Tensor] = {
        "relevance_mass": (within @ size.mT) / total,
        "relevance_rank_accuracy": _rank_accuracy(size, inside, count),
        "pointing_game": _pointing(size, within),
        "auroc": (rank_sum - least) / (count * (points - count)).double()[..., None],
    }
    return {name: torch.where(defined, score, torch.nan) for name, score in scores.items()}


def region_share(masks: Tensor) -> Tensor:
    """Share of the points inside, which is what chance reaches in mass, rank accuracy and pointing game.

    Args:
        masks: (..., lead, sample) bool.

    Returns:
        (...) float64.
    """
    return masks.flatten(-2).double().mean(-1)


def _rank_accuracy(size: Tensor, inside: Tensor, count: Tensor) -> Tensor:
    ordered = ascending(size)  # (batch, method, point)
    points = size.shape[-1]
    place = (points - count).clamp(max=points - 1)[:, None].expand(-1, size.shape[1], -1)
    last = ordered.gather(-1, place)  # (batch, method, region): the n-th greatest
    greater, from_last = (points - torch.searchsorted(ordered, last, right=right) for right in (True, False))
    hits = _inside_from(size, last, inside, strictly=False)
    if (from_last - greater > 1).any():  # points that tie at the n-th value count by their share
        certain = _inside_from(size, last, inside, strictly=True)
        room = (count[:, None] - greater).double() / (from_last - greater)
        hits = certain + room * (hits - certain)
    return hits.mT / count.clamp(min=1)[..., None]


def _inside_from(size: Tensor, last: Tensor, inside: Tensor, strictly: bool) -> Tensor:
    """(batch, method, region) how many points of a region are greater than its n-th value, or as great."""
    hits = []
    for region in range(inside.shape[1]):
        bound = last[..., region, None]
        there = size > bound if strictly else size >= bound  # (batch, method, point)
        hits.append((there & inside[:, region, None]).sum(-1, dtype=torch.int32))
    return torch.stack(hits, dim=-1).double()


def _pointing(size: Tensor, within: Tensor) -> Tensor:
    greatest = (size == size.amax(-1, keepdim=True)).double()  # (batch, method, point)
    result: Tensor = (within @ greatest.mT) / greatest.sum(-1)[:, None]
    return result
