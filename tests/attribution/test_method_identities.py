"""Closed forms, identities and invariances of the twelve methods."""

import itertools
import math

import numpy as np
import pytest
import torch
from networks import keys, trained_like_resnet, waves
from torch import Tensor, nn

from ecg_lightning.attribution import METHODS, FrozenModel, RandomKey, build_methods, prepare_task
from ecg_lightning.attribution.methods import (
    DeepLift,
    DeepLiftShap,
    GradCam,
    GradientShap,
    GradientXInput,
    GuidedBackprop,
    IgSmoothGrad,
    IntegratedGradients,
    Saliency,
    ShapleySampling,
    SmoothGrad,
)
from ecg_lightning.attribution.sample_groups import sample_groups

FEW = (
    Saliency(),
    SmoothGrad(n_samples=9),
    GradientXInput(),
    GuidedBackprop(),
    GradCam(),
    METHODS["guided_gradcam"](),
    ShapleySampling("permutation", n_permutations=2, group_samples=200),
    DeepLift(),
    IntegratedGradients(n_steps=7),
    IgSmoothGrad(n_samples=5, n_steps=3, estimator="nested"),
    IgSmoothGrad(n_samples=11),
    GradientShap(n_samples=11),
    DeepLiftShap(),
)


def weight(task: FrozenModel) -> Tensor:
    return task.network.network.weight.detach()


def test_gradients_of_a_linear_network_are_its_weights(linear: FrozenModel) -> None:
    ecg = waves(2)
    torch.testing.assert_close(Saliency(absolute=False)(linear, ecg, keys(2)), weight(linear).expand(2, -1, -1))
    torch.testing.assert_close(Saliency()(linear, ecg, keys(2)), weight(linear).abs().expand(2, -1, -1))
    torch.testing.assert_close(SmoothGrad()(linear, ecg, keys(2)), weight(linear).abs().expand(2, -1, -1))
    torch.testing.assert_close(GuidedBackprop()(linear, ecg, keys(2)), weight(linear).expand(2, -1, -1))


@pytest.mark.parametrize("method", [GradientXInput(), DeepLift(), IntegratedGradients(n_steps=3)])
def test_contributions_to_a_linear_network_are_weight_times_ecg(linear: FrozenModel, method) -> None:
    ecg = waves(2)
    torch.testing.assert_close(method(linear, ecg, keys(2)), weight(linear) * ecg)


def test_shap_methods_on_a_linear_network_subtract_the_mean_background(linear: FrozenModel) -> None:
    ecg = waves(2)
    expected = weight(linear) * (ecg - linear.backgrounds.mean(0))
    torch.testing.assert_close(DeepLiftShap()(linear, ecg, keys(2)), expected)
    # Every background as often as the others: without noise the mean is exact after whole cycles, whatever the places.
    torch.testing.assert_close(GradientShap(n_samples=60, noise=0.0)(linear, ecg, keys(2)), expected)


def test_ig_smoothgrad_on_a_linear_network_has_the_mean_noise(linear: FrozenModel) -> None:
    ecg = waves(1)
    noise = RandomKey(ecg_id="ecg0").for_purpose("noise/0").normal(32, 8, 600)[:6].double()
    mean_noisy = ecg + 0.1 * (ecg.max() - ecg.min()) * noise.mean(0)
    for method in (IgSmoothGrad(6), IgSmoothGrad(6, estimator="nested", n_steps=2)):
        torch.testing.assert_close(method(linear, ecg, keys(1)), weight(linear) * mean_noisy)


def test_shapley_values_of_a_linear_network_are_group_means(linear: FrozenModel) -> None:
    ecg = waves(2)
    groups = sample_groups(8, 600, 25)[0]
    product = weight(linear) * ecg
    sums = torch.zeros(2, 192, dtype=torch.float64).index_add_(1, groups.flatten(), product.reshape(2, -1))
    expected = (sums / 25)[:, groups.flatten()].reshape(2, 8, 600)
    ours = ShapleySampling("permutation", n_permutations=1)(linear, ecg, keys(2))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-9)  # Captum sums in float32


