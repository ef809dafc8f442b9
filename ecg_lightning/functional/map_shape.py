"""This module measures how a map spreads its magnitude over the points of an ECG: sparseness and complexity.

Both look at |map| of all leads together, unsmoothed, and do not change with its scale or with the order of its points.
"""

import math
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.functional.correlation import ascending

_BINS: Final = 100


def sparseness(maps: Tensor) -> Tensor:
    """Compute the Gini index of |map|: 0 where all points count the same, 1 - 1/n where one of n has everything.

    With |map| in rising order, x_1 to x_n: sum of (2 i - n - 1) x_i over n sum of x_i (Chalasani et al., Concise
    explanations of neural networks using adversarial training, ICML 2020; Hurley and Rickard, IEEE Trans Inf Theory
    2009;55:4723-4741).

    Args:
        maps: (..., lead, sample).

    Returns:
        (...) float64; NaN where a map is zero everywhere or not finite.

    Raises:
        ValueError: No (lead, sample) axes.
    """
    shares = ascending(_shares(maps))
    n = shares.shape[-1]
    weights = 2.0 * torch.arange(1, n + 1, dtype=torch.float64, device=maps.device) - n - 1.0
    return (shares @ weights) / n


def complexity(maps: Tensor) -> Tensor:
    """Compute the entropy (nat) of each point's share in the sum of |map|: 0 for one point, log n for all alike.

    Bhatt, Weller and Moura, Evaluating and aggregating feature-based model explanations, IJCAI 2020. Its exponential is
    the number of points that would make the same entropy if they counted the same.

    Args:
        maps: (..., lead, sample).

    Returns:
        (...) float64; NaN where a map is zero everywhere or not finite.

    Raises:
        ValueError: No (lead, sample) axes.
    """
    entropy: Tensor = torch.special.entr(_shares(maps)).sum(-1)
    return entropy


def histogram_entropy(maps: Tensor) -> Tensor:
    """Compute the entropy (nat) of a map's histogram: the complexity of the efficient randomisation test.

    A hundred bins of equal width run from the least to the greatest value (Hedstroem et al., Sanity checks revisited:
    an exploration to repair the model parameter randomisation test, XAI in Action at NeurIPS 2023).

    Args:
        maps: (..., lead, sample).

    Returns:
        (...) float64, 0 to log 100; NaN where a map is constant or not finite.
    """
    flat = maps.detach().double().flatten(-2)
    low, high = flat.amin(-1, keepdim=True), flat.amax(-1, keepdim=True)
    known = (flat.isfinite().all(-1, keepdim=True) & (high > low)).squeeze(-1)
    bin_index = torch.where(known[..., None], (flat - low) / (high - low), 0.0).mul(_BINS).long().clamp(max=_BINS - 1)
    counts = torch.zeros(*flat.shape[:-1], _BINS, dtype=torch.float64, device=maps.device)
    counts.scatter_add_(-1, bin_index, torch.ones_like(flat))
    entropy: Tensor = torch.special.entr(counts / flat.shape[-1]).sum(-1)
    return torch.where(known, entropy, torch.nan)


def _shares(maps: Tensor) -> Tensor:
    """|map| over its sum, (..., point) float64; NaN everywhere where there is none."""
    if maps.ndim < 2 or not math.prod(maps.shape[-2:]):
        raise ValueError(f"expected maps (..., lead, sample), got {tuple(maps.shape)}")
    size = maps.detach().double().abs().flatten(-2)
    scaled = size / size.amax(-1, keepdim=True)  # so that no sum over- or underflows
    shares = scaled / scaled.sum(-1, keepdim=True)
    return torch.where(shares.isnan().any(-1, keepdim=True), torch.nan, shares)
