"""This module says what attribution will cost, from measured passes, before it starts."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.task import FrozenModel

_REPEATS = 5


@dataclass(frozen=True)
class PassSeconds:
    """The pass seconds are the measured time of one input's pass, in a chunk.

    Attributes:
        forward: Seconds of a forward pass.
        gradient: Seconds, forward and backward to the input.
    """

    forward: float
    gradient: float


@dataclass(frozen=True)
class MethodCost:
    """A method cost is the expected cost of one method's maps.

    Attributes:
        method: Name of the method.
        maps: Maps that are not there yet.
        forwards: Forward passes a map.
        gradients: Gradient passes a map.
        seconds: Seconds for all its maps, on one rank.
    """

    method: str
    maps: int
    forwards: int
    gradients: int
    seconds: float


def measure_passes(model: FrozenModel) -> PassSeconds:
    """Measure the median time of a pass in chunks, over background ECGs."""
    repeats = -(-model.chunk // len(model.backgrounds))
    ecg = model.backgrounds.repeat(repeats, 1, 1)[: model.chunk]

    def forward() -> None:
        with torch.no_grad():
            model.network(ecg)

    def gradient() -> None:
        with torch.inference_mode(False), torch.enable_grad():
            probe = ecg.clone().requires_grad_()
            torch.autograd.grad(model.network(probe).sum(), probe)

    return PassSeconds(_seconds(forward, ecg) / model.chunk, _seconds(gradient, ecg) / model.chunk)


def estimate(
    methods: Sequence[AttributionMethod], maps: Sequence[int], model: FrozenModel, seconds: PassSeconds
) -> list[MethodCost]:
    """Estimate the cost of each method: maps x passes x the measured time of a pass.

    Args:
        methods: Methods whose cost is wanted.
        maps: Number of maps of each that are to be made on this rank.
        model: The network; its backgrounds count for the SHAP methods.
        seconds: Measured time of a pass.
    """
    shape = (int(model.backgrounds.shape[1]), int(model.backgrounds.shape[2]))
    costs = []
    for method, number in zip(methods, maps, strict=True):
        passes = method.passes(shape, len(model.backgrounds))
        per_map = passes.forward * seconds.forward + passes.gradient * seconds.gradient
        costs.append(MethodCost(method.name, number, passes.forward, passes.gradient, number * per_map))
    return costs


def _seconds(action: Callable[[], None], ecg: Tensor) -> float:
    times = []
    action()  # the first call allocates and chooses kernels
    for _ in range(_REPEATS):
        start = time.perf_counter()
        action()
        if ecg.device.type != "cpu":
            torch.accelerator.synchronize(ecg.device)
        times.append(time.perf_counter() - start)
    return median(times)