def test_guided_gradcam_is_a_product(resnet: FrozenModel) -> None:
    ecg = waves(3)
    product = GuidedBackprop()(resnet, ecg, keys(3)) * GradCam()(resnet, ecg, keys(3))
    signed = METHODS["guided_gradcam"](rectified=False)(resnet, ecg, keys(3))  # type: ignore[call-arg]
    torch.testing.assert_close(signed, product)
    assert (product != 0).any((1, 2)).all()


def test_smoothgrad_without_noise_is_saliency(resnet: FrozenModel) -> None:
    ecg = waves(2)
    quiet = SmoothGrad(n_samples=3, noise=1e-12)(resnet, ecg, keys(2))
    torch.testing.assert_close(quiet, Saliency()(resnet, ecg, keys(2)), rtol=1e-6, atol=1e-9)


def test_shapley_over_all_permutations_is_the_subset_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interactions(nn.Module):
        def forward(self, ecg: Tensor) -> Tensor:
            return ecg[:, 0, 0] * ecg[:, 1, 1] + torch.relu(ecg[:, 0, 3] - ecg[:, 1, 2]) + ecg[:, 0].prod(1)

    task = prepare_task(Interactions(), waves(2, leads=2, length=4))
    ecg = torch.tensor([[[1.0, -2.0, 0.5, 3.0], [0.7, 2.0, -1.0, 0.2]]], dtype=torch.float64)
    groups = sample_groups(2, 4, 2)[0]
    everyone = [list(order) for order in itertools.permutations(range(4))]
    monkeypatch.setattr(RandomKey, "permutations", lambda self, length, count: everyone)
    ours = ShapleySampling("permutation", n_permutations=len(everyone), group_samples=2)(task, ecg, keys(1))

    def value(members: tuple[int, ...]) -> float:
        kept = torch.isin(groups, torch.tensor(members)) if members else torch.zeros_like(groups, dtype=torch.bool)
        return float(Interactions()(ecg * kept))

    for player in range(4):
        others = [other for other in range(4) if other != player]
        exact = sum(
            math.factorial(size)
            * math.factorial(3 - size)
            / math.factorial(4)
            * (value((*subset, player)) - value(subset))
            for size in range(4)
            for subset in itertools.combinations(others, size)
        )
        np.testing.assert_allclose(ours[0][groups == player], exact / 2, atol=1e-6)  # Captum sums in float32


@pytest.mark.parametrize(("samples", "size"), [(600, 25), (600, 7), (10, 10), (10, 30)])
def test_groups_cover_every_point_of_one_lead(samples: int, size: int) -> None:
    groups = sample_groups(3, samples, size)[0]
    assert groups.shape == (3, samples)
    leads_of_group = [set(np.flatnonzero((groups == group).any(1).numpy())) for group in range(int(groups.max()) + 1)]
    assert all(len(leads) == 1 for leads in leads_of_group)
    assert int(torch.bincount(groups.flatten()).max()) == min(size, samples)


