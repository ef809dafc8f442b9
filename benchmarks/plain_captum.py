"""The twelve methods as Captum's documentation shows them, at the draws that converged maps take. No script."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from captum import attr as captum
from torch import Tensor, nn

from ecg_lightning.attribution import Passes
from ecg_lightning.attribution.sample_groups import sample_groups

BACKGROUNDS: Final = 20

Call = Callable[[nn.Module, Tensor, Tensor, int, int | None], object]
"""(network, ECGs, backgrounds, draws, inputs a pass; None: Captum's own defaults, one ECG a call) -> maps."""


@dataclass(frozen=True)
class Plain:
    """One method as Captum's documentation shows it.

    Attributes:
        call: Computes maps.
        passes: Of one map.
        draws: That a map takes.
        timed: Draws that are timed.
    """

    call: Call
    passes: Passes
    draws: int = 1
    timed: int = 1


def each(attribute: Callable[[nn.Module, Tensor], object]) -> Call:
    """A method of one pass: ECGs share it, or not."""

    def call(network: nn.Module, ecg: Tensor, _: Tensor, __: int, batch: int | None) -> None:
        for part in torch.split(ecg, batch or 1):
            attribute(network, part)

    return call


def _sigma(ecg: Tensor) -> float:
    return 0.1 * float(ecg.detach().amax() - ecg.detach().amin())


def _smoothgrad(network: nn.Module, ecg: Tensor, _: Tensor, draws: int, batch: int | None) -> None:
    tunnel = captum.NoiseTunnel(captum.Saliency(network))
    for one in ecg.split(1):
        tunnel.attribute(one, nt_samples=draws, nt_samples_batch_size=batch, stdevs=_sigma(one))


def _ig_smoothgrad(network: nn.Module, ecg: Tensor, _: Tensor, draws: int, batch: int | None) -> None:
    tunnel = captum.NoiseTunnel(captum.IntegratedGradients(network))
    for one in ecg.split(1):
        tunnel.attribute(
            one, nt_samples=draws, nt_samples_batch_size=1, stdevs=_sigma(one), n_steps=50, internal_batch_size=batch
        )


def _gradient_shap(network: nn.Module, ecg: Tensor, backgrounds: Tensor, draws: int, batch: int | None) -> None:
    method = captum.GradientShap(network)
    for one in ecg.split(1):
        for start in range(0, draws, batch or draws):
            count = min(batch or draws, draws - start)
            method.attribute(one, baselines=backgrounds, n_samples=count, stdevs=_sigma(one))


def _deeplift_shap(network: nn.Module, ecg: Tensor, backgrounds: Tensor, _: int, batch: int | None) -> None:
    method = captum.DeepLiftShap(network)
    for one in ecg.split(1):
        for part in backgrounds.split(batch // 2 if batch else len(backgrounds)):
            method.attribute(one, baselines=part)


def _shapley(network: nn.Module, ecg: Tensor, _: Tensor, draws: int, batch: int | None) -> None:
    groups = sample_groups(ecg.shape[1], ecg.shape[2], 25)
    method = captum.ShapleyValueSampling(network)
    for one in ecg.split(1):
        method.attribute(one, feature_mask=groups, n_samples=draws, perturbations_per_eval=batch or 1)


def _guided_gradcam(network: nn.Module, ecg: Tensor) -> object:
    return captum.GuidedGradCam(network, network.blocks[-1]).attribute(ecg, interpolate_mode="linear")


GRADIENT = Passes(gradient=1)
PLAIN: Final[dict[str, Plain]] = {
    "saliency": Plain(each(lambda net, x: captum.Saliency(net).attribute(x)), GRADIENT),
    "smoothgrad": Plain(_smoothgrad, Passes(gradient=30), 30, 30),
    "gradient_x_input": Plain(each(lambda net, x: captum.InputXGradient(net).attribute(x)), GRADIENT),
    "guided_backprop": Plain(each(lambda net, x: captum.GuidedBackprop(net).attribute(x)), GRADIENT),
    "gradcam": Plain(each(lambda net, x: captum.LayerGradCam(net, net.blocks[-1]).attribute(x)), GRADIENT),
    "guided_gradcam": Plain(each(_guided_gradcam), Passes(gradient=2)),
    "shapley_sampling": Plain(_shapley, Passes(forward=45 * 192 + 1), 45, 2),
    "deeplift": Plain(each(lambda net, x: captum.DeepLift(net).attribute(x)), Passes(gradient=2)),
    "integrated_gradients": Plain(
        lambda net, x, _, __, batch: [
            captum.IntegratedGradients(net).attribute(one, n_steps=8, internal_batch_size=batch) for one in x.split(1)
        ],
        Passes(gradient=8),
    ),
    "ig_smoothgrad": Plain(_ig_smoothgrad, Passes(gradient=26 * 50), 26, 2),
    "gradient_shap": Plain(_gradient_shap, Passes(gradient=271), 271, 271),
    "deeplift_shap": Plain(_deeplift_shap, Passes(gradient=2 * BACKGROUNDS)),
}
"""At the draws that a correlation of .99 with the converged map takes (SmoothGrad, IG with its Gauss-Legendre nodes,
IG+SmoothGrad of 50 nodes, GradientSHAP over 20 backgrounds, Shapley values of 192 groups)."""
