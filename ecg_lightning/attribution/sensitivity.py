"""Sensitivity methods say what a small change of the input does to the logit."""

from dataclasses import dataclass, replace
from typing import ClassVar, Final, Literal

from captum import attr as captum
from torch import Tensor

from ecg_lightning.attribution.activation import GradCam, GuidedBackprop, GuidedGradCam
from ecg_lightning.attribution.autograd import differentiable
from ecg_lightning.attribution.base import Passes, SinglePassMethod, check_positive, keys_of
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.noise import noise_like
from ecg_lightning.attribution.probe import Probe, off_from, slope_complaints, without_ties
from ecg_lightning.attribution.sampling import SampledMethod, check_sampling, gradients
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.style import SENSITIVITY, MethodStyle
from ecg_lightning.attribution.task import FrozenModel

_QUIET: Final = 1e-6
"""Noise, of the ECG's range, with which hardly a ReLU changes sides."""


@dataclass(frozen=True)
class Saliency(SinglePassMethod):
    """Saliency is the gradient of the logit, or its magnitude (Simonyan et al. 2013).

    Args:
        absolute: The magnitude, as Captum's default and the paper's; False retains the sign.
    """

    absolute: bool = True

    name: ClassVar[str] = "saliency"
    style: ClassVar[MethodStyle | None] = MethodStyle("Saliency", SENSITIVITY[0], marker="o")
    unit: ClassVar[str] = "logit per mV"
    needs_module_relu: ClassVar[bool] = False

    @property
    def signed(self) -> bool:
        """Return whether values below zero have a meaning: only without ``absolute``."""
        return not self.absolute

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        result: Tensor = captum.Saliency(model.network).attribute(differentiable(ecg), abs=self.absolute)
        return result

    def complaints(self, probe: Probe, maps: Tensor) -> list[Complaint]:
        """Compare the gradient with what the logit does when the ECG's amplitude changes a little."""
        if not maps.any():
            return [("doubtful", "the gradient is zero everywhere: the logit does not move", "")]
        return slope_complaints(probe.network, probe.ecg)


@dataclass(frozen=True)
class SmoothGrad(SampledMethod):
    """SmoothGrad averages saliency over noisy copies of the ECG (Smilkov et al. 2017).

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
    style: ClassVar[MethodStyle | None] = MethodStyle("SmoothGrad", SENSITIVITY[1], marker="s")
    unit: ClassVar[str] = "logit per mV"
    needs_module_relu: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_positive(self, noise=self.noise)
        check_sampling(self)

    @property
    def signed(self) -> bool:
        """Return whether values below zero have a meaning: only without ``absolute``."""
        return not self.absolute

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """Count one gradient a noisy copy."""
        return Passes(gradient=self.most_samples)

    def _draw(self, model: FrozenModel, ecg: Tensor, key: RandomKey, first: int, count: int) -> Tensor:
        antithetic = self.estimator == "antithetic"
        noise = noise_like(ecg, count, self.noise, key, first=first, antithetic=antithetic)
        return gradients(model, ecg + noise, absolute=self.absolute)

    def complaints_of_few_passes(self, probe: Probe) -> list[Complaint]:
        """Compare maps without noise with the gradient, which they then are."""
        quiet = replace(self, n_samples=2, noise=_QUIET, target_correlation=None)
        ecg = without_ties(probe.ecg)
        truth = gradients(probe.model, ecg, absolute=self.absolute)
        return off_from(quiet(probe.model, ecg, keys_of(ecg)), truth, "without noise the gradient")


@dataclass(frozen=True)
class GradientXInput(SinglePassMethod):
    """Gradient x input is the gradient times the ECG (Shrikumar et al. 2017)."""

    name: ClassVar[str] = "gradient_x_input"
    style: ClassVar[MethodStyle | None] = MethodStyle("Gradient x input", SENSITIVITY[2], marker="^")
    unit: ClassVar[str] = "logit"
    needs_module_relu: ClassVar[bool] = False

    def _attribute(self, model: FrozenModel, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        result: Tensor = captum.InputXGradient(model.network).attribute(differentiable(ecg))
        return result

    def complaints(self, probe: Probe, maps: Tensor) -> list[Complaint]:  # noqa: ARG002
        """Compare the gradient with what the logit does when the ECG's amplitude changes a little."""
        return slope_complaints(probe.network, probe.ecg)


__all__ = ["GradCam", "GradientXInput", "GuidedBackprop", "GuidedGradCam", "Saliency", "SmoothGrad"]
"""Configurations of older runs name the activation methods here too."""
