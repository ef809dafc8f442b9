"""The study's residual network over median beats (paper, "Model architecture"; Table S1)."""

from collections.abc import Sequence
from functools import partial
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ecg_lightning.ecg import MEDIAN_BEAT

Shortcut = Literal["avgpool", "maxpool"]

_FIRST_WIDTH = 8
_MAX_WIDTH = 256


def default_widths(depth: int, leads: int = len(MEDIAN_BEAT.leads)) -> tuple[int, ...]:
    """Channels of each block: 8, doubled at blocks 2, 4, 6 ... (counted from 1), at most 256.

    Of more than eight leads the first block keeps the next multiple of 8.
    """
    first = _FIRST_WIDTH * -(-leads // _FIRST_WIDTH)
    return tuple(min(first * 2 ** (block // 2), max(_MAX_WIDTH, first)) for block in range(1, depth + 1))


def default_strides(depth: int) -> tuple[int, ...]:
    """Stride of each block: 2 at blocks 3, 5, 7 ... (counted from 1), else 1."""
    return tuple(2 if block > 1 and block % 2 else 1 for block in range(1, depth + 1))


class WeightlessShortcut(nn.Module):
    """The identity branch of a block: pools time by the stride and pads new channels with zeros."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, kind: Shortcut) -> None:
        super().__init__()
        self.new_channels = out_channels - in_channels
        self.pool = _pool(stride, kind)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, sample) -> (batch, out_channels, ceil(sample / stride))."""
        pooled: Tensor = self.pool(x)
        return nn.functional.pad(pooled, (0, 0, 0, self.new_channels)) if self.new_channels else pooled


def _pool(stride: int, kind: Shortcut) -> nn.Module:
    if stride == 1:
        return nn.Identity()
    # ceil_mode, so that an odd length gives as many samples as the padded strided convolution beside it
    if kind == "avgpool":
        return nn.AvgPool1d(stride, ceil_mode=True)
    return nn.MaxPool1d(stride, ceil_mode=True)


class DoubleConvBlock(nn.Module):
    """BN-ReLU-Conv(stride)-BN-ReLU-Dropout-Conv-BN plus a shortcut without weights; no ReLU after the sum.

    Every ReLU is a module of its own and not in place: DeepLIFT and guided backpropagation hook modules, and
    a shared or functional ReLU would make them silently wrong.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        kernel_size: int,
        dropout: float,
        shortcut: Shortcut,
        input_activation: bool,
    ) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.norm1 = nn.BatchNorm1d(in_channels)
        self.relu1: nn.Module = nn.ReLU() if input_activation else nn.Identity()
        self.conv1 = nn.Conv1d(in_channels, out_channels, kernel_size, stride, padding, bias=False)
        self.norm2 = nn.BatchNorm1d(out_channels)
        self.relu2 = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv1d(out_channels, out_channels, kernel_size, 1, padding, bias=False)
        self.norm3 = nn.BatchNorm1d(out_channels)
        self.shortcut = WeightlessShortcut(in_channels, out_channels, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, sample) -> (batch, out_channels, ceil(sample / stride))."""
        hidden = self.conv1(self.relu1(self.norm1(x)))
        residual: Tensor = self.norm3(self.conv2(self.dropout(self.relu2(self.norm2(hidden)))))
        return residual + cast("Tensor", self.shortcut(x))


class ResNet1d(nn.Module):
    """Residual double-convolution blocks, flattened into one linear unit.

    With the defaults: 11 blocks, 22 convolutions of kernel 7, 33 BatchNorms, 600 -> 19 samples, 2.2 M
    parameters, 169 MFLOP a forward (2 x multiply-adds).

    Args:
        depth: Number of blocks; each holds two convolutions.
        widths: Channels of each block; None: 8, doubled at every even block. Sets ``depth`` if given.
        strides: Stride of each block's first convolution; None: 2 at every odd block but the first.
        leads: Rows of the input.
        length: Samples of the input.
        kernel_size: Odd, so that a convolution of stride 1 keeps the length.
        dropout: Probability, between the two convolutions of a block.
        shortcut: How the identity branch halves time: ``avgpool`` is linear, ``maxpool`` isn't.
        input_activation: True rectifies the raw beat after its first BatchNorm, as the group's public code
            does; False leaves the first ReLU out, so that negative deflections reach the first convolution.

    Raises:
        ValueError: An argument that builds no network; the message says which and why.

    Source: paper, "Model architecture and algorithm development"; the details are section 6 of the design.
    """

    gradcam_layer: str
    """Name of the module whose output Grad-CAM reads: the last block (not its last convolution)."""

    def __init__(
        self,
        depth: int = 11,
        widths: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        leads: int = len(MEDIAN_BEAT.leads),
        length: int = MEDIAN_BEAT.samples,
        kernel_size: int = 7,
        dropout: float = 0.2,
        shortcut: Shortcut = "avgpool",
        input_activation: bool = True,
    ) -> None:
        super().__init__()
        widths = tuple(widths) if widths is not None else default_widths(depth, leads)
        strides = tuple(strides) if strides is not None else default_strides(len(widths))
        _check(widths, strides, leads, length, kernel_size, shortcut)
        self.config: dict[str, object] = {
            "depth": len(widths),
            "widths": list(widths),
            "strides": list(strides),
            "leads": leads,
            "length": length,
            "kernel_size": kernel_size,
            "dropout": dropout,
            "shortcut": shortcut,
            "input_activation": input_activation,
        }
        block = partial(DoubleConvBlock, kernel_size=kernel_size, dropout=dropout, shortcut=shortcut)
        sizes = zip((leads, *widths[:-1]), widths, strides, strict=True)  # channels before and after, stride
        self.blocks = nn.Sequential(
            *(block(*own, input_activation=input_activation or index > 0) for index, own in enumerate(sizes))
        )
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(widths[-1] * _samples_left(length, strides), 1)
        self.gradcam_layer = f"blocks.{len(widths) - 1}"

    def forward(self, ecg: Tensor) -> Tensor:
        """Logit of the target.

        Args:
            ecg: (batch, lead, sample) mV.

        Returns:
            (batch,) logit.

        Raises:
            ValueError: Another shape than the network was built for.
        """
        expected = (self.config["leads"], self.config["length"])
        if ecg.ndim != 3 or tuple(ecg.shape[1:]) != expected:
            raise ValueError(
                f"ResNet1d expects (batch, lead, sample) = (batch, {expected[0]}, {expected[1]}), "
                f"got {tuple(ecg.shape)}; set `leads` and `length` to your ECGs' shape"
            )
        features: Tensor = self.flatten(self.blocks(ecg))
        return torch.squeeze(self.linear(features), dim=-1)


def _samples_left(length: int, strides: Sequence[int]) -> int:
    for stride in strides:
        length = -(-length // stride)
    return length


def _check(
    widths: Sequence[int], strides: Sequence[int], leads: int, length: int, kernel_size: int, shortcut: str
) -> None:
    if not widths or len(widths) != len(strides):
        raise ValueError(
            f"expected one width and one stride a block, at least one block; got {len(widths)} widths "
            f"and {len(strides)} strides"
        )
    if any(later < earlier for earlier, later in zip((leads, *widths[:-1]), widths, strict=True)):
        raise ValueError(
            f"a shortcut without weights can't drop channels: widths must not fall and must start at `leads` "
            f"({leads}) or more, got {tuple(widths)}"
        )
    if leads < 1 or length < 1 or min(strides) < 1:
        raise ValueError(f"leads ({leads}), length ({length}) and strides ({tuple(strides)}) must be positive")
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size}")
    if shortcut not in ("avgpool", "maxpool"):
        raise ValueError(f"shortcut must be 'avgpool' or 'maxpool', got {shortcut!r}")
