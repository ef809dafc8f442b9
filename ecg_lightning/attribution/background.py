"""SHAP methods: contributions against background ECGs instead of a zero baseline."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from captum import attr as captum
from torch import Tensor

from ecg_lightning.attribution.base import AttributionMethod, Passes, check_positive, differentiable
from ecg_lightning.attribution.noise import noise_like
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import AttributionTask, in_chunks


class _BackgroundMethod(AttributionMethod):
    """A method whose maps sum to f(ecg) - mean f(background)."""

    uses_backgrounds: ClassVar[bool] = True

    def baseline_logit(self, task: AttributionTask) -> float:
        """Mean f(background)."""
        with torch.no_grad():
            return float(in_chunks(task.network, task.backgrounds, task.chunk).cpu().double().mean())


@dataclass(frozen=True)
class GradientShap(_BackgroundMethod):
    """Gradients at random points between noisy ECG and random background (Lundberg & Lee 2017; Captum).

    Args:
        n_samples: Random points. 271 reach a correlation of .99 with the converged map over 20 backgrounds.
        noise: Standard deviation of the noise on the ECG, as a share of its range over all leads; the same
            as SmoothGrad's, so that the two smooth alike.
    """

    n_samples: int = 320
    noise: float = 0.1

    name: ClassVar[str] = "gradient_shap"
    unit: ClassVar[str] = "logit"
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_positive(self, n_samples=self.n_samples)
        if self.noise < 0:
            raise ValueError(f"{self.name}: noise must not be negative, got {self.noise}")

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """One gradient a random point."""
        return Passes(gradient=self.n_samples)

    def _attribute(self, task: AttributionTask, ecg: Tensor, key: RandomKey) -> Tensor:
        noisy = ecg + noise_like(ecg, self.n_samples, self.noise, key)
        chosen = key.for_purpose("background").integers(len(task.backgrounds), self.n_samples)
        background = task.backgrounds[chosen.to(task.backgrounds.device)]
        alpha = key.for_purpose("alpha").uniform(self.n_samples, 1, 1).to(ecg)
        gradient = captum.Saliency(task.network)
        total = torch.zeros_like(ecg)
        for x, b, a in zip(*(torch.split(t, task.chunk) for t in (noisy, background, alpha)), strict=True):
            slope = gradient.attribute(differentiable(a * x + (1 - a) * b), abs=False)
            total += (slope * (x - b)).sum(0, keepdim=True)
        return total / self.n_samples


@dataclass(frozen=True)
class DeepLiftShap(_BackgroundMethod):
    """DeepLIFT averaged over the background ECGs (Lundberg & Lee 2017): all of them, so without noise."""

    name: ClassVar[str] = "deeplift_shap"
    unit: ClassVar[str] = "logit"
    complete: ClassVar[bool] = True

    def passes(self, shape: tuple[int, int], backgrounds: int) -> Passes:  # noqa: ARG002
        """ECG and background go through the network together: two gradients a background."""
        return Passes(gradient=2 * backgrounds)

    def _attribute(self, task: AttributionTask, ecg: Tensor, key: RandomKey) -> Tensor:  # noqa: ARG002
        method = captum.DeepLiftShap(task.network)
        pairs = max(2, task.chunk // 2)  # ECG and background share a pass; Captum refuses a single background
        total = torch.zeros_like(ecg)
        for part in _at_least_two(task.backgrounds, pairs):
            total += method.attribute(differentiable(ecg), baselines=part) * len(part)
        return total / len(task.backgrounds)


def _at_least_two(backgrounds: Tensor, size: int) -> list[Tensor]:
    """Split into parts of ``size``; a last part of one joins the part before it."""
    parts = list(torch.split(backgrounds, size))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
