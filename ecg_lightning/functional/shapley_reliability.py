"""This module says how reliable a map of Shapley values is, from the covariance of its error."""

import torch
from torch import Tensor

from ecg_lightning.functional.smoothing import WINDOW, savitzky_golay


def smoothed_products(spread: Tensor, leads: int = 1, window: int = WINDOW) -> Tensor:
    """Compute the products of smoothed maps, each centred, (group, group): a smoothed map's sum of squares is v' P v.

    Maps of groups of one lead are zero in the others, so that a lead says it all: their products without centring are
    zero between leads, and centring subtracts the product of the means.

    Args:
        spread: (group of a lead, sample) what one group of value 1 is in its lead.
        leads: Of a map, all with the same groups.
        window: Samples of the smoothing filter, odd.

    Returns:
        (group, group) float64, the groups of one lead after those of another.
    """
    points = savitzky_golay(spread, window)
    means = (points.sum(1) / leads / points.shape[1]).repeat(leads)
    products = torch.kron(torch.eye(leads).to(points), points @ points.T)  # the same in every lead, none between them
    return products - leads * points.shape[1] * means.outer(means)


def reliability_from_covariance(values: Tensor, covariance: Tensor, products: Tensor, *, shrunk: bool) -> Tensor:
    """Compute the share of a smoothed map's variance that is not error; its root predicts rho to the true map.

    A posterior mean lacks the variance that its error has, so that the true map's is the sum of both; an unbiased
    estimate has its error's variance on top.

    Args:
        values: The Shapley values, (group,) float64.
        covariance: (group, group) of their error.
        products: (group, group) of ``smoothed_products``.
        shrunk: Whether the values are a posterior mean.

    Returns:
        () float64 in [0, 1]; NaN for a constant map, which has no correlation.
    """
    signal, error = values @ products @ values, (products * covariance).sum().clamp(min=0.0)
    if not signal > 1e-14 * (values.abs() @ products.abs() @ values.abs()):  # rounding of a constant
        return torch.full_like(signal, torch.nan)
    return signal / (signal + error) if shrunk else (1.0 - error / signal).clamp(min=0.0)
