"""Monte-Carlo maps: draws that continue each other, estimators with one limit, stopping by reliability."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from networks import DecidesNearZero, LinearReadout, trained_like_resnet, waves
from torch import Tensor

from ecg_lightning.attribution import FrozenModel, RandomKey, prepare_task
from ecg_lightning.attribution.adaptive import AdaptiveSampler, relative_magnitudes
from ecg_lightning.attribution.background import GradientShap, _even_alphas
from ecg_lightning.attribution.budget import BudgetGrid
from ecg_lightning.attribution.contribution import IgSmoothGrad
from ecg_lightning.attribution.noise import noise_like
from ecg_lightning.attribution.sampling import GROUPS, GroupSums, SampledMethod, golden_fractions, grouped
from ecg_lightning.attribution.sensitivity import SmoothGrad
from ecg_lightning.attribution.shapley import ShapleySampling
from ecg_lightning.functional.smoothing import savitzky_golay

KEY = RandomKey(ecg_id="a")


@pytest.fixture(scope="module")
def task() -> FrozenModel:
    return prepare_task(trained_like_resnet(), waves(20, seed=5))


@pytest.fixture(scope="module")
def ecg() -> Tensor:
    return waves(1, seed=3)


METHODS = [
    SmoothGrad,
    IgSmoothGrad,
    GradientShap,
    lambda n, **more: SmoothGrad(n, estimator="independent", **more),
    lambda n, **more: IgSmoothGrad(n, estimator="joint", **more),
    lambda n, **more: IgSmoothGrad(n, estimator="nested", **more),
    lambda n, **more: GradientShap(n, estimator="balanced", **more),
    lambda n, **more: GradientShap(n, estimator="random", **more),
]


def drawn(method: SampledMethod, task: FrozenModel, ecg: Tensor, *counts: int) -> Tensor:
    """Draws in blocks of so many, one behind the other, times how much each counts."""
    blocks, first = [], 0
    with torch.enable_grad():
        draws = method._begin(task, ecg, KEY)
        for count in counts:
            contributions, weight = draws(first, count)
            blocks.append(contributions * weight.to(contributions)[:, None, None])
            first += count
    return torch.cat(blocks)


def counted(method: SampledMethod, task: FrozenModel, ecg: Tensor, count: int) -> float:
    """How much so many draws count together."""
    with torch.enable_grad():
        return float(method._begin(task, ecg, KEY)(0, count)[1].sum())


@pytest.mark.slow
@pytest.mark.parametrize("make", METHODS)
def test_draws_do_not_depend_on_how_many_are_made(make, task: FrozenModel, ecg: Tensor) -> None:
    method: SampledMethod = make(100)
    whole = drawn(method, task, ecg, 100)
    for counts in ((64, 36), (37, 20, 43), (8, 8, 8, 76)):
        torch.testing.assert_close(drawn(method, task, ecg, *counts), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("make", METHODS)
def test_a_map_is_the_mean_of_its_draws(make, task: FrozenModel, ecg: Tensor) -> None:
    method: SampledMethod = make(70)
    found = method.explain(task, ecg, [KEY])
    expected = drawn(method, task, ecg, 70).sum(0, keepdim=True) / counted(method, task, ecg, 70)
    torch.testing.assert_close(found.maps, expected)
    assert found.n_samples.tolist() == [70]
    assert 0.0 < float(found.reliability) < 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SmoothGrad(1600), SmoothGrad(1600, estimator="independent")),
        (IgSmoothGrad(1600, estimator="joint"), IgSmoothGrad(400, estimator="nested", n_steps=16)),
        (GradientShap(1600, estimator="balanced"), GradientShap(4000, estimator="random")),
    ],
)
def test_estimators_have_one_limit(one: SampledMethod, other: SampledMethod, task: FrozenModel) -> None:
    """The difference of two estimators' maps is within 3 standard errors at every 100th point."""
    ecg, groups = waves(1, seed=9), []
    for method in (one, other):
        draws = drawn(method, task, ecg, method.n_samples).flatten(1)[:, ::100]
        # Means over whole cycles are nearly independent; balanced draws inside a cycle are not.
        groups.append(draws.unflatten(0, (-1, 40)).mean(1))
    difference = groups[0].mean(0) - groups[1].mean(0)
    error = sum(g.var(0) / len(g) for g in groups).sqrt()
    assert (difference.abs() < 3.0 * error).all()


@pytest.fixture(scope="module")
def near_zero() -> FrozenModel:
    """Backgrounds close to zero, one of them zero."""
    return prepare_task(DecidesNearZero(), near_backgrounds())


