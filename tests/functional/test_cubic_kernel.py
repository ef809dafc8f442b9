"""The kernel's Shapley values in closed form against brute force."""

import pytest
import torch
from games import all_signs, shapley_by_permutations, shapley_operator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecg_lightning.functional.cubic_kernel import CubicKernel, neighbour_correlation, value_prior


def random_kernel(groups: int, seed: int, cubic: float) -> tuple[CubicKernel, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(groups, groups, generator=generator, dtype=torch.float64)
    prior = factor @ factor.T
    return CubicKernel(prior / prior.trace(), cubic), generator


def test_the_oracle_is_the_definition() -> None:
    values = torch.randn(2**6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(shapley_operator(6) @ values, shapley_by_permutations(values, 6), rtol=0, atol=1e-13)


@settings(deadline=None, max_examples=25)
@given(groups=st.integers(1, 10), seed=st.integers(0, 1000), cubic=st.floats(0.0, 30.0))
def test_shapley_values_are_those_of_brute_force(groups: int, seed: int, cubic: float) -> None:
    kernel, generator = random_kernel(groups, seed, cubic)
    everyone = all_signs(groups)
    seen = everyone[torch.randint(len(everyone), (7,), generator=generator)]
    dual = torch.randn(3, 7, generator=generator, dtype=torch.float64)
    surrogate = dual @ kernel(seen, everyone)  # (3, coalition)
    expected = surrogate @ shapley_operator(groups).T
    torch.testing.assert_close(kernel.shapley(dual, seen), expected, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=20)
@given(groups=st.integers(1, 7), seed=st.integers(0, 1000), cubic=st.floats(0.0, 30.0))
def test_prior_covariance_of_the_values_is_that_of_brute_force(groups: int, seed: int, cubic: float) -> None:
    kernel, _ = random_kernel(groups, seed, cubic)
    everyone, operator = all_signs(groups), shapley_operator(groups)
    expected = operator @ kernel(everyone, everyone) @ operator.T
    torch.testing.assert_close(kernel.shapley_covariance(), expected, rtol=0, atol=1e-10)


@settings(deadline=None, max_examples=20)
@given(groups=st.integers(2, 9), seed=st.integers(0, 1000))
def test_the_kernel_is_odd_and_its_values_are_efficient(groups: int, seed: int) -> None:
    kernel, generator = random_kernel(groups, seed, 3.0)
    seen = all_signs(groups)[:5]
    ends = torch.ones(1, groups, dtype=torch.float64)
    torch.testing.assert_close(kernel(-seen, ends), -kernel(seen, ends))
    dual = torch.randn(len(seen), generator=generator, dtype=torch.float64)
    difference = (dual @ kernel(seen, ends) - dual @ kernel(seen, -ends)).squeeze()
    torch.testing.assert_close(kernel.shapley(dual, seen).sum(), difference, rtol=0, atol=1e-12)


@pytest.mark.parametrize("guess", [torch.zeros(6), torch.full((6,), torch.nan), torch.arange(6.0)])
def test_prior_has_trace_one_and_no_negative_variance(guess: Tensor) -> None:
    relevance = torch.linspace(0.2, 1.8, 6, dtype=torch.float64)
    prior = value_prior(relevance, guess.double(), neighbour_correlation(3, 2, 1.5, 0.8), 0.5)
    assert float(prior.trace()) == pytest.approx(1.0)
    assert torch.linalg.eigvalsh(prior).min() > 0
    if not guess.nansum() > 0:  # nothing to be along
        torch.testing.assert_close(prior, torch.diag(relevance / relevance.sum()))


def test_neighbours_are_counted_within_a_lead() -> None:
    correlation = neighbour_correlation(3, 2, 2.0, 0.5)
    one = torch.exp(torch.tensor(-0.5, dtype=torch.float64))
    expected = torch.stack([torch.ones(()).double(), one, one**2])
    torch.testing.assert_close(correlation[0], torch.cat([expected, 0.5 * expected]))
