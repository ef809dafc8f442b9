"""Draws on the way from a baseline to the ECG, more of them where their contributions are large.

Contributions at one place of the way can vary a hundred times as much as at another: networks decide somewhere between
baseline and ECG, and elsewhere their gradients hardly matter. Evenly spread draws spend most passes where nothing is
to be learnt. Here draws are made in stages, each twice as long as the one before. The first is spread evenly; before
each later one the density of places is fitted to the sizes of all contributions so far, and a contribution is weighted
by the reciprocal of the density, so that the limit stays that of even draws. A stage counts by what its draws vary,
foretold by the same sizes: else an unlucky first stage, whose variance may be fifty times that of the others, would
spoil the map. Where even places are nearly as good they are kept, and all counts are 1: the draws are then those of the
method's even estimator, one by one.

Densities and counts that come from earlier draws leave a bias that falls with the square of the number of draws. Of a
peak of a fiftieth of the way none was found in 600 runs (below .005 of the map, where the error of one was .23 at 48
draws and .07 at 200); of one so narrow that the first stage mostly misses it, .08 at 48 draws and .001 at 200 (errors
.7 and .09). Where sizes vary widely beside their places (lognormally by 1), the error is about a tenth above that of
even draws.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.functional.importance import Density, sizes_along, uniform

FIRST_STAGE: Final = 16
"""Draws of the first stage at least."""

Contributions = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""Places (count,) in [0, 1) and number of the first draw -> contributions there, (count, lead, sample), and how large
each is, (count,), apart from what does not depend on the place (see :func:`relative_sizes`)."""

Spread = Callable[[int, int], Tensor]
"""Number of the first draw and count -> (count,) evenly spread in [0, 1), float64 on the CPU."""


class AdaptiveDraws:
    """Contributions of one ECG and how much they count; their weighted mean is the map.

    Args:
        contributions: Of the method.
        spread: Even places, before the density moves them.
        first_stage: Draws of the first stage.
        worth: Places stay even where others would need more than this share of the draws.
    """

    def __init__(
        self, contributions: Contributions, spread: Spread, first_stage: int = FIRST_STAGE, worth: float = 0.9
    ) -> None:
        self._contributions, self._spread = contributions, spread
        self._first_stage, self._worth = first_stage, worth
        self._stages = [_Stage(uniform(), 1.0)]
        self._places: list[Tensor] = []
        self._sizes: list[Tensor] = []

    def __call__(self, first: int, count: int) -> tuple[Tensor, Tensor]:
        """The next draws.

        Args:
            first: Number of the first one: how many were made before.
            count: How many.

        Returns:
            Contributions (count, lead, sample); and how much each counts, (count,) float64 on the CPU.

        Raises:
            ValueError: Draws are asked for out of their order.
        """
        made = sum(len(places) for places in self._places)
        if first != made:
            raise ValueError(f"adaptive draws follow each other: expected number {made} to be the next, got {first}")
        blocks, counts = [], []
        while count:
            stop = self._first_stage * ((1 << len(self._stages)) - 1)  # of this stage
            size = min(count, stop - first)
            blocks.append(self._block(first, size))
            counts.append(torch.full((size,), self._stages[-1].count, dtype=torch.float64))
            first, count = first + size, count - size
            if first == stop:
                self._next_stage()
        return torch.cat(blocks), torch.cat(counts)

    def _block(self, first: int, count: int) -> Tensor:
        """Draws of one stage."""
        places, weights = self._stages[-1].density.at(self._spread(first, count))
        found, sizes = self._contributions(places, first)
        self._places.append(places)
        self._sizes.append(sizes.detach().cpu())
        return found * weights.to(found)[:, None, None]

    def _next_stage(self) -> None:
        """Fit the density, and let a draw count by the reciprocal of its variance beside those before it."""
        sizes = sizes_along(torch.cat(self._places), torch.cat(self._sizes))
        density = sizes.density(self._worth)
        lengths = [(self._first_stage << number, stage) for number, stage in enumerate(self._stages)]
        total = sum(length * stage.count for length, stage in lengths)
        spread = sum(length * stage.count**2 * sizes.under(stage.density) for length, stage in lengths)
        ahead = sizes.under(density)
        # (spread / total^2) is the variance of the mean so far, and total its weight: both sides get 1 / variance
        count = spread / (total * ahead) if ahead > 0 else math.nan
        self._stages.append(_Stage(density, count if math.isfinite(count) else 1.0))


@dataclass(frozen=True)
class _Stage:
    """How its places are drawn.

    Attributes:
        density: Of places.
        count: How much one draw counts.
    """

    density: Density
    count: float


def relative_sizes(contributions: Tensor, ways: Tensor) -> Tensor:
    """Lengths of contributions (count, lead, sample) over those of their ways from the baseline, (count,).

    Ways from several backgrounds are not equally long, which says nothing of places on them.
    """
    # in float64, where no square of a network's number over- or underflows
    lengths = [
        torch.linalg.vector_norm(one.detach().flatten(1), dim=1, dtype=torch.float64) for one in (contributions, ways)
    ]
    return torch.where(lengths[1] > 0, lengths[0] / lengths[1], 0.0)
