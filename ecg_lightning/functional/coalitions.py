"""This module pairs coalitions of groups with their complements, for Shapley values by regression."""

import math
from typing import Final

import torch
from torch import Tensor

GOLDEN_RATIO: Final = 0.5 * (5**0.5 - 1)
"""Fractional part; its multiples modulo 1 fill the unit interval as evenly as any sequence (Weyl; Kronecker)."""


def paired_coalitions(groups: int, pairs: int, generator: torch.Generator) -> Tensor:
    """Draw random coalitions; each stands for itself and its complement (Covert & Lee, AISTATS 2021).

    Sizes are uniform on 1 ... groups - 1, as in a random permutation, but by the golden-ratio sequence with a random
    shift instead of draws of their own; a coalition of its size is drawn uniformly.

    Args:
        groups: Number of groups, at least two.
        pairs: Number of pairs.
        generator: Random generator on the CPU; the only source of chance.

    Returns:
        (pair, group) bool, true where a group is present in the first of the pair.

    Raises:
        ValueError: Fewer than two groups, or no pair.
    """
    if groups < 2 or pairs < 1:
        raise ValueError(f"coalitions need two groups and one pair or more, got {groups} groups and {pairs} pairs")
    shift = torch.rand(1, generator=generator, dtype=torch.float64)
    point = (shift + GOLDEN_RATIO * torch.arange(pairs, dtype=torch.float64)) % 1.0
    sizes = 1 + (point * (groups - 1)).long().clamp(max=groups - 2)  # (pair,)
    rank = torch.rand(pairs, groups, generator=generator, dtype=torch.float64).argsort(1).argsort(1)
    return rank < sizes[:, None]


def every_pair(groups: int) -> Tensor:
    """List all coalitions but none and all, one of each pair: (2 ** (groups - 1) - 1, group) bool."""
    number = torch.arange(1, 2 ** (groups - 1))
    return (number[:, None] >> torch.arange(groups) & 1).bool()


def signs(members: Tensor) -> Tensor:
    """Turn coalitions (pair, group) bool into +1 where a group is present and -1 where it is absent, float64."""
    return 2.0 * members.double() - 1.0


def pair_weights(members: Tensor) -> Tensor:
    """Weigh pairs so that a regression on them gives Shapley values: ~ 1 / (size x (groups - size)).

    The Shapley kernel (Charnes et al. 1988; Lundberg & Lee 2017), divided by the share in which uniform sizes draw a
    coalition.

    Args:
        members: (pair, group) bool.

    Returns:
        (pair,) float64, mean 1.
    """
    groups = members.shape[1]
    size = members.sum(1).double()
    weight = 1.0 / (size * (groups - size))
    return weight / weight.mean()


def exact_weights(members: Tensor) -> Tensor:
    """Weigh ``every_pair`` by the Shapley kernel itself: least squares then give the exact Shapley values.

    Args:
        members: (pair, group) bool.

    Returns:
        (pair,) float64, mean 1.
    """
    groups = members.shape[1]
    choices = torch.tensor([math.comb(groups, size) for size in range(groups + 1)], dtype=torch.float64)
    weight = pair_weights(members) / choices.to(members.device)[members.sum(1)]
    return weight / weight.mean()
