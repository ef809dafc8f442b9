"""A network of recordings as PTB-XL's benchmark has them: xresnet1d (Strodthoff et al., IEEE JBHI 2021;25:1519-28)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def normed(inputs: int, outputs: int, kernel: int, stride: int = 1, *, relu: bool = True) -> nn.Sequential:
    """Convolution, BatchNorm and, unless left out, ReLU."""
    layers = [nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm1d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut that pools where it has a stride."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.convs = nn.Sequential(
            normed(inputs, width, 1), normed(width, width, 5, stride), normed(width, outputs, 1, relu=False)
        )
        pool = nn.AvgPool1d(2, ceil_mode=True) if stride == 2 else nn.Identity()
        widen = nn.Identity() if inputs == outputs else normed(inputs, outputs, 1, relu=False)
        self.shortcut = nn.Sequential(pool, widen)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.convs(x) + self.shortcut(x))


class XResNet(nn.Module):
    """A stem of convolutions, bottleneck blocks, mean and maximum over time: (batch, 12, sample) -> (batch,)."""

    gradcam_layer = "blocks"

    def __init__(self, leads: int = 12, width: int = 8, depths: Sequence[int] = (1, 1, 1)) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            normed(leads, width, 5, 2), normed(width, width, 5), normed(width, 2 * width, 5), nn.MaxPool1d(3, 2, 1)
        )
        blocks, inputs = [], 2 * width
        for stage, depth in enumerate(depths):
            for place in range(depth):
                blocks.append(Bottleneck(inputs, width << stage, 2 if stage and not place else 1))
                inputs = 4 * (width << stage)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(nn.BatchNorm1d(2 * inputs), nn.Linear(2 * inputs, 1))

    def forward(self, ecg: Tensor) -> Tensor:
        found = self.blocks(self.stem(ecg))
        logit: Tensor = self.head(torch.cat([found.mean(-1), found.amax(-1)], dim=1))
        return logit.squeeze(-1)
