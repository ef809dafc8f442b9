"""Weighted linear regression on pairs of coalitions gives Shapley values: least squares, or ridge with relevances."""

from typing import NamedTuple

import torch
from torch import Tensor

_EM_STEPS = 30
_FIRST_RELEVANCE_STEP = 5
"""EM steps before the relevances move: until then the two variances find their size."""

_START_NOISE = 0.1
"""Share of the half differences' mean square that is taken for noise at the start."""


class Regression(NamedTuple):
    """A regression holds coefficients and the covariance of their error.

    Attributes:
        values: (group,) float64, summing to the requested total.
        covariance: (group, group) float64, of their error.
    """

    values: Tensor
    covariance: Tensor


def start_relevance(guess: Tensor) -> Tensor:
    """Return prior variances from a guess of the values: .8 guess^2 / mean + .2, so that none is ruled out.

    Args:
        guess: (group,) for instance integrated gradients of the groups.

    Returns:
        (group,) float64, mean 1; all ones for a guess that is zero or not finite.
    """
    square = guess.double().square()
    mean = square.mean()
    if not (mean.isfinite() and mean > 0):
        return torch.ones_like(square)
    return 0.8 * square / mean + 0.2


def least_squares(sign: Tensor, half: Tensor, weight: Tensor, total: Tensor) -> Regression:
    """Find values b with least weighted squares of half - sign b / 2 whose sum is the total (paired KernelSHAP).

    Args:
        sign: (pair, group) +1 or -1.
        half: (pair,) half differences (f(S) - f(complement)) / 2.
        weight: (pair,) of ``pair_weights``.
        total: () f(all) - f(none).

    Raises:
        ValueError: The pairs don't determine the values.
    """
    pairs, groups = sign.shape
    design = sign / 2  # (pair, group)
    gram = design.T @ (design * weight[:, None])
    # what is added acts on the sum alone, which the total fixes: half differences may leave the sum undetermined
    factor, failed = torch.linalg.cholesky_ex(gram + gram.diagonal().mean())
    if pairs < groups - 1 or int(failed):
        raise ValueError(
            f"least squares of {groups} groups needs more than the {pairs} pairs of coalitions given: raise n_forwards "
            f"to {4 * groups} or more, take larger groups, or choose estimator `surrogate`"
        )
    inverse = torch.cholesky_inverse(factor)
    values = _with_total(inverse @ (design.T @ (weight * half)), inverse, total)
    residual = half - design @ values
    # robust to the residuals' own variances, which do not follow the weights
    scores = (design * (weight * residual)[:, None]) @ inverse  # (pair, group)
    covariance = scores.T @ scores * (pairs / max(pairs - groups + 1, 1))
    return Regression(values, _given_total(covariance, inverse))


def relevance_regression(sign: Tensor, half: Tensor, weight: Tensor, total: Tensor, relevance: Tensor) -> Regression:
    """Fit a ridge regression whose prior variances expectation maximisation learns (ARD; MacKay 1992, Tipping 2001).

    Noise variance v / weight, prior variance s x relevance. The relevances stay half with their start.

    Args:
        sign: (pair, group) +1 or -1.
        half: (pair,) half differences.
        weight: Weight of each pair, (pair,).
        total: () the values' sum.
        relevance: (group,) start, positive, mean about 1.
    """
    design = sign / 2  # (pair, group)
    gram, moment = design.T @ (design * weight[:, None]), design.T @ (weight * half)
    power = (weight * half.square()).sum()
    if not power > 0:  # nothing to learn variances from
        prior = torch.diag(relevance)
        return Regression(_with_total(torch.zeros_like(relevance), prior, total), torch.zeros_like(prior))
    scale = 4 * half.square().mean() / sign.shape[1]
    noise = _START_NOISE * power / len(half)
    current = relevance
    for step in range(_EM_STEPS):
        values, covariance = _posterior(gram, moment, noise, scale * current)
        second = values.square() + covariance.diagonal()  # (group,)
        squares = power - 2 * values @ moment + values @ gram @ values + (gram * covariance).sum()
        noise = (squares / len(half)).clamp(min=1e-12 * power / len(half))
        scale = (second / current).mean()
        if step + 1 >= _FIRST_RELEVANCE_STEP:
            current = 0.5 * second / scale + 0.5 * relevance
    values, covariance = _posterior(gram, moment, noise, scale * current)
    return Regression(_with_total(values, covariance, total), _given_total(covariance, covariance))


def _posterior(gram: Tensor, moment: Tensor, noise: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (group,) and covariance (group, group); scaled by the prior, so that a small one does no harm."""
    root = prior.sqrt()
    scaled = gram * (root[:, None] * root) / noise + torch.eye(len(root), dtype=root.dtype, device=root.device)
    covariance = torch.cholesky_inverse(torch.linalg.cholesky(scaled)) * (root[:, None] * root)
    return covariance @ moment / noise, covariance


def _with_total(values: Tensor, spread: Tensor, total: Tensor) -> Tensor:
    """Condition on the values' sum: what is missing goes where the values are least sure."""
    return values + spread.sum(1) / spread.sum() * (total - values.sum())


def _given_total(covariance: Tensor, spread: Tensor) -> Tensor:
    """Covariance of what ``_with_total`` gives."""
    share = spread.sum(1) / spread.sum()  # (group,)
    project = torch.eye(len(share), dtype=share.dtype, device=share.device) - share[:, None]
    return project @ covariance @ project.T
