"""Sensitivity and activation methods: what a small change of the input, or of a layer, does to the logit."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from captum import attr as captum
from torch import Tensor, nn

from ecg_lightning.attribution.base import (
    Passes,
    SinglePassMethod,
    check_positive,
    differentiable,
)
from ecg_lightning.attribution.noise import noise_like
from ecg_lightning.attribution.sampling import SampledMethod, check_sampling, gradients
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import AttributionTask
from ecg_lightning.storage.hashing import JSON


@dataclass(frozen=True)
class Saliency(SinglePassMethod):
    """Gradient of the logit (Simonyan et al. 2013).

    Args:
        absolute: The magnitude, as Captum's default and the paper's; False keeps the sign.
    """

    absolute: bool = True

    name: ClassVar[str] = "saliency"
    unit: ClassVar[str] = "logit per mV"

    @property
    def signed(self) -> bool:
        """Only without ``absolute``."""
        return not self.absolute

    def _attribute(self, task: AttributionTask, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        result: Tensor = captum.Saliency(task.network).attribute(differentiable(ecg), abs=self.absolute)
        return result


@dataclass(frozen=True)
class SmoothGrad(SampledMethod):
    """Saliency averaged over noisy copies of the ECG (Smilkov et al. 2017).

    Args:
        n_samples: Noisy copies. 8 to 38 antithetic ones reach a correlation of .99 with the converged map (independent
            ones: 10 to 49) on three trained networks, 50 to 370 reach .999 (85 to over 480).
        noise: Standard deviation of the noise, as a share of the ECG's range over all leads; the lower end of the
            10-20 % that the method's authors recommend.
        absolute: Average magnitudes, as Captum's NoiseTunnel over its Saliency does; False averages signed
            gradients.
        estimator: ``antithetic``: every second copy has the noise of the one before with the opposite sign;
            ``independent``: as Captum draws. Both have the same limit.
        target_correlation: Instead of ``n_samples``, draw until the map correlates this much with its limit.
        max_samples: Bound of that.
    """

    n_samples: int = 64
    noise: float = 0.1
    absolute: bool = True
    estimator: Literal["antithetic", "independent"] = "antithetic"
    target_correlation: float | None = None
    max_samples: int = 1024

    name: ClassVar[str] = "smoothgrad"
    unit: ClassVar[str] = "logit per mV"

    def __post_init__(self) -> None:
        check_positive(self, noise=self.noise)
        check_sampling(self)

    @property
    def signed(self) -> bool:
        """Only without ``absolute``."""
        return not self.absolute

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """One gradient a noisy copy."""
        return Passes(gradient=self.most_samples)

    def _draw(self, task: AttributionTask, ecg: Tensor, key: RandomKey, first: int, count: int) -> Tensor:
        antithetic = self.estimator == "antithetic"
        noise = noise_like(ecg, count, self.noise, key, first=first, antithetic=antithetic)
        return gradients(task, ecg + noise, absolute=self.absolute)


@dataclass(frozen=True)
class GradientXInput(SinglePassMethod):
    """Gradient times ECG (Shrikumar et al. 2017)."""

    name: ClassVar[str] = "gradient_x_input"
    unit: ClassVar[str] = "logit"

    def _attribute(self, task: AttributionTask, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        result: Tensor = captum.InputXGradient(task.network).attribute(differentiable(ecg))
        return result


@dataclass(frozen=True)
class GuidedBackprop(SinglePassMethod):
    """Gradient that every ReLU lets through only where it is positive (Springenberg et al. 2014).

    Needs ``nn.ReLU`` modules, one a use: with functional ReLUs it silently equals the gradient.
    """

    name: ClassVar[str] = "guided_backprop"
    unit: ClassVar[str] = "logit per mV"

    def _attribute(self, task: AttributionTask, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        result: Tensor = captum.GuidedBackprop(task.network).attribute(differentiable(ecg))
        return result


class _LayerMethod(SinglePassMethod):
    """A method that reads the output of one layer."""

    layer: str | None

    def resolved_settings(self, task: AttributionTask) -> dict[str, JSON]:
        """With the name of the layer that is read."""
        task.layer(self.layer)
        return {**self.settings(), "layer": self.layer or task.gradcam_layer}


@dataclass(frozen=True)
class GradCam(_LayerMethod):
    """Activation of a layer weighted by its mean gradient, interpolated to the ECG (Selvaraju et al. 2017).

    One time course for all leads: the map is the same in each of them.

    Args:
        layer: Dotted name of the module whose output is read; None: the network's ``gradcam_layer``, for
            ``ResNet1d`` the last block (its last convolution gives another map, correlation .43).
        rectified: Keep positive values only, as the original method does; False as Captum's default, so that
            evidence against the diagnosis shows too.
    """

    layer: str | None = None
    rectified: bool = False

    name: ClassVar[str] = "gradcam"
    unit: ClassVar[str] = "activation x logit per activation"

    @property
    def signed(self) -> bool:
        """Only without ``rectified``."""
        return not self.rectified

    def _attribute(self, task: AttributionTask, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        cam = class_activation(task.network, task.layer(self.layer), differentiable(ecg))
        coarse = cam.relu() if self.rectified else cam  # before it is interpolated, as Captum
        # Captum's own default interpolates by nearest neighbour, which draws steps of 32 samples
        fine: Tensor = captum.LayerAttribution.interpolate(coarse, (ecg.shape[-1],), "linear")
        return fine.expand(ecg.shape)


@dataclass(frozen=True)
class GuidedGradCam(_LayerMethod):
    """Guided backpropagation times Grad-CAM (Selvaraju et al. 2017).

    Args:
        layer: As for Grad-CAM.
        rectified: Captum's and the method's own way: the CAM's negative values become 0 before it is
            interpolated. An ECG whose CAM is negative everywhere then has a map of zeros, which for a rare
            diagnosis may be every ECG; False keeps the CAM's sign.
    """

    layer: str | None = None
    rectified: bool = True

    name: ClassVar[str] = "guided_gradcam"
    unit: ClassVar[str] = "logit per mV x activation x logit per activation"
    gradients: ClassVar[int] = 2  # of the input and of the layer

    def _attribute(self, task: AttributionTask, ecg: Tensor, key: RandomKey) -> Tensor:
        cam = GradCam(self.layer, self.rectified)._attribute(task, ecg, key)
        return cam * GuidedBackprop()._attribute(task, ecg, key)


def class_activation(network: nn.Module, layer: nn.Module, ecg: Tensor) -> Tensor:
    """Output of a layer weighted by its mean gradient over time, summed over channels, not yet interpolated.

    Equal to Captum's LayerGradCam within rounding, which would copy the output into another memory layout.

    Args:
        network: (batch, lead, sample) -> (batch,).
        layer: A module of it whose output is (batch, channel, sample).
        ecg: (batch, lead, sample) mV, which requires gradients.

    Returns:
        (batch, 1, sample of the layer), detached.

    Raises:
        ValueError: An output of another shape, or none.
    """
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 3:
            raise ValueError(
                f"Grad-CAM needs a layer that gives (batch, channel, sample): {layer} gives something else"
            )
        outputs.append(output)
        return output.clone()  # what follows may change it in place

    with layer.register_forward_hook(keep):
        logit = network(ecg)
    if not outputs:
        raise ValueError(f"Grad-CAM needs a layer that runs in a pass, {layer} does not")
    (slope,) = torch.autograd.grad(logit.sum(), outputs[-1])
    return (slope.mean(-1, keepdim=True) * outputs[-1].detach()).sum(1, keepdim=True)
