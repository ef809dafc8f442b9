"""Networks of others that the command line's tests train: (batch, 8, 600) -> (batch,)."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations


class Small(nn.Module):
    """Two convolutions and a linear unit."""

    gradcam_layer = "last"

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv1d(8, width, 15, stride=4, padding=7)
        self.relu = nn.ReLU()
        self.second = nn.Conv1d(width, width, 7, stride=2, padding=3)
        self.last = nn.ReLU()
        self.head = nn.Linear(width, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        logit: Tensor = self.head(self.last(self.second(self.relu(self.first(ecg)))).mean(-1))
        return logit.squeeze(-1)


class WeightNormed(Small):
    """A weight that is computed from two others in every pass."""

    def __init__(self, width: int = 8) -> None:
        super().__init__(width)
        parametrizations.weight_norm(self.second)


class Lazy(Small):
    """Layers that learn their shape in their first pass."""

    def __init__(self, width: int = 8) -> None:
        super().__init__(width)
        self.first, self.head = nn.LazyConv1d(width, 15, stride=4, padding=7), nn.LazyLinear(1)


class Compiled(nn.Module):
    """Has a compiled part, and keeps an activation."""

    gradcam_layer = "body._orig_mod.3"

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        first, second = nn.Conv1d(8, width, 15, stride=4, padding=7), nn.Conv1d(width, width, 7, stride=2, padding=3)
        self.body = torch.compile(nn.Sequential(first, nn.ReLU(), second, nn.ReLU()), backend="eager")
        self.head = nn.Linear(width, 1)

    def forward(self, ecg: Tensor) -> Tensor:
        self.kept = self.body(ecg)
        logit: Tensor = self.head(self.kept.mean(-1))
        return logit.squeeze(-1)


class MixesEcgs(Small):
    """BatchNorm by the batch's own statistics."""

    def __init__(self, width: int = 8) -> None:
        super().__init__(width)
        self.last = nn.Sequential(nn.BatchNorm1d(width, track_running_stats=False), nn.ReLU())
