"""The four estimators of Shapley values: the same quantity, the same rows, the stated cost, the predicted error."""

import math
from typing import get_args

import pytest
import torch
from captum import attr as captum
from networks import LinearReadout, keys, trained_like_resnet, waves
from torch import Tensor, nn

from ecg_lightning.attribution import FrozenModel, RandomKey, prepare_task
from ecg_lightning.attribution.sample_groups import sample_groups
from ecg_lightning.attribution.shapley import Estimator, ShapleySampling
from ecg_lightning.attribution.shapley_permutations import permutation_values
from ecg_lightning.functional.smoothing import savitzky_golay

ESTIMATORS = get_args(Estimator)
SURROGATES = ["surrogate", "surrogate_unbiased"]


def few(estimator: Estimator, n_forwards: int = 200, n_permutations: int = 4, group_samples: int = 100):
    """48 groups, few passes."""
    return ShapleySampling(estimator, n_forwards, n_permutations, group_samples)


def group_means(points: Tensor, size: int) -> Tensor:
    return points.unflatten(-1, (-1, size)).mean(-1).repeat_interleave(size, -1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_linear_network_has_group_means(linear: FrozenModel, estimator: Estimator) -> None:
    ecg = waves(2)
    expected = group_means(linear.network.network.weight * ecg, 100)
    found = few(estimator)(linear, ecg, keys(2))
    assert (found - expected).abs().max() < 1e-3 * expected.abs().max()  # the least noise of the surrogate's grid


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_all_estimators_converge_to_exact_values(resnet: FrozenModel, estimator: Estimator) -> None:
    ecg = waves(1, seed=5)
    exact = ShapleySampling(group_samples=600)(resnet, ecg, keys(1))  # a group a lead: 2 ** 8 forwards
    shared = {"n_permutations": 128} if estimator in ("antithetic", "permutation") else {"n_forwards": 252}
    found = ShapleySampling(estimator, group_samples=600, **shared)(resnet, ecg, keys(1))
    correlation = torch.corrcoef(torch.stack([exact[0, :, 0], found[0, :, 0]]))[0, 1]
    assert correlation > 0.99
    tolerance = 1e-9 * float(exact.abs().sum())
    assert float(exact.sum()) == pytest.approx(float(found.sum()), abs=1e3 * tolerance)


def test_every_coalition_is_exact() -> None:
    class Interactions(nn.Module):
        def forward(self, ecg: Tensor) -> Tensor:
            return ecg[:, 0, 0] * ecg[:, 1, 1] + torch.relu(ecg[:, 0, 3] - ecg[:, 1, 2]) + ecg[:, 0].prod(1)

    task = prepare_task(Interactions(), waves(2, leads=2, length=4))
    ecg = torch.tensor([[[1.0, -2.0, 0.5, 3.0], [0.7, 2.0, -1.0, 0.2]]], dtype=torch.float64)
    groups = sample_groups(2, 4, 2)
    values = torch.stack([
        Interactions()(ecg * ((coalition >> groups) & 1)).squeeze() for coalition in range(16)
    ])  # fmt: skip
    expected = torch.zeros(4, dtype=torch.float64)
    for coalition in range(16):
        for group in (group for group in range(4) if not coalition >> group & 1):
            share = 1 / (4 * math.comb(3, coalition.bit_count()))
            expected[group] += share * (values[coalition | 1 << group] - values[coalition])
    found = ShapleySampling(group_samples=2).explain(task, ecg, keys(1))
    torch.testing.assert_close(found.maps, expected[groups] / 2)
    assert found.reliability.isnan().all()  # too short to be smoothed


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_map_sums_to_the_difference_of_logits(resnet: FrozenModel, estimator: Estimator) -> None:
    ecg, method = waves(2, seed=2), few(estimator)
    with torch.no_grad():
        expected = resnet.network(ecg) - method.baseline_logit(resnet)
    torch.testing.assert_close(method(resnet, ecg, keys(2)).sum((1, 2)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("group_samples", [50, 7])
def test_other_groups(resnet: FrozenModel, estimator: Estimator, group_samples: int) -> None:
    method = few(estimator, n_forwards=1500, n_permutations=2, group_samples=group_samples)
    found = method(resnet, waves(1), keys(1))[0]
    groups = sample_groups(8, 600, group_samples)[0]
    for group in range(0, int(groups.max()) + 1, 5):
        assert found[groups == group].unique().numel() == 1


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_row_depends_on_its_key_alone(resnet: FrozenModel, estimator: Estimator) -> None:
    ecg, method = waves(3, seed=4), few(estimator)
    together = method.explain(resnet, ecg, keys(3))
    torch.manual_seed(7)
    alone = method.explain(resnet, ecg[2:], keys(3)[2:])
    limit = 1e-9 * together.maps[2].abs().max()
    assert (together.maps[2] - alone.maps[0]).abs().max() <= limit
    assert float(together.reliability[2]) == pytest.approx(float(alone.reliability[0]), abs=1e-9)
    other = method(resnet, ecg[2:], [RandomKey(1, ecg_id="ecg2")])
    assert (other - alone.maps).abs().max() > limit
    smaller = FrozenModel(resnet.network, resnet.backgrounds, 8, resnet.gradcam_layer)
    assert (method(smaller, ecg[2:], keys(3)[2:]) - alone.maps).abs().max() <= limit


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_float32_is_float64_within_rounding(estimator: Estimator) -> None:
    task = prepare_task(trained_like_resnet(torch.float32), waves(20, seed=9).float())
    single = few(estimator)(task, waves(1).float(), keys(1))
    assert single.dtype == torch.float32
    double = few(estimator)(prepare_task(trained_like_resnet(), waves(20, seed=9)), waves(1), keys(1))
    assert (single - double).abs().max() < 1e-2 * double.abs().max()


@pytest.mark.parametrize("method", [*map(few, ESTIMATORS), ShapleySampling(group_samples=600)])
def test_passes_are_counted(resnet: FrozenModel, method: ShapleySampling) -> None:
    seen = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal seen
        seen += len(output)

    handle = resnet.network.network.flatten.register_forward_hook(count)
    try:
        method.explain(resnet, waves(1), keys(1))
    finally:
        handle.remove()
    passes = method.passes((8, 600), 20)
    assert 0 <= seen - passes.forward - passes.gradient < resnet.chunk  # one tail is padded to a chunk


def test_antithetic_permutations_are_a_mean_over_both_orders(
    resnet: FrozenModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecg, key = waves(1, seed=3), keys(1)[0]
    drawn = key.for_purpose("permutation").permutations(48, 2)
    found = few("antithetic")(resnet, ecg, [key])
    parts = []
    for orders in (drawn, [order[::-1] for order in drawn]):
        monkeypatch.setattr(RandomKey, "permutations", lambda self, length, count, orders=orders: orders)
        parts.append(few("permutation", n_permutations=2)(resnet, ecg, [key]))
    torch.testing.assert_close(found, torch.stack(parts).mean(0), rtol=1e-5, atol=1e-9)  # Captum sums in float32


def test_permutations_are_captums(resnet: FrozenModel) -> None:
    ecg, key = waves(1, seed=3), keys(1)[0]
    method = captum.ShapleyValueSampling(resnet.network)
    method.permutation_generator = lambda *_: key.for_purpose("permutation").permutations(48, 4)
    direct = method.attribute(ecg, feature_mask=sample_groups(8, 600, 100), n_samples=4).double() / 100
    torch.testing.assert_close(few("permutation")(resnet, ecg, [key]), direct, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("estimator", ["antithetic", "permutation"])
def test_what_the_reliability_reads_averages_to_the_map(resnet: FrozenModel, estimator: Estimator) -> None:
    ecg, groups = waves(1, seed=6), sample_groups(8, 600, 100)
    orders = few(estimator)._orders(groups, keys(1)[0])
    values, marginals = permutation_values(resnet, ecg, groups, orders)
    assert marginals.shape == (4, 48)
    torch.testing.assert_close(marginals.mean(0)[groups] / 100, values, rtol=1e-5, atol=1e-9)


@pytest.fixture(scope="module")
def limits() -> tuple[FrozenModel, Tensor, Tensor, Tensor]:
    """Task, ECGs, their smoothed maps of many permutations, and the root of those maps' reliability."""
    task, ecg = prepare_task(trained_like_resnet(torch.float32), waves(20, seed=9).float()), waves(3, seed=8).float()
    many = few("antithetic", n_permutations=96).explain(task, ecg, keys(3))
    return task, ecg, savitzky_golay(many.maps).flatten(1), many.reliability.sqrt()


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_reliability_predicts_the_correlation_with_the_limit(limits, estimator: Estimator) -> None:
    task, ecg, limit, attenuation = limits
    method = few(estimator, n_forwards=384, n_permutations=16)
    found = method.explain(task, ecg, [RandomKey(1, ecg_id=key.ecg_id) for key in keys(3)])
    smooth = savitzky_golay(found.maps).flatten(1)
    pairs = zip(smooth, limit, strict=True)
    true = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs]) / attenuation
    assert (true - found.reliability.sqrt()).square().mean().sqrt() < 0.025
    assert (found.reliability < 1).all()
    assert (found.n_samples == (384 if estimator in SURROGATES else 16)).all()


def test_one_draw_has_no_reliability(resnet: FrozenModel) -> None:
    assert few("permutation", n_permutations=1).explain(resnet, waves(1), keys(1)).reliability.isnan().all()
    assert few("antithetic", n_permutations=2).explain(resnet, waves(1), keys(1)).reliability.isnan().all()


class Constant(nn.Module):
    def forward(self, ecg: Tensor) -> Tensor:
        return 0 * ecg.sum((1, 2)) + 3


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_constant_network_has_an_empty_map_and_no_reliability(estimator: Estimator) -> None:
    found = few(estimator).explain(prepare_task(Constant(), waves(2)), waves(1), keys(1))
    assert (found.maps == 0).all()
    assert found.reliability.isnan().all()


def test_least_squares_needs_as_many_pairs_as_groups(resnet: FrozenModel) -> None:
    with pytest.raises(ValueError, match=r"least squares of 48 groups .* raise n_forwards to 192"):
        few("surrogate_unbiased", n_forwards=60)(resnet, waves(1), keys(1))


def test_a_logit_that_is_not_finite_is_refused() -> None:
    class Broken(nn.Module):
        def forward(self, ecg: Tensor) -> Tensor:
            return torch.log(ecg.sum((1, 2)))

    with pytest.raises(ValueError, match="logit is not finite"):
        few("surrogate")(prepare_task(Broken(), waves(2)), waves(1), keys(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "kernel"}, "estimator must be surrogate, .* got 'kernel'"),
        ({"n_forwards": 1}, "n_forwards must be 2"),
        ({"n_permutations": 0}, "n_permutations must be positive"),
        ({"group_samples": 0}, "group_samples must be positive"),
        ({"group_ms": 0.0}, "group_ms must be positive"),
        ({"estimator": "antithetic", "n_permutations": 5}, "n_permutations must be even .* got 5"),
    ],
)
def test_impossible_settings_are_refused(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShapleySampling(**arguments)


@pytest.mark.parametrize(
    ("shape", "rate", "samples", "groups"),
    [
        ((8, 600), 500, 25, 192),  # median beats: 50 ms
        ((12, 600), 500, 25, 288),
        ((8, 300), 250, 12, 200),
        ((12, 5000), 500, 200, 300),  # 400 ms
        ((12, 1000), 100, 40, 300),
        ((1, 5000), 500, 25, 200),
    ],
)
def test_groups_last_50_ms_or_are_300_at_most(shape: tuple[int, int], rate: float, samples: int, groups: int) -> None:
    assert ShapleySampling().group_size(shape, rate) == samples
    assert ShapleySampling().groups(shape, rate) == groups
    assert ShapleySampling(group_samples=10).group_size(shape, rate) == 10


def test_median_beats_have_the_groups_and_settings_they_ever_had(resnet: FrozenModel) -> None:
    given, asked = ShapleySampling(n_forwards=200, group_samples=25), ShapleySampling(n_forwards=200)
    assert asked.fitted(resnet) == given
    assert asked.resolved_settings(resnet) == given.settings()
    assert given.settings() == {
        "method": "shapley_sampling", "estimator": "surrogate", "n_forwards": 200, "group_samples": 25,
    }  # fmt: skip
    first, second = (method.explain(resnet, waves(1), keys(1)) for method in (given, asked))
    assert torch.equal(first.maps, second.maps)
    assert torch.equal(first.reliability, second.reliability)


@pytest.mark.parametrize("estimator", ["surrogate", "antithetic"])
def test_recordings_have_wide_groups(estimator: Estimator) -> None:
    ecg = waves(1, leads=12, length=1000)
    model = prepare_task(LinearReadout(12, 1000), waves(2, leads=12, length=1000), sampling_rate=100)
    method = ShapleySampling(estimator, n_forwards=300, n_permutations=2)
    assert method.resolved_settings(model)["group_samples"] == method.fitted(model).samples_a_value == 40
    found = method.explain(model, ecg, keys(1))
    by_group = (ecg * model.network.network.weight)[0].reshape(12, 25, 40).sum(-1)
    assert found.maps.sum().item() == pytest.approx(by_group.sum().item(), abs=1e-7)  # Captum sums in float32
    if estimator == "antithetic":  # exact on a network that is linear
        torch.testing.assert_close(found.maps[0].reshape(12, 25, 40)[..., 0] * 40, by_group, rtol=1e-5, atol=1e-7)
