"""What arrives at a network's BatchNorms, against what they learnt in training: no label is needed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ecg_lightning.cards.gate.finding import NAN

_BATCH: Final = 25
_PROBED: Final = 8
_AFFINE: Final = 1e-3
_GAINS: Final = torch.logspace(-2, 2, 161, dtype=torch.float64)
"""Gains among which the best one is looked for, 40 a factor of ten."""


class _FirstBatchNormReachedError(Exception):
    """Nothing of a pass is needed behind the first BatchNorm."""


@dataclass
class Moments:
    """The moments are what arrives at one BatchNorm: channel sums over ECGs and samples.

    Attributes:
        norm: The BatchNorm.
        count: Values a channel.
        total: (channel,) their sum.
        squares: (channel,) the sum of their squares.
    """

    norm: _BatchNorm
    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, values: Tensor) -> None:
        """Add what arrives in one pass, (batch, channel, ...)."""
        rows = values.detach().transpose(0, 1).flatten(1).double()
        self.count += rows.shape[1]
        self.total = self.total.to(rows) + rows.sum(1)
        self.squares = self.squares.to(rows) + (rows**2).sum(1)

    @property
    def mean(self) -> Tensor:
        """Return the (channel,) mean."""
        return self.total / self.count

    @property
    def variance(self) -> Tensor:
        """Return the (channel,) variance."""
        return (self.squares / self.count - self.mean**2).clamp_min(0)

    def divergence(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Return the mean KL divergence of channels' normal distributions from the learnt ones (nat).

        Args:
            mean: (..., channel).
            variance: Likewise.
        """
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        learnt = self.norm.running_var.double() + self.norm.eps
        ratio = (variance + self.norm.eps) / learnt
        shift = (mean - self.norm.running_mean.double()) ** 2 / learnt
        return 0.5 * (ratio + shift - 1 - ratio.log()).mean(-1)


@dataclass(frozen=True)
class FirstNorm:
    """The first norm's score tells whether what arrives at the first BatchNorm is what it learnt.

    Attributes:
        s1: Divergence; NaN: no BatchNorm is executed.
        s1_best: Divergence at the gain that fits best.
        gain: That gain of the ECG in mV; NaN where what arrives is not linear in it.
    """

    s1: float = NAN
    s1_best: float = NAN
    gain: float = NAN


def first_norm(network: nn.Module, arrange: Callable[[Tensor, float], Tensor], ecg: Tensor) -> FirstNorm:
    """Score a setting at the first BatchNorm that a pass comes to; the pass ends there.

    Args:
        network: In evaluation mode.
        arrange: ECGs in mV and a further gain -> what the network reads.
        ecg: (ecg, lead, sample) mV.
    """
    probed = ecg[:_PROBED]
    few, zero, double = (_first(network, arrange, probed, gain) for gain in (1.0, 0.0, 2.0))
    arriving = _first(network, arrange, ecg, 1.0)
    if few is None or zero is None or double is None or arriving is None:
        return FirstNorm()
    s1 = float(arriving.divergence(arriving.mean, arriving.variance))
    expected, found = 2 * few.mean - zero.mean, double.mean
    scale = (few.variance + few.mean**2).sqrt().max()
    still = (4 * few.variance - double.variance).abs().max() <= 4 * _AFFINE * few.variance.max()
    if not still or (expected - found).abs().max() > _AFFINE * scale:
        return FirstNorm(s1, s1)
    gains = _GAINS.to(arriving.mean)[:, None]
    of_gains = arriving.divergence(zero.mean + gains * (arriving.mean - zero.mean), gains**2 * arriving.variance)
    best = int(of_gains.argmin())
    return FirstNorm(s1, min(s1, float(of_gains[best])), float(_GAINS[best]))


def passed(network: nn.Module, inputs: Tensor, read: Callable[[Any], Tensor]) -> tuple[Tensor, float]:
    """Pass ECGs through the whole network.

    Args:
        network: In evaluation mode.
        inputs: What it reads, one row an ECG.
        read: What the network returns -> (batch, output) logits.

    Returns:
        (ecg, output) logits, and the mean divergence over all BatchNorms that were executed; NaN: there is none.
    """
    with _watched(network, stop=False) as seen, torch.no_grad():
        outputs = torch.cat([read(network(part)) for part in torch.split(inputs, _BATCH)]).double().cpu()
    scores = [float(one.divergence(one.mean, one.variance)) for one in seen.values()]
    return outputs, sum(scores) / len(scores) if scores else NAN


def _first(network: nn.Module, arrange: Callable[[Tensor, float], Tensor], ecg: Tensor, gain: float) -> Moments | None:
    with _watched(network, stop=True) as seen, torch.no_grad():
        for part in torch.split(ecg, _BATCH):
            try:
                network(arrange(part, gain))
            except _FirstBatchNormReachedError:
                continue
            return None
    return next(iter(seen.values()), None)


@contextmanager
def _watched(network: nn.Module, *, stop: bool) -> Iterator[dict[nn.Module, Moments]]:
    """Note what arrives at each BatchNorm with running statistics, in the order of their first execution."""
    seen: dict[nn.Module, Moments] = {}

    def note(norm: nn.Module, arguments: Sequence[Any]) -> None:
        assert isinstance(norm, _BatchNorm)
        seen.setdefault(norm, Moments(norm)).add(arguments[0])
        if stop:
            raise _FirstBatchNormReachedError

    norms = [one for one in network.modules() if isinstance(one, _BatchNorm) and one.running_mean is not None]
    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
