"""In float64, every method equals a direct Captum call on the same network, under the same draws."""

from collections.abc import Callable

import captum.attr as captum
import numpy as np
import pytest
import torch
from networks import trained_like_resnet, waves
from torch import Tensor

from ecg_lightning.attribution import AttributionMethod, FrozenModel, RandomKey, prepare_task
from ecg_lightning.attribution.methods import (
    METHODS,
    DeepLift,
    DeepLiftShap,
    GradCam,
    GradientShap,
    GradientXInput,
    GuidedBackprop,
    GuidedGradCam,
    IgSmoothGrad,
    IntegratedGradients,
    Saliency,
    ShapleySampling,
    SmoothGrad,
)
from ecg_lightning.attribution.noise import ROUND, by_rounds
from ecg_lightning.attribution.sample_groups import sample_groups

N_ECGS = 3
KEYS = [RandomKey(ecg_id=str(index)) for index in range(N_ECGS)]
TOLERANCE = 1e-9


@pytest.fixture(scope="module")
def task() -> FrozenModel:
    return prepare_task(trained_like_resnet(), waves(20, seed=9))


@pytest.fixture(scope="module")
def ecg() -> Tensor:
    return waves(N_ECGS, seed=5)


def relative_error(ours: Tensor, reference: Tensor) -> float:
    assert ours.shape == reference.shape
    assert reference.abs().max() > 0
    return float((ours - reference).abs().max() / reference.abs().max())


def upsampled(task: FrozenModel, ecg: Tensor) -> Tensor:
    cam = captum.LayerGradCam(task.network, task.network.network.blocks[3])
    coarse = cam.attribute(ecg)
    return captum.LayerAttribution.interpolate(coarse, (600,), "linear").expand(-1, 8, -1)


DETERMINISTIC: dict[str, tuple[AttributionMethod, Callable[[FrozenModel, Tensor], Tensor]]] = {
    "saliency": (Saliency(), lambda task, x: captum.Saliency(task.network).attribute(x)),
    "saliency_signed": (
        Saliency(absolute=False),
        lambda task, x: captum.Saliency(task.network).attribute(x, abs=False),
    ),
    "gradient_x_input": (GradientXInput(), lambda task, x: captum.InputXGradient(task.network).attribute(x)),
    "guided_backprop": (GuidedBackprop(), lambda task, x: captum.GuidedBackprop(task.network).attribute(x)),
    "gradcam": (GradCam(), upsampled),
    "guided_gradcam": (
        GuidedGradCam(),
        lambda task, x: captum.GuidedGradCam(task.network, task.network.network.blocks[3]).attribute(
            x, interpolate_mode="linear"
        ),
    ),
    "deeplift": (DeepLift(), lambda task, x: captum.DeepLift(task.network).attribute(x)),
    "integrated_gradients": (
        IntegratedGradients(n_steps=24),
        lambda task, x: captum.IntegratedGradients(task.network).attribute(x, n_steps=24),
    ),
    "deeplift_shap": (
        DeepLiftShap(),
        lambda task, x: captum.DeepLiftShap(task.network).attribute(x, baselines=task.backgrounds),
    ),
}


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_method_equals_captum(task: FrozenModel, ecg: Tensor, name: str) -> None:
    method, direct = DETERMINISTIC[name]
    reference = direct(task, ecg.clone().requires_grad_()).detach()
    assert relative_error(method(task, ecg, KEYS), reference) <= TOLERANCE


def test_every_method_is_checked() -> None:
    stochastic = {"smoothgrad", "ig_smoothgrad", "gradient_shap", "shapley_sampling"}
    assert {method.name for method, _ in DETERMINISTIC.values()} | stochastic == set(METHODS)


def direct_noise(monkeypatch: pytest.MonkeyPatch, key: RandomKey, n_samples: int, sigma: float) -> None:
    """Captum's own noise becomes the key's draws (it rounds the standard deviation to float32 before)."""

    def normal(mean: float, std: Tensor) -> Tensor:
        assert mean == 0
        assert std.shape[0] == n_samples
        assert std.flatten()[0] == pytest.approx(sigma)
        noise = by_rounds(lambda number: key.for_purpose(f"noise/{number}").normal(ROUND, *std.shape[1:]), 0, n_samples)
        return noise.double() * sigma

    monkeypatch.setattr(torch, "normal", normal)


