"""This module computes, on demand, how well maps of growing budgets correlate with their limit."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.budget import BudgetGrid
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.functional.similarity import similarity_matrix
from ecg_lightning.functional.smoothing import WINDOW

FINER: Final = 4
"""Times as many nodes, or backgrounds, as a map is compared with at most."""


def reliability_curves(
    method: AttributionMethod,
    grid: BudgetGrid,
    task: FrozenModel,
    ecgs: Tensor,
    keys: Sequence[RandomKey],
    more: Tensor | None = None,
) -> list[Iterator[float]]:
    """Return each ECG's reliability at each value of a grid; of a map without noise its squared correlation.

    Args:
        method: The method, as configured.
        grid: Budget grid of the method.
        task: The network, with the stated backgrounds.
        ecgs: (ecg, lead, sample) mV.
        keys: One an ECG.
        more: (background, lead, sample) mV, training ECGs of which the stated ones are the first.
    """
    every = [(ecgs[place : place + 1], key) for place, key in enumerate(keys)]
    if grid.judged == "finer":
        return [_against_finer(method, grid, task, ecg, key) for ecg, key in every]
    if grid.judged == "backgrounds" and more is not None:
        wide = replace(task, backgrounds=more.to(task.backgrounds))
        references = [method(wide, ecg, [key]) for ecg, key in every]  # one by one: their pass is shared
        return [
            _against_wider(method, grid, wide, *one, reference)
            for one, reference in zip(every, references, strict=True)
        ]
    return [method.reliability_curve(task, ecg, key, grid) for ecg, key in every]


def _against_finer(
    method: AttributionMethod, grid: BudgetGrid, task: FrozenModel, ecg: Tensor, key: RandomKey
) -> Iterator[float]:
    reference = method.with_budget(grid, FINER * grid.values[-1])(task, ecg, [key])
    for value in grid.values:
        yield squared_correlation(method.with_budget(grid, value)(task, ecg, [key]), reference, task.smoothing_window)


def _against_wider(
    method: AttributionMethod, grid: BudgetGrid, wide: FrozenModel, ecg: Tensor, key: RandomKey, reference: Tensor
) -> Iterator[float]:
    for value in grid.values:
        few = replace(wide, backgrounds=wide.backgrounds[:value])
        yield squared_correlation(method(few, ecg, [key]), reference, wide.smoothing_window)


def squared_correlation(first: Tensor, second: Tensor, window: int = WINDOW) -> float:
    """Square the correlation of two smoothed maps (1, lead, sample); 0 where negative, NaN where there is none."""
    both = torch.stack([first, second], dim=1)
    found = similarity_matrix(both, window=window if first.shape[-1] >= window else None)
    return float(found[0, 0, 1].clamp(min=0.0).square())
