"""Checks of methods that need hundreds of passes, in a handful.

With next to no noise, or on the way between two ECGs that are nearly the same, they must equal a map that is known.
"""

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.attribution.background import GradientShap
from ecg_lightning.attribution.base import AttributionMethod, recording_gradients
from ecg_lightning.attribution.contribution import IgSmoothGrad, integrated_gradients
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.sampling import gradients
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.sensitivity import SmoothGrad
from ecg_lightning.attribution.shapley import ShapleySampling
from ecg_lightning.attribution.task import AttributionTask
from ecg_lightning.randomness import torch_generator

_NOISE: Final = 1e-6
"""Of the ECG's range: hardly a ReLU changes sides."""

_DITHER: Final = 1e-2
"""Of the ECG's standard deviation, far above the noise."""

_NEAR: Final = 1e-5
"""Share of the ECG by which the background differs."""

_DRAWS: Final = 4
_STEPS: Final = 4
_DOUBTFUL_ERROR: Final = 0.02
"""Root mean squared difference over that of the known map."""


def few_passes(method: AttributionMethod, task: AttributionTask, ecg: Tensor, logit: Tensor) -> list[Complaint]:
    """What a sampling method's cheapest maps say against it.

    Args:
        method: One of the sampling methods; of others nothing is known.
        task: The frozen network.
        ecg: (batch, lead, sample) mV.
        logit: (batch,) float64 on the CPU.

    Returns:
        A method that fails is refused with its own words, one that misses what it must give is doubtful.
    """
    task = replace(task, precision="float32")  # rounding that was chosen is no fault
    try:
        with recording_gradients():
            if isinstance(method, ShapleySampling):
                return _shapley(method, task, ecg, logit)
            known = _known(method, task, without_ties(ecg))
            return [] if known is None else _compared(known)
    except Exception as error:  # Captum raises many kinds; the report tells which
        return [("refused", f"it fails: {type(error).__name__}: {error}", "")]


def without_ties(ecg: Tensor) -> Tensor:
    """The ECGs with a little noise: where neighbouring samples are equal, rounding decides what maximum pooling takes.

    Args:
        ecg: (batch, lead, sample) mV.
    """
    noise = torch.randn(ecg.shape, generator=torch_generator(0)).to(ecg)
    return ecg.detach() + _DITHER * ecg.std() * noise


@dataclass(frozen=True)
class _Known:
    """Maps (batch, lead, sample) of a method whose draws hardly differ, what they must be, and what that is called."""

    maps: Tensor
    truth: Tensor
    name: str


def _known(method: AttributionMethod, task: AttributionTask, ecg: Tensor) -> _Known | None:
    keys = [RandomKey(ecg_id=str(place)) for place in range(len(ecg))]
    if isinstance(method, SmoothGrad):
        quiet: AttributionMethod = replace(method, n_samples=2, noise=_NOISE, target_correlation=None)
        return _Known(
            quiet(task, ecg, keys), gradients(task, ecg, absolute=method.absolute), "without noise the gradient"
        )
    if isinstance(method, IgSmoothGrad):
        nested = replace(method, n_samples=1, noise=_NOISE, target_correlation=None, estimator="nested", n_steps=_STEPS)
        truth = integrated_gradients(task, ecg, _STEPS)
        return _Known(nested(task, ecg, keys), truth, "without noise integrated gradients")
    if isinstance(method, GradientShap):
        quiet = replace(method, n_samples=_DRAWS, noise=0.0, target_correlation=None)
        near = ecg * (1 - _NEAR)
        maps = [
            quiet(replace(task, backgrounds=background), one, [key])
            for background, one, key in zip(torch.split(near, 1), torch.split(ecg, 1), keys, strict=True)
        ]
        truth = gradients(task, ecg) * (ecg - near)
        return _Known(torch.cat(maps), truth, "from a background like the ECG the gradient times their difference")
    return None


def _compared(known: _Known) -> list[Complaint]:
    maps, truth = (one.detach().cpu().double().flatten(1) for one in (known.maps, known.truth))
    error = float(((maps - truth).norm(dim=1) / truth.norm(dim=1).clamp_min(1e-30)).median())
    if error <= _DOUBTFUL_ERROR:
        return []
    return [("doubtful", f"{known.name} is what it must be, and it is off by {error:.0%}", "")]


def _shapley(method: ShapleySampling, task: AttributionTask, ecg: Tensor, logit: Tensor) -> list[Complaint]:
    """One permutation of few groups: its steps add up to the whole way."""
    half = -(-ecg.shape[-1] // 2)
    short = replace(method, estimator="permutation", n_permutations=1, group_samples=half)
    maps = short(task, ecg, [RandomKey(ecg_id=str(place)) for place in range(len(ecg))])
    baseline = short.baseline_logit(task)
    apart = (maps.cpu().double().sum((1, 2)) - (logit - baseline)).abs()
    error = float((apart / torch.maximum(logit.abs(), (logit - baseline).abs()).clamp_min(1e-30)).median())
    if error <= _DOUBTFUL_ERROR:
        return []
    return [("doubtful", f"the steps of one permutation miss f(ecg) - f(baseline) by {error:.0%}", "")]