@pytest.mark.parametrize("method", [m for m in FEW if m.complete], ids=lambda m: m.name)
def test_complete_methods_sum_to_the_difference_of_logits(resnet: FrozenModel, method) -> None:
    ecg = waves(4, seed=2)
    with torch.no_grad():
        expected = resnet.network(ecg) - method.baseline_logit(resnet)
    dense = IntegratedGradients(n_steps=400) if method.name == "integrated_gradients" else method
    tolerance = {"integrated_gradients": 2e-3, "shapley_sampling": 1e-6}.get(method.name, 1e-9)
    torch.testing.assert_close(dense(resnet, ecg, keys(4)).sum((1, 2)), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("method", FEW, ids=lambda m: m.name)
def test_a_map_does_not_depend_on_its_batch(resnet: FrozenModel, method) -> None:
    ecg = waves(17, seed=4)
    together = method(resnet, ecg, keys(17))
    order = torch.randperm(17, generator=torch.Generator().manual_seed(0))
    shuffled = method(resnet, ecg[order], [keys(17)[i] for i in order])
    alone = torch.cat([method(resnet, ecg[i : i + 1], keys(17)[i : i + 1]) for i in range(0, 17, 8)])
    limit = 1e-9 * together.abs().amax((1, 2), keepdim=True)
    assert ((together[order] - shuffled).abs() <= limit[order]).all()
    assert ((together[::8] - alone).abs() <= limit[::8]).all()


@pytest.mark.parametrize("method", FEW, ids=lambda m: m.name)
def test_draws_come_from_the_key_alone(resnet: FrozenModel, method) -> None:
    ecg = waves(1)
    torch.manual_seed(1)
    first = method(resnet, ecg, [RandomKey(0, 0, method.name, "a")])
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - the one Captum draws from
    again = method(resnet, ecg, [RandomKey(0, 0, method.name, "a")])
    assert torch.equal(first, again)
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002
    other = method(resnet, ecg, [RandomKey(0, 1, method.name, "a")])
    assert torch.equal(first, other) != method.stochastic


@pytest.mark.parametrize("method", FEW, ids=lambda m: m.name)
def test_works_under_inference_mode_and_leaves_the_network_alone(method) -> None:
    network = trained_like_resnet(torch.float32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.inference_mode():
        task = prepare_task(network, waves(20, seed=9).float())
        result = method(task, waves(2).float(), keys(2))
    assert result.dtype == torch.float32
    assert result.isfinite().all()
    assert result.abs().max() > 0
    assert not result.requires_grad
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    hooked = [m for m in task.network.modules() if m._forward_hooks or m._backward_hooks or m._forward_pre_hooks]
    assert not hooked


@pytest.mark.parametrize("method", FEW, ids=lambda m: m.name)
def test_sign_is_as_declared(resnet: FrozenModel, method) -> None:
    values = method(resnet, waves(6, seed=1), keys(6))
    assert bool((values < 0).any()) == method.signed


@pytest.mark.parametrize("chunk", [1, 8])
@pytest.mark.parametrize("method", FEW, ids=lambda m: m.name)
def test_the_memory_budget_changes_no_map(resnet: FrozenModel, method, chunk: int) -> None:
    small = FrozenModel(resnet.network, resnet.backgrounds, chunk, resnet.gradcam_layer)
    ecg = waves(2)
    expected = method(resnet, ecg, keys(2))
    assert (method(small, ecg, keys(2)) - expected).abs().max() <= 1e-9 * expected.abs().max()


def test_passes_are_counted(resnet: FrozenModel) -> None:
    seen = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal seen
        seen += len(output)

    handle = resnet.network.network.flatten.register_forward_hook(count)
    try:
        for method in (*(m for m in FEW if m.name != "deeplift_shap"), DeepLiftShap(engine="captum")):
            if method.single_pass:
                continue
            seen = 0
            method(resnet, waves(1), keys(1))
            passes = method.passes((8, 600), 20)
            # the bare baseline of Shapley sampling is padded to a part of a permutation (24 groups)
            padding = 23 if method.name == "shapley_sampling" else 0
            assert seen == passes.forward + passes.gradient + padding, method.name
    finally:
        handle.remove()


def test_methods_are_listed_once_and_known() -> None:
    assert [method.name for method in build_methods()] == list(METHODS)
    with pytest.raises(ValueError, match=r"listed twice: saliency"):
        build_methods(["saliency", Saliency(absolute=False)])
    with pytest.raises(ValueError, match=r"unknown attribution method 'lime'; expected one of saliency"):
        build_methods(["lime"])
    with pytest.raises(ValueError, match="at least one"):
        build_methods([])


@pytest.mark.parametrize(
    "build",
    [
        lambda: SmoothGrad(n_samples=0),
        lambda: SmoothGrad(noise=-0.1),
        lambda: IntegratedGradients(n_steps=0),
        lambda: IgSmoothGrad(n_steps=-1),
        lambda: SmoothGrad(target_correlation=1.0),
        lambda: GradientShap(max_samples=0),
        lambda: ShapleySampling(n_permutations=0),
        lambda: ShapleySampling(group_samples=0),
        lambda: GradientShap(n_samples=0),
        lambda: GradientShap(noise=-1.0),
    ],
)
def test_impossible_hyperparameters_are_refused(build) -> None:
    with pytest.raises(ValueError, match="must"):
        build()
