"""This module holds what the linter hands to a method, and comparisons by which a method judges its own maps."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.randomness import torch_generator

ONE_RELU: Final = "use one nn.ReLU module for each use, made in __init__, and call no ReLU as a function"
DOUBTFUL_ERROR: Final = 0.02
"""Error of sums, and root mean squared of maps, over what they must be."""

REFERENCE_ERROR: Final = 1e-3
"""Largest difference to a map that is known, over its largest value, in the median ECG: one ECG of many has a ReLU at
its kink, which rounding may flip."""

_DITHER: Final = 1e-2
"""Share of the ECG's standard deviation, far above the noise of few passes."""

_SLOPE_ERROR: Final = 0.05
_STEP: Final = 1e-3
"""Relative change of the ECG's amplitude over which the logit's change is compared with its gradient."""


@dataclass(frozen=True)
class Probe:
    """A probe holds a few ECGs, and what is known of the network that they go through.

    Attributes:
        network: The network, as it was handed in, in evaluation mode.
        model: The frozen network.
        ecg: (batch, lead, sample) mV.
        logit: (batch,) float64 on the CPU.
        has_relus: Whether a pass goes through a ReLU.
    """

    network: nn.Module
    model: FrozenModel
    ecg: Tensor
    logit: Tensor
    has_relus: bool = True

    @property
    def task(self) -> FrozenModel:
        """Return ``model`` under the name that methods written for earlier versions know it by."""
        return self.model


def without_ties(ecg: Tensor) -> Tensor:
    """Add a little noise: where neighbouring samples are equal, rounding decides what maximum pooling takes.

    Args:
        ecg: (batch, lead, sample) mV.
    """
    noise = torch.randn(ecg.shape, generator=torch_generator(0)).to(ecg)
    return ecg.detach() + _DITHER * ecg.std() * noise


def off_from(maps: Tensor, truth: Tensor, name: str) -> list[Complaint]:
    """Return a complaint if maps without noise differ from what they must be.

    Args:
        maps: (batch, lead, sample).
        truth: What they must be, of the same shape.
        name: What that is called.
    """
    given, known = (values.detach().cpu().double().flatten(1) for values in (maps, truth))
    error = float(((given - known).norm(dim=1) / known.norm(dim=1).clamp_min(1e-30)).median())
    if error <= DOUBTFUL_ERROR:
        return []
    return [("doubtful", f"{name} is what it must be, and it is off by {error:.0%}", "")]


def slope_complaints(network: nn.Module, ecg: Tensor) -> list[Complaint]:
    """Return a complaint if the logit's change with the ECG's amplitude is not what the gradient says."""
    if ecg.dtype not in (torch.float32, torch.float64):
        return []
    with torch.enable_grad():
        probe = ecg.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(probe).sum(), probe)
    terms = (gradient * ecg).cpu().double().flatten(1)
    with torch.no_grad():
        larger, smaller = (network(ecg * (1 + step)).reshape(-1).cpu().double() for step in (_STEP, -_STEP))
    slope = (larger - smaller) / (2 * _STEP)
    rounding = 10 * torch.finfo(ecg.dtype).eps * larger.abs() / _STEP
    apart = ((terms.sum(1) - slope).abs() - rounding).clamp_min(0.0)
    scale = torch.maximum(slope.abs(), 0.1 * terms.abs().sum(1)).clamp_min(1e-300)
    error = float((apart / scale).median())
    if error <= _SLOPE_ERROR:
        return []
    words = f"the logit changes otherwise than its gradient says, by {error:.0%}, when the ECG's amplitude does"
    return [
        ("doubtful", words, "look for steps whose gradient is another one: detach(), rounding, functions of one's own")
    ]


def median_error(maps: Tensor, truth: Tensor) -> float:
    """Return the largest difference of a map to the true one, over its largest value, in the median ECG.

    Args:
        maps: (batch, lead, sample).
        truth: The same shape.
    """
    maps, truth = maps.cpu().double().flatten(1), truth.detach().cpu().double().flatten(1)
    largest = truth.abs().amax(1).clamp_min(1e-30)
    return float(((maps - truth).abs().amax(1) / largest).median())
