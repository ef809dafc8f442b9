"""A frozen network compiled by ``torch.compile``, used only where its gradients are those of the network."""

import copy
from typing import Final, cast

import torch
from torch import Tensor, nn

from ecg_lightning.models.precision import full_float32
from ecg_lightning.randomness import torch_generator

_TOLERANCE: Final = 1e-4
"""Of the largest gradient, for the median ECG: single ones may differ more where a ReLU stands at its kink."""

_NOISE: Final = 0.1
"""Of the ECGs' range: away from the kinks of ECGs that are 0 for a while."""


class CompileError(ValueError):
    """A network that can't be compiled, or whose compiled gradients are others; the message says why."""


class EvenAvgPool1d(nn.Module):
    """``nn.AvgPool1d`` with ``ceil_mode`` and without padding, for a length that leaves a last window incomplete.

    TorchInductor 2.13 divides that window's gradient by the full window, so that every gradient through such a
    pooling is silently wrong (ours, by 30 to 40 % of its maximum). Here the length is filled up with zeros,
    and the last window's mean put right.

    Args:
        kernel_size: Samples of a window.
        stride: Samples between windows, at most ``kernel_size``.
    """

    def __init__(self, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, sample) -> (batch, channel, window)."""
        length = x.shape[-1]
        windows = max(-(-(length - self.kernel_size) // self.stride), 0) + 1
        start = (windows - 1) * self.stride
        missing = start + self.kernel_size - length
        pooled = nn.functional.avg_pool1d(nn.functional.pad(x, (0, missing)), self.kernel_size, self.stride)
        if not missing:
            return pooled
        last = pooled[..., -1:] * (self.kernel_size / (length - start))
        return torch.cat([pooled[..., :-1], last], dim=-1)


def compile_network(network: nn.Module, ecg: Tensor, batch: int) -> nn.Module:
    """A compiled copy of a frozen network, checked against it. Compiling takes half a minute or more.

    Args:
        network: Frozen, in eval mode; (batch, lead, sample) mV -> (batch,) logit.
        ecg: (ecg, lead, sample) mV, for the comparison, on the network's device.
        batch: ECGs a pass; other numbers work too, and are compiled when they come.

    Raises:
        CompileError: There is no compiler, it fails, or logits or gradients are others.
    """
    compiled = cast("nn.Module", torch.compile(_evenly_pooled(copy.deepcopy(network))))
    with full_float32(), torch.inference_mode(False):
        points = _noisy(ecg, batch)
        try:
            found, quick = _logit_and_gradient(compiled, points), _logit(compiled, points)
        except (RuntimeError, OSError) as error:
            raise CompileError(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}") from error
        expected = _logit_and_gradient(network, points)
    for logit in (found[0], quick):
        _check("logits", float((logit - expected[0]).abs().amax() / expected[0].abs().amax()))
    difference, scale = (part.abs().flatten(1).amax(1) for part in (found[1] - expected[1], expected[1]))
    _check("gradients", float((difference / scale).nanmedian()))
    return compiled


def _check(what: str, difference: float) -> None:
    if not difference <= _TOLERANCE:
        raise CompileError(f"the compiled {what} differ by {difference:.1%} of the largest one")


def _evenly_pooled(network: nn.Module) -> nn.Module:
    """Replace, in place, the poolings whose gradient would be wrong."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.AvgPool1d) and child.ceil_mode and _single(child.padding) == 0:
                setattr(module, name, EvenAvgPool1d(_single(child.kernel_size), _single(child.stride)))
    return network


def _single(value: int | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else value


def _noisy(ecg: Tensor, batch: int) -> Tensor:
    """(batch, lead, sample): the ECGs, repeated, with noise that is always the same."""
    repeated = ecg.repeat(-(-batch // len(ecg)), 1, 1)[:batch]
    noise = torch.randn(repeated.shape, generator=torch_generator(0), dtype=torch.float64)
    return repeated + (_NOISE * (ecg.amax() - ecg.amin()).clamp(min=1e-3)) * noise.to(ecg)


def _logit_and_gradient(network: nn.Module, points: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = points.clone().requires_grad_()
        logit: Tensor = network(leaf)
        (gradient,) = torch.autograd.grad(logit.sum(), leaf)
    return logit.detach(), gradient


def _logit(network: nn.Module, points: Tensor) -> Tensor:
    with torch.no_grad():
        logit: Tensor = network(points)
    return logit