def sigma(ecg: Tensor) -> float:
    return 0.1 * float(ecg.max() - ecg.min())


def each_ecg(direct: Callable[[Tensor, RandomKey], Tensor], ecg: Tensor) -> Tensor:
    return torch.cat([direct(ecg[i : i + 1], KEYS[i]) for i in range(N_ECGS)]).detach()


@pytest.mark.parametrize("absolute", [True, False])
def test_smoothgrad_equals_noise_tunnel(
    task: FrozenModel, ecg: Tensor, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    def direct(x: Tensor, key: RandomKey) -> Tensor:
        direct_noise(monkeypatch, key, 40, sigma(x))
        tunnel = captum.NoiseTunnel(captum.Saliency(task.network))
        return tunnel.attribute(x.clone(), nt_type="smoothgrad", nt_samples=40, stdevs=sigma(x), abs=absolute)

    reference = each_ecg(direct, ecg)
    monkeypatch.undo()
    ours = SmoothGrad(n_samples=40, absolute=absolute, estimator="independent")
    assert relative_error(ours(task, ecg, KEYS), reference) <= TOLERANCE


def test_ig_smoothgrad_equals_noise_tunnel(task: FrozenModel, ecg: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    def direct(x: Tensor, key: RandomKey) -> Tensor:
        direct_noise(monkeypatch, key, 7, sigma(x))
        tunnel = captum.NoiseTunnel(captum.IntegratedGradients(task.network))
        return tunnel.attribute(x.clone(), nt_type="smoothgrad", nt_samples=7, stdevs=sigma(x), n_steps=5)

    reference = each_ecg(direct, ecg)
    monkeypatch.undo()
    ours = IgSmoothGrad(n_samples=7, n_steps=5, estimator="nested")
    assert relative_error(ours(task, ecg, KEYS), reference) <= TOLERANCE


def test_gradient_shap_equals_captum(task: FrozenModel, ecg: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    n_samples = 50

    def direct(x: Tensor, key: RandomKey) -> Tensor:
        direct_noise(monkeypatch, key, n_samples, sigma(x))
        alpha = by_rounds(lambda number: key.for_purpose(f"alpha/{number}").uniform(ROUND), 0, n_samples).numpy()
        chosen = by_rounds(
            lambda number: key.for_purpose(f"background/{number}").integers(len(task.backgrounds), ROUND), 0, n_samples
        ).numpy()
        monkeypatch.setattr(np.random, "uniform", lambda low, high, size: alpha)
        monkeypatch.setattr(np.random, "choice", lambda n, size: chosen)
        method = captum.GradientShap(task.network)
        return method.attribute(x.clone(), baselines=task.backgrounds, n_samples=n_samples, stdevs=sigma(x))

    reference = each_ecg(direct, ecg)
    monkeypatch.undo()
    ours = GradientShap(n_samples=n_samples, estimator="random")
    assert relative_error(ours(task, ecg, KEYS), reference) <= TOLERANCE


def test_shapley_sampling_equals_captum_spread_over_groups(
    task: FrozenModel, ecg: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def direct(x: Tensor, key: RandomKey) -> Tensor:
        monkeypatch.undo()
        orders = iter(key.for_purpose("permutation").permutations(24, 3))
        monkeypatch.setattr(torch, "randperm", lambda n: torch.tensor(next(orders)))
        method = captum.ShapleyValueSampling(task.network)
        return method.attribute(x, feature_mask=sample_groups(8, 600, 200), n_samples=3).double() / 200

    reference = each_ecg(direct, ecg)
    monkeypatch.undo()
    ours = ShapleySampling("permutation", n_permutations=3, group_samples=200)(task, ecg, KEYS)
    assert relative_error(ours, reference) <= TOLERANCE
