"""This module chooses the cubic surrogate's hyperparameters by marginal likelihood, on few points of a grid."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.functional.cubic_kernel import CubicKernel

CUBICS: Final = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
NOISES: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
EXPONENTS: Final = (0.0, 0.5, 1.0)


@dataclass(frozen=True)
class Hyperparameters:
    """The hyperparameters are one point of the grid that is searched.

    Attributes:
        cubic: Weight of the kernel's third order.
        noise: Variance of what the kernel can't say, in units of the profiled amplitude.
        exponent: That variance is noise / weight ** exponent.
    """

    cubic: float = 1.0
    noise: float = 0.3
    exponent: float = 0.0

    def noise_variances(self, weight: Tensor) -> Tensor:
        """Return the noise variance of the pairs, (pair,), from their weights."""
        return self.noise * weight**-self.exponent


def covariance(inner: Tensor, weight: Tensor, point: Hyperparameters) -> Tensor:
    """Compute the half differences' covariance over the amplitude, (pair, pair), from a = s' P s."""
    result = CubicKernel(inner, point.cubic).of_inner(inner)
    result.diagonal().add_(point.noise_variances(weight))
    return result


def log_evidence(inner: Tensor, half: Tensor, weight: Tensor, point: Hyperparameters) -> float:
    """Compute the log density of the half differences, the amplitude profiled, up to a constant.

    Scaling the observations by w ** (exponent / 2), which makes their noise equal, would need the log-Jacobian
    exponent / 2 x sum log w; the density of the half differences themselves, as here, has it in its determinant.

    Args:
        inner: (pair, pair) a = s' P s.
        half: (pair,) half differences, not all zero.
        weight: (pair,) of ``pair_weights``.
        point: Hyperparameters at which the density is taken.
    """
    factor = torch.linalg.cholesky(covariance(inner, weight, point))
    white = torch.linalg.solve_triangular(factor, half[:, None], upper=False)
    return float(-0.5 * len(half) * white.square().mean().log() - factor.diagonal().log().sum())


def best_hyperparameters(inner: Tensor, half: Tensor, weight: Tensor, start: Hyperparameters) -> Hyperparameters:
    """Search the grid from a start, one coordinate at a time, until no neighbour is better.

    About 20 of the grid's 162 points are looked at.
    """
    evidence = {start: log_evidence(inner, half, weight, start)}
    best, moved = start, True
    while moved:
        moved = False
        for (name, grid), step in product(_AXES.items(), (1, -1)):
            while (neighbour := _neighbour(best, name, grid, step)) is not None:
                if neighbour not in evidence:
                    evidence[neighbour] = log_evidence(inner, half, weight, neighbour)
                if evidence[neighbour] <= evidence[best]:
                    break
                best, moved = neighbour, True
    return best


_AXES: Final = {"cubic": CUBICS, "noise": NOISES, "exponent": EXPONENTS}


def _neighbour(point: Hyperparameters, name: str, grid: tuple[float, ...], step: int) -> Hyperparameters | None:
    index = grid.index(getattr(point, name)) + step
    return replace(point, **{name: grid[index]}) if 0 <= index < len(grid) else None
