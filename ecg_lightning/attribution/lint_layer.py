"""This module checks that Grad-CAM can read a layer: called once, (batch, channel, sample), and before the logit.

Grad-CAM weighs each channel of a layer's output by its mean gradient over the last axis and draws the sum over channels
as the course of time. It can't know that the last axis is time, nor that there were other calls.
"""

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.randomness import torch_generator

_WINDOWS: Final = 6
"""Parts of the ECG that are changed one by one, to see where each is read."""

_FOLLOWS: Final = 0.9
"""Correlation of positions along an axis with the time that they read, from which the axis is time."""

_DOES_NOT: Final = 0.5
"""Below, it isn't."""

_READABLE: Final = (
    "name a layer whose output is (batch, channel, sample) and that runs once, such as the last convolution"
)


@dataclass(frozen=True)
class _Pass:
    """What a layer gave in one pass, and the logit."""

    outputs: list[Any]
    logit: Tensor | None


def layer_complaints(network: nn.Module, name: str, ecg: Tensor) -> list[Complaint]:
    """Return what is wrong with reading a layer for Grad-CAM.

    Args:
        network: The network, in evaluation mode.
        name: Dotted name of the layer in it.
        ecg: (batch, lead, sample) mV, two or more.

    Returns:
        Verdict, reason and remedy of each fault; none for a layer that can be read.
    """
    layer = dict(network.named_modules())[name]
    with torch.enable_grad():
        seen = _look(network, layer, ecg.clone().requires_grad_())
    if not seen.outputs:
        return [("refused", f"{name} does not run in a pass, so that Grad-CAM has no output of it", _READABLE)]
    if len(seen.outputs) > 1:
        words = f"{name} runs {len(seen.outputs)} times in a pass, and Grad-CAM reads the output of the last time only"
        return [("refused", words, "name a layer behind it that runs once, where its outputs are together")]
    output = seen.outputs[0]
    with torch.no_grad():
        larger = _look(network, layer, torch.cat([ecg, ecg[:1]])).outputs
    if odd := _odd_shape(name, output, larger[0] if larger else output, len(ecg)):
        return [("refused", odd, _READABLE)]
    with torch.enable_grad():
        effect = _effect(name, output, seen.logit)
    with torch.no_grad():
        return [*effect, *_time_axis(name, network, layer, ecg, output.detach())]


def _look(network: nn.Module, layer: nn.Module, ecg: Tensor) -> _Pass:
    outputs: list[Any] = []
    hook = layer.register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        return _Pass(outputs, network(ecg))
    except Exception:  # what comes behind the layer may not take such an ECG
        return _Pass(outputs, None)
    finally:
        hook.remove()


def _odd_shape(name: str, output: Any, larger: Any, batch: int) -> str | None:
    """Why an output can't be (batch, channel, sample); ``larger`` is that of one ECG more."""
    expected = "and Grad-CAM needs (batch, channel, sample)"
    if not isinstance(output, Tensor) or not isinstance(larger, Tensor):
        return f"the output of {name} is a {type(output).__name__}, {expected}"
    shape = tuple(output.shape)
    if output.ndim != 3:
        return f"the output of {name} has {output.ndim} axes, {shape} for {batch} ECGs, {expected}"
    if shape[0] != batch or len(larger) != batch + 1:
        return f"the first axis of the output of {name} is not the batch: {shape} for {batch} ECGs, {expected}"
    if shape[2] == 1:
        return f"the output of {name} has one sample left, {shape} for {batch} ECGs: no course of time can be drawn"
    return None


def _effect(name: str, output: Tensor, logit: Tensor | None) -> list[Complaint]:
    if logit is None or not output.is_floating_point():
        return []
    slope = None
    if logit.requires_grad and output.requires_grad:
        (slope,) = torch.autograd.grad(logit.sum(), output, allow_unused=True)
    if slope is None:
        return [("refused", f"no gradient comes from the logit to the output of {name}", _READABLE)]
    if not slope.any():
        return [
            ("doubtful", f"the gradient of the logit to the output of {name} is zero everywhere: so are its maps", "")
        ]
    return []


def _time_axis(name: str, network: nn.Module, layer: nn.Module, ecg: Tensor, output: Tensor) -> list[Complaint]:
    """Check that the last axis is time: a shorter ECG shortens it, and along it positions read later and later."""
    remedy = "name a module that gives (batch, channel, sample), such as an nn.Identity behind a transposition"
    swapped = (
        f"the output of {name} seems to be (batch, sample, channel), {tuple(output.shape)}: the axes that Grad-CAM"
    )
    shorter = _look(network, layer, ecg[..., : ecg.shape[-1] * 2 // 3].clone()).outputs
    if len(shorter) == 1 and isinstance(shorter[0], Tensor) and shorter[0].ndim == 3:
        changed = [now != before for now, before in zip(shorter[0].shape, output.shape, strict=True)]
        if changed[2]:
            return []
        if changed[1]:
            return [("refused", f"{swapped} takes for channel and time is the other way round", remedy)]
    read = _windows_read(network, layer, ecg, output)
    if read is None:
        return []
    order = [_order(read.mean(axis)) for axis in (1, 0)]  # along axis 1 of the output, and along axis 2
    if order[1] >= _DOES_NOT:
        return []
    if order[0] >= _FOLLOWS:
        return [("doubtful", f"{swapped} takes for channel and time is the other way round", remedy)]
    words = f"places along the last axis of the output of {name}, {tuple(output.shape)}, don't follow the ECG's time"
    return [("doubtful", words, remedy)]


def _windows_read(network: nn.Module, layer: nn.Module, ecg: Tensor, output: Tensor) -> Tensor | None:
    """(channel, sample) number of the part of the ECG, on average, that each position of an output reads."""
    generator = torch_generator(0)
    noise = (torch.randn(ecg.shape, generator=generator)).to(ecg) * ecg.std()
    moved = []
    for part in torch.arange(ecg.shape[-1]).tensor_split(_WINDOWS):
        changed = ecg.clone()
        changed[..., part] += noise[..., part]
        outputs = _look(network, layer, changed).outputs
        if len(outputs) != 1 or outputs[0].shape != output.shape:
            return None
        moved.append((outputs[0] - output).detach().abs().mean(0).cpu().double())
    weights = torch.stack(moved)
    total = weights.sum(0)
    if not total.isfinite().all() or not total.any():
        return None
    number = torch.arange(len(moved), dtype=torch.float64)[:, None, None]
    middle = (len(moved) - 1) / 2  # of a position that reads nothing
    return torch.where(total > 0, (weights * number).sum(0) / total.clamp_min(1e-300), middle)


def _order(read: Tensor) -> float:
    """Correlation with the position; 0 where all read the same."""
    position = torch.arange(len(read), dtype=torch.float64)
    if len(read) < 2 or float(read.std()) < 1e-6:
        return 0.0
    return float(torch.corrcoef(torch.stack([position, read]))[0, 1])