def near_backgrounds() -> Tensor:
    return torch.cat([torch.zeros_like(waves(1)), 0.05 * waves(19, seed=5)])


UNEVEN = [IgSmoothGrad, GradientShap]


@pytest.mark.parametrize("make", UNEVEN)
def test_uneven_draws_continue_each_other_and_make_the_map(make, near_zero: FrozenModel, ecg: Tensor) -> None:
    method: SampledMethod = make(100)
    with torch.enable_grad():
        _, counts = method._begin(near_zero, ecg, KEY)(0, 100)
    assert len(counts.unique()) > 1  # the network is one on which places become uneven
    whole = drawn(method, near_zero, ecg, 100)
    for parts in ((64, 36), (37, 20, 43), (8, 8, 8, 76)):
        torch.testing.assert_close(drawn(method, near_zero, ecg, *parts), whole, rtol=1e-9, atol=1e-12)
    found = method.explain(near_zero, ecg, [KEY])
    torch.testing.assert_close(found.maps, whole.sum(0, keepdim=True) / counts.sum())
    assert 0.0 < float(found.reliability) < 1.0


@pytest.mark.parametrize("make", UNEVEN)
def test_uneven_draws_stop_where_a_fixed_number_would_end(make, near_zero: FrozenModel, ecg: Tensor) -> None:
    reached = make(target_correlation=0.985, max_samples=960).explain(near_zero, ecg, [KEY])
    draws = int(reached.n_samples)
    assert draws > 64
    fixed = make(draws).explain(near_zero, ecg, [KEY])
    torch.testing.assert_close(reached.maps, fixed.maps)
    torch.testing.assert_close(reached.reliability, fixed.reliability)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("adaptive", "other"),
    [
        (IgSmoothGrad(48), IgSmoothGrad(4000, estimator="joint")),
        (GradientShap(60), GradientShap(4000, estimator="balanced")),
    ],
)
def test_few_uneven_draws_have_the_limit_of_many_even_ones(
    adaptive: SampledMethod, other: SampledMethod, near_zero: FrozenModel
) -> None:
    """No bias to be seen, whatever densities were fitted to: the mean of 64 short maps, within 4 standard errors.

    (Of 48 points one is beyond 3 by chance in every tenth run.)
    """
    ecg = waves(1, seed=9)
    keys = [RandomKey(seed, ecg_id="a") for seed in range(64)]
    short = adaptive(near_zero, ecg.expand(64, -1, -1), keys).flatten(1)[:, ::100]
    cycles = drawn(other, near_zero, ecg, other.n_samples).flatten(1)[:, ::100].unflatten(0, (-1, 100)).mean(1)
    error = (short.var(0) / len(short) + cycles.var(0) / len(cycles)).sqrt()
    assert ((short.mean(0) - cycles.mean(0)).abs() < 4.0 * error).all()


def test_rounding_in_the_network_does_not_move_places(near_zero: FrozenModel, ecg: Tensor) -> None:
    """Contributions that differ by 1e-6, as between batch sizes in float32, have the same places."""
    generator = torch.Generator().manual_seed(0)

    def counts(jitter: float) -> Tensor:
        method = IgSmoothGrad()

        def contributions(places: Tensor, first: int) -> tuple[Tensor, Tensor]:
            found, noisy = method._contributions(near_zero, ecg, KEY, places, first)
            off = 1.0 + jitter * torch.randn(len(places), 1, 1, generator=generator, dtype=found.dtype)
            return found, relative_magnitudes(found * off, noisy)

        with torch.enable_grad():
            return AdaptiveSampler(contributions, partial(method._alphas, near_zero, KEY))(0, 200)[1]

    assert torch.equal(counts(0.0), counts(1e-6))


