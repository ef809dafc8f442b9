"""One-dimensional layers of a frozen network computed on channels-last tensors: the same maps in cheaper passes."""

from typing import Final

import torch
from torch import Tensor, nn

from ecg_lightning.models.resnet1d import WeightlessShortcut


class ChannelsLastConv1d(nn.Conv1d):
    """``nn.Conv1d`` as a two-dimensional convolution of height 1 on channels-last memory.

    On a CPU oneDNN reorders contiguous input, output and gradient at every convolution; channels-last ones stay as
    they are from layer to layer. Output is (batch, channel, sample) as ever, only its strides differ.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, sample) -> (batch, channel, sample)."""
        if x.dim() != 3:
            return super().forward(x)
        weight = self.weight.unsqueeze(2)
        output: Tensor = nn.functional.conv2d(
            channels_last(x),
            weight,
            self.bias,
            (1, self.stride[0]),
            (0, int(self.padding[0])),
            (1, self.dilation[0]),
            self.groups,
        )
        return output.squeeze(2)


class ChannelsLastBatchNorm1d(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` that keeps channels-last memory; the one-dimensional one makes it contiguous."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, sample) -> (batch, channel, sample)."""
        if x.dim() != 3 or self.training or self.running_mean is None:
            return super().forward(x)
        output: Tensor = nn.functional.batch_norm(
            channels_last(x), self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )
        return output.squeeze(2)


class ChannelsLastAvgPool1d(nn.AvgPool1d):
    """``nn.AvgPool1d`` that keeps channels-last memory."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, sample) -> (batch, channel, sample)."""
        if x.dim() != 3:
            return super().forward(x)
        output: Tensor = nn.functional.avg_pool2d(
            channels_last(x),
            _flat(self.kernel_size, 1),
            _flat(self.stride, 1),
            _flat(self.padding, 0),
            self.ceil_mode,
            self.count_include_pad,
        )
        return output.squeeze(2)


class ChannelsLastShortcut(WeightlessShortcut):
    """``WeightlessShortcut`` whose new channels are appended where channels are neighbours in memory.

    Padded as they stand, pooled samples would be made contiguous, and added to the other branch against the grain.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, sample) -> (batch, out_channels, ceil(sample / stride))."""
        pooled: Tensor = self.pool(x)
        return nn.functional.pad(pooled.mT, (0, self.new_channels)).mT if self.new_channels else pooled


_CLASSES: Final[dict[type[nn.Module], type[nn.Module]]] = {
    nn.Conv1d: ChannelsLastConv1d,
    nn.BatchNorm1d: ChannelsLastBatchNorm1d,
    nn.AvgPool1d: ChannelsLastAvgPool1d,
    WeightlessShortcut: ChannelsLastShortcut,
}


def to_channels_last(network: nn.Module) -> int:
    """Let the one-dimensional layers of a frozen network compute on channels-last memory, in place.

    A layer keeps its name, parameters and hooks, and is an instance of its old class still. Left alone are
    convolutions that pad otherwise than with a number of zeros, and modules of subclasses.

    Args:
        network: Eval mode, on a CPU.

    Returns:
        Convolutions changed; where there is none, nothing is changed.
    """
    layers = [module for module in network.modules() if type(module) in _CLASSES and _simple(module)]
    convolutions = sum(isinstance(layer, nn.Conv1d) for layer in layers)
    for layer in layers if convolutions else ():
        layer.__class__ = _CLASSES[type(layer)]
        if isinstance(layer, nn.Conv1d):
            with torch.no_grad():
                weight = channels_last(layer.weight).squeeze(2)
            layer.weight = nn.Parameter(weight, requires_grad=layer.weight.requires_grad)
    return convolutions


def _simple(layer: nn.Module) -> bool:
    return not isinstance(layer, nn.Conv1d) or (layer.padding_mode == "zeros" and not isinstance(layer.padding, str))


def channels_last(x: Tensor) -> Tensor:
    """Make (a, b, c) channels-last (a, b, 1, c): a view where the memory is so already."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _flat(size: int | tuple[int, ...], height: int) -> tuple[int, int]:
    return height, size[0] if isinstance(size, tuple) else size
