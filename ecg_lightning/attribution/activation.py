"""Activation methods read what a network's ReLUs or one of its layers give: guided backpropagation and Grad-CAM."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from captum import attr as captum
from torch import Tensor, nn

from ecg_lightning.attribution.autograd import differentiable
from ecg_lightning.attribution.base import SinglePassMethod, keys_of
from ecg_lightning.attribution.guided_reference import guided_gradient, layer_cam
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.probe import ONE_RELU, REFERENCE_ERROR, Probe, median_error
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.style import ACTIVATION, MethodStyle
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.storage.hashing import JSON


@dataclass(frozen=True)
class GuidedBackprop(SinglePassMethod):
    """Guided backpropagation passes gradients through a ReLU only where they are positive (Springenberg et al. 2014).

    Needs ``nn.ReLU`` modules, one a use: with functional ReLUs it silently equals the gradient.
    """

    name: ClassVar[str] = "guided_backprop"
    style: ClassVar[MethodStyle | None] = MethodStyle("Guided backprop", ACTIVATION[0], marker="o")
    unit: ClassVar[str] = "logit per mV"
    needs_module_relu: ClassVar[bool] = True
    has_reference: ClassVar[bool] = True

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        result: Tensor = captum.GuidedBackprop(model.network).attribute(differentiable(ecg))
        return result

    def complaints(self, probe: Probe, maps: Tensor) -> list[Complaint]:
        """Compare with the same maps where every ReLU is replaced, whatever it is called."""
        if not probe.has_relus:
            return [("doubtful", "there is no ReLU to guide by: it is the plain gradient", "")]
        error = median_error(maps, guided_gradient(probe.network, probe.ecg))
        if error <= REFERENCE_ERROR:
            return []
        return [("refused", f"not every ReLU is guided: it is off by {error:.0%} of its largest value", ONE_RELU)]


class _LayerMethod(SinglePassMethod):
    """A method that reads the output of one layer."""

    reads_layer: ClassVar[bool] = True
    has_reference: ClassVar[bool] = True
    layer: str | None
    rectified: bool

    @property
    def kept_layers(self) -> tuple[str, ...]:
        """Name the layer that is read."""
        return (self.layer,) if self.layer else ()

    def complaints(self, probe: Probe, maps: Tensor) -> list[Complaint]:
        """Compare with activation and gradient of the layer in the network as it was handed in."""
        layer = str(self.layer or probe.model.gradcam_layer)
        cam = layer_cam(probe.network, layer, probe.ecg)
        if cam is None:
            return []
        error = median_error(maps, self._of(_interpolated(cam.relu() if self.rectified else cam, probe.ecg), probe))
        if error <= REFERENCE_ERROR:
            return []
        words = f"it is off by {error:.0%} of its largest value from what the output and gradient of {layer} give"
        return [("doubtful", words, "call nothing in place behind that layer")]

    def _of(self, cam: Tensor, probe: Probe) -> Tensor:  # noqa: ARG002
        """The map that a CAM (batch, lead, sample) leads to."""
        return cam

    def resolved_settings(self, model: FrozenModel) -> dict[str, JSON]:
        """Return the settings with the name of the layer that is read."""
        model.layer(self.layer)
        return {**self.settings(), "layer": self.layer or model.gradcam_layer}


@dataclass(frozen=True)
class GradCam(_LayerMethod):
    """Grad-CAM weighs a layer's output by its mean gradient and interpolates it to the ECG (Selvaraju et al. 2017).

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
    style: ClassVar[MethodStyle | None] = MethodStyle("Grad-CAM", ACTIVATION[1], marker="s")
    unit: ClassVar[str] = "activation x logit per activation"
    needs_module_relu: ClassVar[bool] = False

    @property
    def signed(self) -> bool:
        """Return whether values below zero have a meaning: only without ``rectified``."""
        return not self.rectified

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        cam = class_activation(model.network, model.layer(self.layer), differentiable(ecg))
        return _interpolated(cam.relu() if self.rectified else cam, ecg)  # rectified before that, as Captum does


@dataclass(frozen=True)
class GuidedGradCam(_LayerMethod):
    """Guided Grad-CAM is guided backpropagation times Grad-CAM (Selvaraju et al. 2017).

    Args:
        layer: Name of the layer, as for Grad-CAM.
        rectified: Captum's and the method's own way: the CAM's negative values become 0 before it is
            interpolated. An ECG whose CAM is negative everywhere then has a map of zeros, which for a rare
            diagnosis may be every ECG; False retains the CAM's sign.
    """

    layer: str | None = None
    rectified: bool = True

    name: ClassVar[str] = "guided_gradcam"
    style: ClassVar[MethodStyle | None] = MethodStyle("Guided Grad-CAM", ACTIVATION[2], marker="^")
    unit: ClassVar[str] = "logit per mV x activation x logit per activation"
    gradients: ClassVar[int] = 2  # of the input and of the layer
    needs_module_relu: ClassVar[bool] = True
    constant_hint: ClassVar[str] = "`rectified: false` keeps the sign of the CAM"

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:
        cam = GradCam(self.layer, self.rectified)._attribute(model, ecg, key)
        return cam * GuidedBackprop()._attribute(model, ecg, key)

    def _of(self, cam: Tensor, probe: Probe) -> Tensor:
        return cam * guided_gradient(probe.network, probe.ecg)

    def complaints(self, probe: Probe, maps: Tensor) -> list[Complaint]:
        """Return the complaints of the layer, and of the guided half."""
        guided = GuidedBackprop()
        half = guided(probe.model, probe.ecg, keys_of(probe.ecg))
        return [*super().complaints(probe, maps), *guided.complaints(probe, half)]


def _interpolated(coarse: Tensor, ecg: Tensor) -> Tensor:
    """Spread (batch, 1, position) over all leads, (batch, lead, sample), the same in each."""
    # Captum's own default interpolates by nearest neighbour, which draws steps of 32 samples
    fine: Tensor = captum.LayerAttribution.interpolate(coarse, (ecg.shape[-1],), "linear")
    return fine.expand(ecg.shape)


def class_activation(network: nn.Module, layer: nn.Module, ecg: Tensor) -> Tensor:
    """Weigh a layer's output by its mean gradient over time and sum over channels, not yet interpolated.

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
