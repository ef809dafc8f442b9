"""What two maps of an ECG share beyond the ECG itself.

Nearly every map is large where the ECG is large or steep, whatever the network: two maps then agree although nothing of
the network's weights is in them. The partial correlation of their magnitudes given |ECG| and |slope| is the
correlation of what is left when both are regressed out of both maps, ECG by ECG. Maps, |ECG| and |slope| are treated
alike: smoothed as in :mod:`ecg_lightning.functional.similarity` first, then their magnitudes are taken.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from ecg_lightning.functional.correlation import standardised, unit_product
from ecg_lightning.functional.smoothing import WINDOW, savitzky_golay

NO_RESIDUAL: Final = 1e-6
"""A map whose residual is shorter than this share of it (mean subtracted) is a mixture of |ECG| and |slope|: what is
left of it is rounding."""

_COLLINEAR: Final = 1e-9
"""A second covariate that differs from the first by less than this share of its length explains nothing more."""


class MapVectors(NamedTuple):
    """Maps made ready for correlation: each vector has mean 0 and length 1, or is NaN where it has no correlation.

    Attributes:
        signed: (..., point) of the smoothed map.
        magnitude: (..., point) of its magnitude.
        partial: (..., point) of the residual of its magnitude; NaN also where there is none.
    """

    signed: Tensor
    magnitude: Tensor
    partial: Tensor

    def correlation(self, other: "MapVectors") -> "MapVectors":
        """Pearson's correlation of each pair, (...) for each of the three."""
        return MapVectors(*(unit_product(own, its) for own, its in zip(self, other, strict=True)))


def covariate_basis(covariates: Tensor, window: int = WINDOW) -> Tensor:
    """Orthonormal vectors that span the smoothed magnitudes of the covariates, their means subtracted.

    Args:
        covariates: (..., covariate, lead, sample) such as |ECG| and |slope|.
        window: Samples of the smoothing filter, odd.

    Returns:
        (..., covariate, point) float64; zeros for one that is constant or a mixture of those before it.
    """
    vectors = standardised(savitzky_golay(covariates, window).abs().flatten(-2)).nan_to_num(0.0)
    basis: list[Tensor] = []
    for vector in vectors.unbind(-2):
        rest = _without(_without(vector, basis), basis)  # twice: once leaves rounding of nearly parallel vectors
        length = rest.norm(dim=-1, keepdim=True)
        basis.append(torch.where(length > _COLLINEAR, rest / length, 0.0))
    return torch.stack(basis, -2)


def map_vectors(maps: Tensor, basis: Tensor, window: int = WINDOW) -> MapVectors:
    """Smooth maps, take magnitudes, and regress the covariates out, with an intercept.

    Args:
        maps: (..., lead, sample).
        basis: (..., covariate, point) of ``covariate_basis``, broadcast against the maps.
        window: Samples of the smoothing filter, odd.

    Returns:
        Vectors (..., point); all NaN for a constant or non-finite map.
    """
    smooth = savitzky_golay(maps, window).flatten(-2)
    magnitude = standardised(smooth.abs())
    vectors = list(basis.unbind(-2))
    rest = _without(_without(magnitude, vectors), vectors)
    length = rest.norm(dim=-1, keepdim=True)
    partial = rest / torch.where(length > NO_RESIDUAL, length, torch.nan)
    return MapVectors(standardised(smooth), magnitude, partial)


def _without(vectors: Tensor, basis: list[Tensor]) -> Tensor:
    """What is left of vectors (..., point) beside orthonormal ones."""
    for one in basis:
        vectors = vectors - (vectors * one).sum(-1, keepdim=True) * one
    return vectors
