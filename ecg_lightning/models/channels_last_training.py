"""Training passes of a ``ResNet1d`` on a CPU, computed on channels-last tensors: the same step in less time."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ecg_lightning.models.channels_last import (
    ChannelsLastAvgPool1d,
    ChannelsLastBatchNorm1d,
    ChannelsLastConv1d,
    channels_last,
)
from ecg_lightning.models.resnet1d import ResNet1d, WeightlessShortcut

_MAX_PARTS: Final = 128


class TrainedBatchNorm1d(ChannelsLastBatchNorm1d):
    """``nn.BatchNorm1d`` that keeps channels-last memory in training, too, and the precision of its statistics.

    Of channels-last tensors PyTorch adds tens of thousands of samples up one by one in float32: gradients of the whole
    network were then off by .2 to 1.6 % of their norm, and without it by less than .2 %. So statistics are taken of
    parts of the samples, and put together in float64.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, sample) -> (batch, channel, sample)."""
        mean, var, momentum = self.running_mean, self.running_var, self.momentum
        samples = x.numel() // max(self.num_features, 1)
        if not self.training or x.dim() != 3 or samples < 2 or not self.affine:
            return super().forward(x)
        if mean is None or var is None or momentum is None:
            return super().forward(x)
        flat = channels_last(x)
        with torch.no_grad():
            of_batch = _statistics(flat.detach())
            mean.lerp_(of_batch[0], momentum)
            var.lerp_(of_batch[1] * (samples / (samples - 1)), momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        output: Tensor = _Normalised.apply(flat, self.weight, self.bias, *of_batch, self.eps)  # type: ignore[no-untyped-call]
        return output.squeeze(2)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, (channel,) each, of channels-last (batch, channel, 1, sample)."""
    batch, channels, _, length = x.shape
    parts = _parts(batch * length)
    # the memory of n samples of c channels is also that of n / p samples of p x c channels
    table = x.permute(0, 2, 3, 1).reshape(-1, parts * channels)
    means, variances = (part.view(parts, channels).double() for part in _mean_and_variance(table))
    mean = means.mean(0)
    variance = variances.mean(0) + (means - mean).square().mean(0)
    return mean.to(x), variance.to(x)


def _mean_and_variance(table: Tensor) -> tuple[Tensor, Tensor]:
    found: tuple[Tensor, Tensor] = torch.batch_norm_update_stats(table, None, None, 0.0)
    return found


@lru_cache(maxsize=256)
def _parts(samples: int) -> int:
    """The largest number of equal parts, up to 128."""
    return next(parts for parts in range(min(_MAX_PARTS, samples), 0, -1) if samples % parts == 0)


class _Normalised(torch.autograd.Function):
    """A batch normalised by its own mean and variance, which its gradient goes through as well."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float
    ) -> Tensor:
        ctx.eps = eps
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt())
        return nn.functional.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        found = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, None, None, mean, inverse, True, ctx.eps, ctx.needs_input_grad[:3]
        )
        return (*found, None, None, None)


class TrainedDropout(nn.Dropout):
    """``nn.Dropout`` that drops what it would drop in contiguous memory; PyTorch draws in the order of the memory."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, sample) -> (batch, channel, sample)."""
        if x.dim() != 3 or not self.training or self.p in (0, 1):
            return super().forward(x)
        kept = torch.empty(x.shape, dtype=x.dtype, device=x.device).bernoulli_(1 - self.p).div_(1 - self.p)
        return x * channels_last(kept).squeeze(2)


class TrainedShortcut(WeightlessShortcut):
    """The identity branch of a block with new channels in channels-last memory."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, sample) -> (batch, out_channels, ceil(sample / stride))."""
        pooled: Tensor = self.pool(x)
        return nn.functional.pad(pooled.unsqueeze(2), (0, 0, 0, 0, 0, self.new_channels)).squeeze(2)


_CLASSES: Final[dict[type[nn.Module], type[nn.Module]]] = {
    nn.Conv1d: ChannelsLastConv1d,
    nn.BatchNorm1d: TrainedBatchNorm1d,
    nn.AvgPool1d: ChannelsLastAvgPool1d,
    nn.Dropout: TrainedDropout,
    WeightlessShortcut: TrainedShortcut,
}


@contextmanager
def training_pass(network: nn.Module) -> Iterator[None]:
    """Let the layers of a network compute a forward pass, and later its gradients, on channels-last memory.

    For the length of the block layers are instances of subclasses of their own; names, parameters, buffers and hooks
    stay, so that optimizers, checkpoints and other ranks notice nothing. Draws of dropout are the same as without, and
    all else is but for rounding. Any other network than a ``ResNet1d``, and one that is not in float32 on a CPU, is
    left alone.

    Args:
        network: Any network.
    """
    with _as_classes(network, _CLASSES if _gains(network) else {}):
        yield


def _gains(network: nn.Module) -> bool:
    weight = next(network.parameters(), None)
    plain = type(network) is ResNet1d and not torch.is_autocast_enabled("cpu")
    return plain and weight is not None and weight.device.type == "cpu" and weight.dtype == torch.float32


@contextmanager
def _as_classes(network: nn.Module, classes: dict[type[nn.Module], type[nn.Module]]) -> Iterator[None]:
    """Make each layer of exactly one class an instance of another for the length of the block."""
    before = [(layer, type(layer)) for layer in network.modules() if type(layer) in classes]
    try:
        for layer, kind in before:
            layer.__class__ = classes[kind]
        yield
    finally:
        for layer, kind in before:
            layer.__class__ = kind
