"""This module computes Pearson's and Spearman's correlation of many long vectors, in float64.

A vector that is constant or not finite has no correlation: NaN, never 0. It counts as constant where its standard
deviation is below 1e-12 of its largest magnitude, which is what rounding in a filter leaves of a constant map, as in
:func:`ecg_lightning.functional.reliability.split_reliability`.
"""

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor

_CONSTANT: Final = 1e-12


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Compute Pearson's correlation along the last axis.

    Args:
        a: One of the two arrays, (..., n).
        b: (..., n), broadcast against ``a``.

    Returns:
        (...) float64; NaN where either is constant or not finite.

    Raises:
        ValueError: Vectors of different lengths.
    """
    _check_lengths(a, b)
    return unit_product(standardised(a), standardised(b))


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Compute Spearman's correlation along the last axis: Pearson's of the ranks, ties at their mean rank.

    Args:
        a: One of the two arrays, (..., n).
        b: (..., n), broadcast against ``a``.

    Returns:
        (...) float64; NaN where either has one value only or is not finite.

    Raises:
        ValueError: Vectors of different lengths.
    """
    _check_lengths(a, b)
    ranked = (torch.where(x.isfinite().all(-1, keepdim=True), standardised_ranks(x), torch.nan) for x in (a, b))
    return unit_product(*ranked)


def ranks(values: Tensor, tolerance: Tensor | float = 0.0) -> Tensor:
    """Rank values along the last axis, 1 for the smallest; ties share the mean of their ranks.

    Args:
        values: (..., n), any dtype.
        tolerance: (..., 1) or one for all: values that differ from the next smaller one by no more than this are ties
            with it.

    Returns:
        (..., n) float64 on the same device, equal to ``scipy.stats.rankdata``; NaN in a row that has a NaN.
    """
    flat = values.reshape(-1, values.shape[-1])
    order = _order(flat)
    ordered = flat.gather(-1, order)
    ordered_ranks = torch.arange(1, flat.shape[-1] + 1, dtype=torch.float64, device=values.device).expand(flat.shape)
    slack = tolerance.reshape(-1, 1) if isinstance(tolerance, Tensor) else tolerance
    tied = ordered[:, 1:] <= ordered[:, :-1] + slack  # not a difference: infinities are ties too
    with_ties = tied.any(-1)
    if with_ties.any():
        ordered_ranks = ordered_ranks.clone()
        ordered_ranks[with_ties] = _ranks_of_ties(tied[with_ties])
    result = torch.empty(flat.shape, dtype=torch.float64, device=values.device).scatter_(-1, order, ordered_ranks)
    # a NaN sorts behind everything
    return result.masked_fill_(ordered[:, -1:].isnan(), torch.nan).reshape(values.shape)


def standardised(values: Tensor) -> Tensor:
    """Scale to mean 0 and length 1 along the last axis, so that a correlation is a product of two vectors.

    Args:
        values: The values, (..., n).

    Returns:
        (..., n) float64; NaN where the vector is constant or not finite.
    """
    centred = values.double() / largest_magnitude(values.double())  # so that no square over- or underflows
    centred -= centred.mean(-1, keepdim=True)
    length = centred.norm(dim=-1, keepdim=True)
    centred /= torch.where(length > _CONSTANT * math.sqrt(values.shape[-1]), length, torch.nan)
    return centred


def standardised_ranks(values: Tensor, tolerance: Tensor | float = 0.0) -> Tensor:
    """Rank values as :func:`ranks` does, at mean 0 and length 1.

    Args:
        values: The values, (..., n).
        tolerance: Largest difference of a tie, as for :func:`ranks`.

    Returns:
        (..., n) float64; NaN where all values are ties or one is NaN.
    """
    centred = ranks(values, tolerance)
    centred -= (values.shape[-1] + 1) / 2  # their mean, with and without ties
    length = centred.norm(dim=-1, keepdim=True)
    centred /= torch.where(length > 0, length, torch.nan)
    return centred


def unit_product(a: Tensor, b: Tensor) -> Tensor:
    """Correlate vectors (..., n) that are standardised: (...)."""
    return (a * b).sum(-1).clamp(-1.0, 1.0)


def largest_magnitude(values: Tensor) -> Tensor:
    """Return the largest magnitude of each vector, (..., n) -> (..., 1); faster than ``abs().amax()``."""
    return torch.maximum(values.amax(-1, keepdim=True), -values.amin(-1, keepdim=True))


def ascending(values: Tensor) -> Tensor:
    """Sort along the last axis, the smallest first and NaN last."""
    if values.device.type != "cpu":
        return values.sort(dim=-1).values
    return torch.from_numpy(np.sort(values.detach().numpy(), axis=-1))  # ten times as fast as torch's


def _order(values: Tensor) -> Tensor:
    """Indices that sort (row, n) along the last axis, ties in any order."""
    if values.device.type != "cpu":
        return values.argsort(-1)
    return torch.from_numpy(np.argsort(values.detach().numpy(), axis=-1))  # four times as fast as torch's


def _ranks_of_ties(tied: Tensor) -> Tensor:
    """Ranks of values in rising order, (row, n), from whether each value ties with the one before, (row, n - 1)."""
    first = torch.nn.functional.pad(~tied, (1, 0), value=True)  # of its group of ties
    rows, n = first.shape
    starts = first.flatten().nonzero().squeeze(-1)
    sizes = torch.diff(starts, append=starts.new_tensor([rows * n]))
    mean = (starts % n).double() + (sizes + 1).double() / 2
    return mean.repeat_interleave(sizes).reshape(rows, n)


def _check_lengths(a: Tensor, b: Tensor) -> None:
    if not (a.ndim and b.ndim) or a.shape[-1] != b.shape[-1] or not a.shape[-1]:
        raise ValueError(f"expected vectors (..., n) of one length, got {tuple(a.shape)} and {tuple(b.shape)}")
