"""Regressions on coalitions against brute force, an optimiser, and textbook linear algebra."""

import numpy as np
import pytest
import torch
from games import all_signs, shapley_operator
from scipy.optimize import minimize
from torch import Tensor

from ecg_lightning.functional.coalitions import (
    every_pair,
    exact_weights,
    pair_weights,
    paired_coalitions,
    signs,
)
from ecg_lightning.functional.shapley_regression import least_squares, relevance_regression, start_relevance


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def problem(groups: int, pairs: int, noise: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sign, half, weight and the values of an additive game with noise."""
    members = paired_coalitions(groups, pairs, generator(seed))
    values = torch.randn(groups, generator=generator(99), dtype=torch.float64)
    weight = pair_weights(members)
    error = noise * torch.randn(pairs, generator=generator(seed + 1), dtype=torch.float64) / weight.sqrt()
    return signs(members), signs(members) @ values / 2 + error, weight, values


@pytest.mark.parametrize("groups", [2, 3, 6, 10])
def test_least_squares_over_all_coalitions_gives_shapley_values(groups: int) -> None:
    game = torch.randn(2**groups, generator=generator(), dtype=torch.float64)
    members = every_pair(groups)
    assert torch.equal(members, all_signs(groups)[1 : 2 ** (groups - 1)] > 0)
    half = (game[1 : 2 ** (groups - 1)] - game.flip(0)[1 : 2 ** (groups - 1)]) / 2
    found = least_squares(signs(members), half, exact_weights(members), game[-1] - game[0])
    torch.testing.assert_close(found.values, shapley_operator(groups) @ game, rtol=0, atol=1e-10)


def test_least_squares_is_the_constrained_minimum() -> None:
    sign, half, weight, _ = problem(5, 40, noise=0.5)
    total = 1.3

    def loss(values: np.ndarray) -> float:
        return float((weight * (half - sign @ torch.from_numpy(values) / 2).square()).sum())

    constraint = {"type": "eq", "fun": lambda values: values.sum() - total}
    best = minimize(loss, np.zeros(5), constraints=[constraint], options={"ftol": 1e-14, "maxiter": 500})
    found = least_squares(sign, half, weight, torch.tensor(total, dtype=torch.float64)).values
    np.testing.assert_allclose(found, best.x, atol=1e-5)


def test_an_additive_game_is_recovered_exactly() -> None:
    sign, half, weight, values = problem(12, 40, noise=0.0)
    torch.testing.assert_close(least_squares(sign, half, weight, values.sum()).values, values, rtol=0, atol=1e-10)
    ridge = relevance_regression(sign, half, weight, values.sum(), torch.ones(12).double())
    torch.testing.assert_close(ridge.values, values, rtol=0, atol=1e-4)


def test_the_least_squares_covariance_is_the_error() -> None:
    errors, predicted = [], []
    for seed in range(150):
        sign, half, weight, values = problem(6, 80, noise=0.3, seed=2 * seed)
        found = least_squares(sign, half, weight, values.sum())
        errors.append((found.values - values).square().sum())
        predicted.append(found.covariance.trace())
    assert float(torch.stack(predicted).mean() / torch.stack(errors).mean()) == pytest.approx(1.0, abs=0.15)


def test_relevances_are_learned_as_the_textbook_says() -> None:
    sign, half, weight, _ = problem(6, 30, noise=0.4)
    start = start_relevance(torch.arange(6.0))
    found = relevance_regression(sign, half, weight, torch.tensor(0.7, dtype=torch.float64), start)
    values, covariance = _textbook(sign.numpy() / 2, half.numpy(), weight.numpy(), start.numpy())
    share = covariance.sum(1) / covariance.sum()
    np.testing.assert_allclose(found.values, values + share * (0.7 - values.sum()), rtol=1e-8)
    conditional = covariance - np.outer(covariance.sum(1), covariance.sum(1)) / covariance.sum()
    np.testing.assert_allclose(found.covariance, conditional, rtol=1e-7, atol=1e-12)


def _textbook(
    design: np.ndarray, half: np.ndarray, weight: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Expectation maximisation in the dual form: prior and noise covariances written out."""
    relevance, scale = start, 4 * (half**2).mean() / len(start)
    noise = 0.1 * (weight * half**2).mean()
    for step in range(31):
        prior = np.diag(scale * relevance)
        gain = prior @ design.T @ np.linalg.inv(design @ prior @ design.T + noise * np.diag(1 / weight))
        values, covariance = gain @ half, prior - gain @ design @ prior
        if step == 30:
            break
        second = values**2 + covariance.diagonal()
        residual = half - design @ values
        noise = (weight * (residual**2 + np.einsum("ij,jk,ik->i", design, covariance, design))).mean()
        scale = (second / relevance).mean()
        if step >= 4:
            relevance = 0.5 * second / scale + 0.5 * start
    return values, covariance


def test_relevances_help_where_few_groups_matter() -> None:
    truth = torch.zeros(60, dtype=torch.float64)
    truth[:4] = torch.tensor([3.0, -2.0, 1.0, 2.0])
    members = paired_coalitions(60, 90, generator())
    sign, weight = signs(members), pair_weights(members)
    half = sign @ truth / 2 + torch.randn(90, generator=generator(5), dtype=torch.float64)
    ridge = relevance_regression(sign, half, weight, truth.sum(), start_relevance(truth)).values
    plain = least_squares(sign, half, weight, truth.sum()).values
    assert (ridge - truth).norm() < 0.5 * (plain - truth).norm()


def test_a_silent_game_has_no_values() -> None:
    sign, half, weight, _ = problem(6, 20, noise=0.0)
    found = relevance_regression(sign, 0 * half, weight, torch.zeros(()).double(), torch.ones(6).double())
    torch.testing.assert_close(found.values, torch.zeros(6).double())


@pytest.mark.parametrize("pairs", [3, 10])
def test_too_few_pairs_are_refused_by_least_squares(pairs: int) -> None:
    sign, half, weight, values = problem(12, pairs, noise=0.0)
    with pytest.raises(ValueError, match=r"needs more than the .* pairs .* raise n_forwards to 48"):
        least_squares(sign, half, weight, values.sum())


@pytest.mark.parametrize("guess", [torch.zeros(3), torch.tensor([1.0, torch.inf, 0.0])])
def test_a_guess_that_says_nothing_makes_all_groups_equal(guess: Tensor) -> None:
    assert start_relevance(guess).tolist() == [1.0, 1.0, 1.0]


def test_start_relevance_has_mean_one_and_a_floor() -> None:
    relevance = start_relevance(torch.tensor([0.0, 3.0, -3.0]))
    torch.testing.assert_close(relevance, torch.tensor([0.2, 1.4, 1.4]).double())
