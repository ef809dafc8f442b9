"""The surrogate estimator: exact where it can be, against refits and SciPy where it can't."""

import itertools

import numpy as np
import pytest
import torch
from games import all_signs, shapley_operator
from scipy.stats import multivariate_normal
from torch import Tensor

from ecg_lightning.functional.coalitions import every_pair, pair_weights, paired_coalitions, signs
from ecg_lightning.functional.cubic_kernel import CubicKernel, neighbour_correlation, value_prior
from ecg_lightning.functional.shapley_reliability import reliability_from_covariance, smoothed_products
from ecg_lightning.functional.smoothing import savitzky_golay
from ecg_lightning.functional.surrogate import (
    FOLDS,
    HalfDifferences,
    Residual,
    _without_folds,
    exact_shapley,
    surrogate_shapley,
)
from ecg_lightning.functional.surrogate_search import (
    CUBICS,
    EXPONENTS,
    NOISES,
    Hyperparameters,
    best_hyperparameters,
    covariance,
    log_evidence,
)

BOTH: list[Residual] = ["relevance", "least_squares"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ask(game: Tensor, groups: int, pairs: int, seed: int = 0) -> HalfDifferences:
    """Coalitions of a tabulated game (2 ** groups,)."""
    members = paired_coalitions(groups, pairs, generator(seed))
    place = 2 ** torch.arange(groups)
    first, others = game[(members * place).sum(1)], game[(~members * place).sum(1)]
    return HalfDifferences(members, (first - others) / 2, game[-1] - game[0])


def random_game(groups: int, high: float, seed: int = 0) -> Tensor:
    """A cubic game whose prior is the kernel's, and white noise of every order."""
    factor = torch.randn(groups, groups, generator=generator(seed), dtype=torch.float64) / groups
    kernel = CubicKernel(factor @ factor.T, 1.0)
    everyone = all_signs(groups)
    some = torch.randn(30, generator=generator(seed + 1), dtype=torch.float64)
    cubic = kernel(everyone, everyone[torch.randint(len(everyone), (30,), generator=generator(seed + 2))]) @ some
    rest = torch.randn(2**groups, generator=generator(seed + 3), dtype=torch.float64)
    return cubic / cubic.std() + high * rest


def alike(groups: int) -> Tensor:
    return neighbour_correlation(groups, 1, 2.0, 1.0)


@pytest.mark.parametrize("residual", BOTH)
def test_an_additive_game_is_exact(residual: Residual) -> None:
    values = torch.linspace(-1, 2, 8, dtype=torch.float64)
    asked = ask((all_signs(8) @ values) / 2, 8, 100)
    found = surrogate_shapley(asked, values, alike(8), residual)
    torch.testing.assert_close(found.values, values, rtol=0, atol=1e-4)


@pytest.mark.parametrize("residual", BOTH)
def test_interactions_of_pairs_cancel(residual: Residual) -> None:
    sign = all_signs(6)
    present = (sign > 0).double()
    game = present @ torch.arange(6.0).double() + 4 * present[:, 0] * present[:, 3] - 2 * present[:, 1] * present[:, 2]
    found = surrogate_shapley(ask(game, 6, 60), torch.ones(6), alike(6), residual)
    torch.testing.assert_close(found.values, shapley_operator(6) @ game, rtol=0, atol=1e-3)


@pytest.mark.parametrize("residual", BOTH)
def test_values_converge_to_brute_force(residual: Residual) -> None:
    game = random_game(9, high=0.2)
    exact = shapley_operator(9) @ game
    errors = [
        float(torch.stack([
            (surrogate_shapley(ask(game, 9, pairs, seed), exact.sign(), alike(9), residual).values - exact).norm()
            for seed in range(8)
        ]).square().mean().sqrt() / exact.norm())
        for pairs in (30, 120, 480)
    ]  # fmt: skip
    assert errors[0] > 1.5 * errors[1] > 2.25 * errors[2]
    assert errors[2] < 0.05


@pytest.mark.parametrize("residual", BOTH)
def test_the_sum_is_what_all_make_over_none(residual: Residual) -> None:
    asked = ask(random_game(7, high=1.0), 7, 50)
    found = surrogate_shapley(asked, torch.ones(7), alike(7), residual).values
    torch.testing.assert_close(found.sum(), asked.total, rtol=0, atol=1e-10)


def test_the_surrogate_beats_regression_on_a_cubic_game() -> None:
    game = random_game(10, high=0.05, seed=3)
    exact = shapley_operator(10) @ game
    better = 0
    for seed in range(9):
        asked = ask(game, 10, 40, seed)
        zero = HalfDifferences(asked.members, asked.half, asked.total)
        ours = surrogate_shapley(zero, torch.ones(10), alike(10)).values
        weight = pair_weights(asked.members)
        root = weight.sqrt()[:, None]
        plain = torch.linalg.lstsq(root * signs(asked.members) / 2, root * asked.half[:, None]).solution[:, 0]
        better += int((ours - exact).norm() < (plain - exact).norm())
    assert better >= 8


def test_least_squares_residual_has_no_bias_where_the_ridge_shrinks() -> None:
    game = random_game(8, high=0.8, seed=5)
    exact = shapley_operator(8) @ game
    for residual, most in (("relevance", 60.0), ("least_squares", 3.5)):
        found = torch.stack([
            surrogate_shapley(ask(game, 8, 40, seed), torch.zeros(8), alike(8), residual).values
            for seed in range(120)
        ])  # fmt: skip
        standard_error = found.std(0) / len(found) ** 0.5
        assert ((found.mean(0) - exact).abs() / standard_error).max() < most


def test_a_fit_without_a_fold_needs_no_refit() -> None:
    pairs = 37
    asked = ask(random_game(8, high=0.3), 8, pairs)
    sign, weight, point = signs(asked.members), pair_weights(asked.members), Hyperparameters(3.0, 0.1, 0.5)
    kernel = CubicKernel(value_prior(torch.ones(8).double(), torch.ones(8).double(), alike(8), 0.5), point.cubic)
    observed = covariance((sign @ kernel.prior) @ sign.T, weight, point)
    inverse = torch.linalg.inv(observed)
    duals, missed = _without_folds(inverse, inverse @ asked.half)
    assert len(duals) == FOLDS
    for fold in range(FOLDS):
        out = torch.arange(pairs) % FOLDS == fold
        refit = torch.linalg.solve(observed[~out][:, ~out], asked.half[~out])
        torch.testing.assert_close(duals[fold, ~out], refit, rtol=1e-8, atol=1e-10)
        assert (duals[fold, out] == 0).all()
        seen = refit @ kernel(sign[~out], sign[out])
        torch.testing.assert_close(missed[out], asked.half[out] - seen, rtol=1e-8, atol=1e-10)


def test_evidence_is_a_normal_density_with_its_best_amplitude() -> None:
    asked = ask(random_game(8, high=0.5), 8, 25)
    sign, weight = signs(asked.members), pair_weights(asked.members)
    inner = sign @ torch.eye(8).double() @ sign.T / 8
    differences = []
    for point in (Hyperparameters(0.1, 0.3, 0.5), Hyperparameters(3.0, 1.0, 1.0), Hyperparameters(10.0, 0.01, 0.0)):
        shape = covariance(inner, weight, point).numpy()
        amplitudes = np.geomspace(1e-4, 10, 2001)
        densities = [multivariate_normal(cov=scale * shape).logpdf(asked.half.numpy()) for scale in amplitudes]
        differences.append(max(densities) - log_evidence(inner, asked.half, weight, point))
    assert np.ptp(differences) < 1e-3


def test_the_climb_ends_where_no_neighbour_is_better() -> None:
    asked = ask(random_game(8, high=0.4), 8, 60)
    sign, weight = signs(asked.members), pair_weights(asked.members)
    inner = sign @ torch.eye(8).double() @ sign.T / 8
    grid = {
        point: log_evidence(inner, asked.half, weight, Hyperparameters(*point))
        for point in itertools.product(CUBICS, NOISES, EXPONENTS)
    }
    found = best_hyperparameters(inner, asked.half, weight, Hyperparameters())
    # the maximum of a coordinate climb; on games like these it is the grid's
    assert grid[found.cubic, found.noise, found.exponent] == pytest.approx(max(grid.values()), abs=0.5)


def test_the_posterior_knows_its_error() -> None:
    ratios = []
    for seed in range(30):
        game = random_game(9, high=0.3, seed=10 * seed)
        found = surrogate_shapley(ask(game, 9, 60, seed), torch.zeros(9), torch.eye(9).double())
        assert torch.linalg.eigvalsh(found.covariance).min() > -1e-10
        ratios.append((found.values - shapley_operator(9) @ game).square().sum() / found.covariance.trace())
    assert 0.4 < float(torch.stack(ratios).median()) < 2.5


def test_reliability_is_the_correlation_that_the_covariance_implies() -> None:
    spread = torch.eye(60, dtype=torch.float64).repeat_interleave(10, 1)  # (group, sample) of one lead
    products = smoothed_products(spread)
    truth = torch.randn(60, generator=generator(1), dtype=torch.float64)
    error = 0.3 * torch.randn(400, 60, generator=generator(2), dtype=torch.float64)
    maps = savitzky_golay((truth + error) @ spread)
    ideal = savitzky_golay(truth @ spread)
    rho = float(torch.stack([torch.corrcoef(torch.stack([one, ideal]))[0, 1] for one in maps]).mean())
    found = [
        float(reliability_from_covariance(truth + one, 0.09 * torch.eye(60).double(), products, shrunk=False))
        for one in error
    ]
    assert np.mean(found) ** 0.5 == pytest.approx(rho, abs=0.005)
    shrunk = reliability_from_covariance(truth, 0.09 * torch.eye(60).double(), products, shrunk=True)
    assert float(shrunk) > np.mean(found)
    assert reliability_from_covariance(0 * truth, torch.eye(60).double(), products, shrunk=True).isnan()
    assert reliability_from_covariance(0 * truth + 2, torch.eye(60).double(), products, shrunk=False).isnan()


@pytest.mark.parametrize("groups", [1, 2, 5, 9])
def test_every_coalition_gives_exact_values(groups: int) -> None:
    game = random_game(groups, high=2.0)
    members = every_pair(groups)
    number = (members * 2 ** torch.arange(groups)).sum(1)
    asked = HalfDifferences(members, (game[number] - game.flip(0)[number]) / 2, game[-1] - game[0])
    torch.testing.assert_close(exact_shapley(asked).values, shapley_operator(groups) @ game, rtol=0, atol=1e-10)


@pytest.mark.parametrize("residual", BOTH)
def test_a_constant_network_has_no_values(residual: Residual) -> None:
    found = surrogate_shapley(ask(torch.full((32,), 1.5).double(), 5, 40), torch.zeros(5), alike(5), residual)
    assert found.values.tolist() == [0.0] * 5


@pytest.mark.slow
@pytest.mark.parametrize("residual", BOTH)
@pytest.mark.parametrize("groups", [2, 3])
def test_few_groups_do_no_harm(residual: Residual, groups: int) -> None:
    game = random_game(groups, high=1.0)
    found = surrogate_shapley(ask(game, groups, 2000), torch.ones(groups), alike(groups), residual).values
    torch.testing.assert_close(found, shapley_operator(groups) @ game, rtol=0, atol=0.1)


def test_a_logit_that_is_not_finite_is_refused() -> None:
    asked = ask(random_game(5, high=0.1), 5, 20)
    asked.half[3] = torch.nan
    with pytest.raises(ValueError, match="logit is not finite"):
        surrogate_shapley(asked, torch.ones(5), alike(5))


def test_too_few_pairs_for_least_squares_are_refused() -> None:
    with pytest.raises(ValueError, match=r"least squares of 9 groups .* `surrogate`"):
        surrogate_shapley(ask(random_game(9, high=0.1), 9, 7), torch.ones(9), alike(9), "least_squares")


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(4, 5\), \(3,\) and \(\)"):
        HalfDifferences(torch.ones(4, 5).bool(), torch.ones(3), torch.ones(()))


def test_products_of_groups_are_those_of_their_whole_maps() -> None:
    spread = torch.eye(24, dtype=torch.float64).repeat_interleave(25, 1) / 25
    whole = torch.zeros(3 * 24, 3, 600, dtype=torch.float64)  # (group, lead, sample)
    for lead in range(3):
        whole[24 * lead : 24 * (lead + 1), lead] = spread
    points = savitzky_golay(whole, 15).flatten(1)
    points -= points.mean(1, keepdim=True)
    torch.testing.assert_close(smoothed_products(spread, 3, 15), points @ points.T, rtol=1e-12, atol=1e-15)
