"""The cubic kernel is a prior over games whose Shapley values have a closed form: odd cubic Gaussian processes."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class CubicKernel:
    """The cubic kernel is k(s, s') = 4 a + cubic a^3 with a = s' P s, on s = +1 (present) and -1 (absent).

    A pair with its complement cancels everything of a game that is even in s, so that odd functions are all a
    surrogate needs: the first order and the third.

    Attributes:
        prior: (group, group) P, symmetric and positive semidefinite, trace 1: what is expected of the values.
        cubic: Weight of the third order.
    """

    prior: Tensor
    cubic: float

    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """(n, group) and (m, group) signs -> (n, m)."""
        return self.of_inner((first @ self.prior) @ second.T)

    def of_inner(self, inner: Tensor) -> Tensor:
        """Compute the kernel from a = s' P s, any shape."""
        return inner * (4.0 + self.cubic * inner.square())

    def shapley(self, dual: Tensor, sign: Tensor) -> Tensor:
        """Compute the exact Shapley values of g(s) = sum_j dual_j k(s, s_j).

        As a function of s, a = sum_i s_i u_i with u = P s_j. In a random order the others' s are +-1 with mean square
        correlation 1/3, so that E (a - s_i u_i)^2 = (2 Q_i + A_i^2) / 3 with A_i the sum and Q_i the sum of squares of
        the other u: phi_i(a^3) = 2 u_i^3 + 6 u_i E (a - s_i u_i)^2.

        Args:
            dual: (..., pair) weights.
            sign: Coalitions as signs, (pair, group).

        Returns:
            (..., group).
        """
        return dual @ self.shapley_of_each(sign)

    def shapley_of_each(self, sign: Tensor) -> Tensor:
        """Compute the Shapley values of each k(., s_j): (pair, group) signs -> (pair, group)."""
        part = sign @ self.prior  # (pair, group) u
        square = part.square()
        others = (part.sum(1, keepdim=True) - part).square()
        third = part * (2.0 * square + 4.0 * (square.sum(1, keepdim=True) - square) + 2.0 * others)
        return 8.0 * part + self.cubic * third

    def shapley_covariance(self) -> Tensor:
        """Compute the prior covariance of the Shapley values, (group, group): k with both arguments replaced by them.

        With P = B B' the third order is <F_i, F_j> of tensors F_i = B_i^3 + 3 sym(B_i x C_i), where C_i = E b b' of
        the others' signed sum b: 2/3 of their squares and 1/3 of the square of their sum. B itself is not needed.
        """
        p, sums = self.prior, self.prior.sum(0)
        p2 = p @ p
        power, pull = p2.diagonal(), p2.sum(0)  # B_i S B_i and B_i S sum(B), with S = B'B
        rest = sums[:, None] - p  # (i, j) B_i . (sum of all but j)
        between = sums.sum() - sums[:, None] - sums + p  # the same of two such sums
        quadratic = (2 / 3) * (power[:, None] - p.square()) + (1 / 3) * rest.square()  # B_i C_j B_i
        sum_power = p2.sum() - 2 * pull + power  # (j,) of the sum of all but j, through S
        crossed = sum_power - (sums[:, None] - p).square()  # through S without i
        traces = (4 / 9) * (p.square().sum() - power[:, None] - power + p.square())
        traces = traces + (2 / 9) * (crossed + crossed.T) + (1 / 9) * between.square()
        turned = (2 / 9) * rest.T * ((pull - power)[:, None] - p * rest.T)
        product = (4 / 9) * (p2 @ p - p * (power[:, None] + power) + p**3)
        product = product + turned + turned.T + (1 / 9) * rest * rest.T * between  # B_i C_j C_i B_j
        third = p**3 + 3 * p * (quadratic + quadratic.T + traces) + 6 * product
        return 16.0 * p + 4.0 * self.cubic * third


def value_prior(relevance: Tensor, guess: Tensor, correlation: Tensor, share: float) -> Tensor:
    """Make the values' prior: independent with the relevances, and along a guess with neighbours' errors alike.

    Args:
        relevance: Relevance of each group, (group,) positive.
        guess: (group,) of the values, for instance integrated gradients.
        correlation: (group, group) of the guess's relative error, 1 on the diagonal; all ones: the guess times an
            unknown number.
        share: Share of the guess in the trace.

    Returns:
        (group, group), trace 1.
    """
    independent = torch.diag(relevance / relevance.sum())
    power = guess.square().sum()
    if not (power.isfinite() and power > 0):
        return independent
    return (1.0 - share) * independent + share * torch.outer(guess, guess) * correlation / power


def neighbour_correlation(groups_a_lead: int, leads: int, decay: float, between_leads: float) -> Tensor:
    """Correlate groups in the order of ``sample_groups``: exp(-distance / decay) along time, less between leads.

    Args:
        groups_a_lead: Groups of one lead.
        leads: Number of leads.
        decay: Distance in groups.
        between_leads: Correlation of two leads at the same time.

    Returns:
        (group, group) float64.
    """
    time = torch.arange(groups_a_lead, dtype=torch.float64)
    along = torch.exp(-(time[:, None] - time).abs() / decay)
    between = torch.full((leads, leads), between_leads, dtype=torch.float64).fill_diagonal_(1.0)
    return torch.kron(between, along)
