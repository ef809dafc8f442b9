"""Shapley values by brute force: the oracle of the estimators."""

import itertools
import math

import numpy as np
import torch
from torch import Tensor


def all_signs(groups: int) -> Tensor:
    """(2 ** groups, group) -1 and +1; row number in binary is the coalition."""
    rows = torch.arange(2**groups)
    return 2.0 * ((rows[:, None] >> torch.arange(groups)) & 1).double() - 1.0


def shapley_operator(groups: int) -> Tensor:
    """(group, 2 ** groups): times a game's values over ``all_signs`` gives its Shapley values (Shapley 1953)."""
    result = np.zeros((groups, 2**groups))
    for coalition in range(2**groups):
        size = coalition.bit_count()
        for player in range(groups):
            if not coalition >> player & 1:
                weight = math.factorial(size) * math.factorial(groups - size - 1) / math.factorial(groups)
                result[player, coalition] -= weight
                result[player, coalition | 1 << player] += weight
    return torch.from_numpy(result)


def shapley_by_permutations(values: Tensor, groups: int) -> Tensor:
    """The definition itself, over all orders; (group,) from (2 ** groups,) values."""
    result = torch.zeros(groups, dtype=torch.float64)
    for order in itertools.permutations(range(groups)):
        coalition = 0
        for player in order:
            result[player] += values[coalition | 1 << player] - values[coalition]
            coalition |= 1 << player
    return result / math.factorial(groups)
