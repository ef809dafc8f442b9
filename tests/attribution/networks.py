"""Small networks and ECGs whose maps can be checked."""

import math

import torch
from torch import Tensor, nn

from ecg_lightning.attribution import RandomKey
from ecg_lightning.models import ResNet1d

LENGTH = 600


def waves(count: int, seed: int = 0, leads: int = 8, length: int = LENGTH) -> Tensor:
    """Smooth bumps on eight leads, (count, lead, sample) mV, float64."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.linspace(0, 1.2, length, dtype=torch.float64)
    centre = 0.48 + 0.02 * torch.randn(count, leads, 1, 3, generator=generator, dtype=torch.float64)
    centre = centre + torch.tensor([-0.16, 0.0, 0.25], dtype=torch.float64)
    width = torch.tensor([0.03, 0.012, 0.05], dtype=torch.float64)
    size = torch.randn(count, leads, 1, 3, generator=generator, dtype=torch.float64) * torch.tensor([0.1, 1.0, 0.3])
    return (size * torch.exp(-0.5 * ((time[:, None] - centre) / width) ** 2)).sum(-1)


def keys(count: int) -> list[RandomKey]:
    return [RandomKey(ecg_id=f"ecg{index}") for index in range(count)]


def trained_like_resnet(dtype: torch.dtype = torch.float64) -> ResNet1d:
    """Four blocks with BatchNorm statistics of real-looking input, as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = ResNet1d(widths=(8, 8, 16, 16), strides=(1, 2, 4, 4)).to(dtype)
        network.train()
        for seed in range(3):
            network(waves(32, seed).to(dtype))
    return network.eval()


class DecidesNearZero(nn.Module):
    """A network whose gradients are large close to a zero ECG and vanish beyond: even points would mostly be wasted.

    Args:
        steepness: How close.
    """

    def __init__(self, steepness: float = 400.0) -> None:
        super().__init__()
        self.steepness = steepness
        self.network = trained_like_resnet()
        with torch.no_grad():
            self.register_buffer("at_zero", self.network(torch.zeros(1, 8, LENGTH, dtype=torch.float64)))

    def forward(self, ecg: Tensor) -> Tensor:
        return torch.tanh(self.steepness * (self.network(ecg) - self.at_zero))


class LinearReadout(nn.Module):
    """logit = sum(weight x ecg) + bias: every contribution method has a closed form on it."""

    gradcam_layer = "identity"

    def __init__(self, leads: int = 8, length: int = LENGTH) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.identity = nn.Identity()
        self.weight = nn.Parameter(
            torch.randn(leads, length, generator=generator, dtype=torch.float64) / math.sqrt(leads * length)
        )
        self.bias = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def forward(self, ecg: Tensor) -> Tensor:
        return (self.identity(ecg) * self.weight).sum((1, 2)) + self.bias