@pytest.mark.parametrize(
    ("adaptive", "even"),
    [
        (IgSmoothGrad(80), IgSmoothGrad(80, estimator="joint")),
        (GradientShap(80), GradientShap(80, estimator="balanced")),
    ],
)
def test_where_even_draws_are_as_good_they_are_kept(adaptive: SampledMethod, even: SampledMethod, ecg: Tensor) -> None:
    """On a linear network, whose gradient is the same everywhere."""
    linear = prepare_task(LinearReadout(), waves(20, seed=5))
    torch.testing.assert_close(adaptive(linear, ecg, [KEY]), even(linear, ecg, [KEY]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backgrounds", [1, 3, 20, 64, 65, 400])
def test_any_number_of_backgrounds_covers_the_whole_way(backgrounds: int) -> None:
    """A map of fewer draws than backgrounds too."""
    for shift in (0.0, 0.7):
        places = _even_alphas(backgrounds, torch.full((320,), shift), torch.arange(320)).sort().values.numpy()
        assert np.diff(places).max() < 0.03
        assert places[0] < 0.03
        assert places[-1] > 0.97


def test_more_backgrounds_than_draws_still_have_groups(ecg: Tensor) -> None:
    many = prepare_task(trained_like_resnet(), waves(100, seed=5))
    found = GradientShap(80).explain(many, ecg, [KEY])
    assert 0.0 < float(found.reliability) < 1.0


@pytest.mark.slow
def test_ig_smoothgrad_is_gradient_shap_with_a_zero_baseline(ecg: Tensor) -> None:
    """The same limit (Erion et al.): the two maps of many draws correlate as their own reliabilities allow."""
    zero = prepare_task(trained_like_resnet(), torch.zeros(2, 8, 600, dtype=ecg.dtype))
    first = IgSmoothGrad(1600).explain(zero, ecg, [KEY])
    second = GradientShap(1600).explain(zero, ecg, [RandomKey(ecg_id="b")])
    a, b = (savitzky_golay(one.maps).flatten().numpy() for one in (first, second))
    ceiling = float((first.reliability * second.reliability).sqrt())
    assert np.corrcoef(a, b)[0, 1] / ceiling > 0.995


def test_antithetic_noise_cancels_in_pairs(ecg: Tensor) -> None:
    noise = noise_like(ecg, 40, 0.1, KEY, antithetic=True)
    torch.testing.assert_close(noise[0::2], -noise[1::2])
    assert noise.std() == pytest.approx(0.1 * float(ecg.max() - ecg.min()), rel=0.02)


def test_golden_fractions_cover_evenly() -> None:
    """Star discrepancy of n points below 2 / n times a logarithm, where random points have about 1 / sqrt(n)."""
    for n in (20, 100, 500):
        points = np.sort(golden_fractions(0.3, torch.arange(n)).numpy())
        assert np.abs(points - (np.arange(n) + 0.5) / n).max() < 2.0 * math.log2(n) / n


@pytest.mark.parametrize("stretch", [1, 4, 20])
def test_groups_take_turns_and_number_their_own_draws(stretch: int) -> None:
    group, number = grouped(0, 200 * stretch, stretch)
    assert group[: GROUPS * stretch].tolist() == [one for one in range(GROUPS) for _ in range(stretch)]
    for one in range(GROUPS):
        assert number[group == one].tolist() == list(range(50 * stretch))
    for part, whole in zip(grouped(37, 100, stretch), (group, number), strict=True):
        assert torch.equal(part, whole[37:137])


def test_every_background_is_used_equally_often(task: FrozenModel) -> None:
    method = GradientShap(estimator="balanced")
    chosen, alpha = method._backgrounds(task, KEY, 0, 800), method._alphas(task, KEY, 0, 800)
    assert (alpha >= 0).all()
    assert (alpha < 1).all()
    for start in range(0, 800, 20):
        assert torch.bincount(chosen[start : start + 20]).tolist() == [1] * 20
        np.testing.assert_allclose(np.diff(np.sort(alpha[start : start + 20].numpy())), 0.05, atol=1e-9)
    group, _ = grouped(0, 800, 20)
    for background in range(20):
        places = np.sort(alpha[(chosen == background) & (group == 1)].numpy())
        assert len(places) == 10
        assert np.diff(places).max() < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("make", [SmoothGrad, IgSmoothGrad, METHODS[4], GradientShap, METHODS[6]])
def test_reliability_is_what_replicates_correlate(make) -> None:
    """What is missing to 1, within 6 %, of 16 replicates. Groups that share an even spread of places are 15 % off."""
    uneven = prepare_task(DecidesNearZero(40.0).float(), near_backgrounds().float())
    seeds = [RandomKey(seed, ecg_id="a") for seed in range(16)]
    found = make(40).explain(uneven, waves(1, seed=9).float().expand(16, -1, -1), seeds)
    between = np.corrcoef(savitzky_golay(found.maps).flatten(1).numpy())
    actual = between[np.triu_indices(16, 1)].mean()
    assert float((1.0 - found.reliability).mean()) == pytest.approx(1.0 - actual, rel=0.06)


def test_group_sums_are_means_of_stretches() -> None:
    draws = torch.randn(64, 2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    counts = torch.linspace(0.5, 2.0, 64, dtype=torch.float64)
    sums = GroupSums(draws[:1], 4)
    sums.add(draws[:24], counts[:24])
    sums.add(draws[24:], counts[24:])
    expected = (counts[:, None, None] * draws).sum(0, keepdim=True) / counts.sum()
    torch.testing.assert_close(sums.mean(), expected)
    assert sums.count == 64
    few = GroupSums(draws[:1], 4)
    few.add(draws[:4], counts[:4])
    assert math.isnan(few.reliability())


def test_stopping_reaches_the_target_and_says_where_it_stopped(task: FrozenModel, ecg: Tensor) -> None:
    reached = SmoothGrad(target_correlation=0.97, max_samples=1024).explain(task, ecg, [KEY])
    draws = int(reached.n_samples)
    assert draws % 16 == 0
    assert 32 <= draws < 1024
    assert float(reached.reliability.sqrt()) > 0.97
    fixed = SmoothGrad(draws).explain(task, ecg, [KEY])
    torch.testing.assert_close(reached.maps, fixed.maps)
    torch.testing.assert_close(reached.reliability, fixed.reliability)


@pytest.mark.slow
@pytest.mark.parametrize("make", METHODS)
def test_the_curve_of_one_continued_run_is_that_of_separate_runs(make, task: FrozenModel, ecg: Tensor) -> None:
    counts = (16, 40, 64, 160)
    curve = list(make(7).reliability_curve(task, ecg, KEY, BudgetGrid("n_samples", tuple(counts))))
    separate = [float(make(count).explain(task, ecg, [KEY]).reliability) for count in counts]
    np.testing.assert_allclose(curve, separate, rtol=1e-9, equal_nan=True)


def test_a_curve_draws_only_what_is_asked_for(task: FrozenModel, ecg: Tensor) -> None:
    asked = []

    class Counting(SmoothGrad):
        def _draw(self, task: FrozenModel, ecg: Tensor, key: RandomKey, first: int, count: int) -> Tensor:
            asked.append((first, count))
            return super()._draw(task, ecg, key, first, count)

    curve = Counting().reliability_curve(task, ecg, KEY, BudgetGrid("n_samples", (8, 32, 1024)))
    assert asked == []
    next(curve), next(curve)
    assert asked == [(0, 8), (8, 24)]
    assert not torch.is_inference_mode_enabled()
    with pytest.raises(ValueError, match="expected growing numbers of samples, got 8 after 8"):
        list(SmoothGrad().reliability_curve(task, ecg, KEY, BudgetGrid("n_samples", (8, 8))))


def test_a_target_out_of_reach_ends_at_the_bound_and_keeps_the_map(task: FrozenModel, ecg: Tensor) -> None:
    bounded = IgSmoothGrad(target_correlation=0.9999, max_samples=96).explain(task, ecg, [KEY])
    assert int(bounded.n_samples) == 96
    assert float(bounded.reliability.sqrt()) < 0.9999
    assert bounded.maps.isfinite().all()


def test_the_stop_does_not_depend_on_the_chunk(ecg: Tensor) -> None:
    results = []
    for megabytes in (1024.0, 30.0):
        some = prepare_task(trained_like_resnet(), waves(20, seed=5), memory_budget_mb=megabytes)
        results.append(SmoothGrad(target_correlation=0.98).explain(some, ecg, [KEY]))
    assert results[0].n_samples == results[1].n_samples
    torch.testing.assert_close(results[0].maps, results[1].maps)


def test_settings_name_the_draws_that_count() -> None:
    """A bound that isn't used must not make a finished store another one."""
    fixed, adaptive = SmoothGrad(32).settings(), SmoothGrad(target_correlation=0.99).settings()
    assert fixed["n_samples"] == 32
    assert "max_samples" not in fixed
    assert adaptive["max_samples"] == 1024
    assert "n_samples" not in adaptive
    assert SmoothGrad(32, max_samples=64).settings() == fixed


def test_settings_leave_out_what_another_estimator_needs() -> None:
    assert "n_steps" not in IgSmoothGrad().settings()
    assert IgSmoothGrad(estimator="nested").settings()["n_steps"] == 8
    fitted = ShapleySampling(group_samples=25)
    assert set(fitted.settings()) == {"method", "estimator", "n_forwards", "group_samples"}
    assert set(replace(fitted, estimator="antithetic").settings()) == {
        *("method", "estimator", "n_permutations", "group_samples")
    }
