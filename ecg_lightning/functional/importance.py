"""Importance sampling draws more alphas in [0, 1) where they matter, and weighs each by how seldom it is drawn."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_CELLS: Final = 256
_LEAST: Final = 0.15
"""Density at the least, as a share of the uniform one: no weight is above seven, wherever magnitudes mislead."""


@dataclass(frozen=True)
class Density:
    """A density says how often alphas in [0, 1) are drawn, piecewise constant.

    Attributes:
        values: (cell,) float64 on the CPU, above 0, of mean 1: cells are equally wide.
    """

    values: Tensor

    @cached_property
    def _cumulated(self) -> Tensor:
        """(cell + 1,) from 0 to 1."""
        total = torch.cat([self.values.new_zeros(1), self.values.cumsum(0)])
        return total / total[-1]

    def at(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the alphas whose cumulated density is ``u``, and their weights.

        The mean of weight x function(alpha) over u uniform in [0, 1) is the function's mean over [0, 1).

        Args:
            u: (n,) in [0, 1), float64 on the CPU. Evenly spread, the alphas are spread as evenly as the density allows.

        Returns:
            Alphas (n,) in [0, 1), and weights 1 / density (n,).
        """
        cells, cumulated = len(self.values), self._cumulated
        cell = (torch.searchsorted(cumulated, u, right=True) - 1).clamp(0, cells - 1)
        inside = (u - cumulated[cell]) / (cumulated[cell + 1] - cumulated[cell])
        return (cell + inside) / cells, self.values[cell].reciprocal()

    def at_cells(self, cells: int) -> Tensor:
        """Return the density's values in so many cells, a multiple of its own."""
        return self.values.repeat_interleave(cells // len(self.values))


def uniform() -> Density:
    """Return the uniform density, 1 everywhere."""
    return Density(torch.ones(1, dtype=torch.float64))


@dataclass(frozen=True)
class Magnitudes:
    """The magnitudes say how large samples are along [0, 1): a piecewise constant mean square.

    Attributes:
        squares: (cell,) float64 on the CPU.
    """

    squares: Tensor

    def density(self, min_gain: float = 0.0) -> Density:
        """Return the density under which a weighted mean varies least: as the root mean square (Neyman 1934).

        15 % of it is uniform, so that a part of the path whose samples were small by chance is not forgotten. It is all
        uniform where no magnitude is above 0 or one is not finite.

        Args:
            min_gain: It is uniform, too, where it would save (but for the 15 %) less than this share of even samples:
                weights that are all 1 leave other balances of the samples, such as that of backgrounds, exact.
        """
        root = self.squares.sqrt()
        mean, square = root.mean(), self.squares.mean()
        if not (square.isfinite() and square > 0) or mean**2 / square > 1.0 - min_gain:
            return uniform()
        return Density((1 - _LEAST) * root / mean + _LEAST)

    def under(self, density: Density) -> float:
        """Return a weighted sample's mean square under a density: a mean of such samples varies with it."""
        return float((self.squares / density.at_cells(len(self.squares))).mean())


def magnitudes_along(alphas: Tensor, magnitudes: Tensor) -> Magnitudes:
    """Average squares of neighbours, three of them or a sixteenth of all, interpolated between their alphas.

    Neighbours average out what makes magnitudes differ beside their alphas, such as noise: means under a density that
    followed that would vary more than even ones. Magnitudes are rounded to a sixteenth of a power of two first: else
    rounding in the network, which differs between batch sizes and devices, would move all later alphas.

    Args:
        alphas: (n,) in [0, 1), in any order.
        magnitudes: (n,) of the samples there, unweighted, such as their lengths; not negative.
    """
    order = np.argsort(alphas.numpy(), kind="stable")
    squares = _rounded(magnitudes.double().numpy()[order]) ** 2
    half = max(1, len(squares) // 32)
    smooth = np.convolve(np.pad(squares, half, mode="edge"), np.ones(2 * half + 1) / (2 * half + 1), mode="valid")
    middle = (np.arange(_CELLS) + 0.5) / _CELLS
    return Magnitudes(torch.from_numpy(np.interp(middle, alphas.numpy()[order], np.sqrt(smooth)) ** 2))


def _rounded(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """To sixteenths of powers of two; 0, infinity and NaN stay what they are."""
    with np.errstate(divide="ignore"):
        rounded: NDArray[np.float64] = np.exp2(np.round(16 * np.log2(magnitudes)) / 16)
    return rounded
