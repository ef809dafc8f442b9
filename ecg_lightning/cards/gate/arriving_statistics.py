"""What arrives at a network's BatchNorms, against what they learnt in training: no label is needed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ecg_lightning.cards.gate.finding import NAN

_BATCH: Final = 10  # of 12 x 5,000: what arrives stays in the processor's cache
_PROBED: Final = 4
_LINEAR: Final = 1e-2
_GAINS: Final = torch.logspace(-4, 4, 321, dtype=torch.float64)
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
        axes = [axis for axis in range(values.ndim) if axis != 1]
        variance, mean = (part.double() for part in torch.var_mean(values.detach(), axes, correction=0))
        count = values.numel() // values.shape[1]
        self.count += count
        self.total = self.total.to(mean) + count * mean
        self.squares = self.squares.to(mean) + count * (variance + mean**2)

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


@dataclass(frozen=True)
class Response:
    """A response is what ECGs make arrive at the first BatchNorm.

    Attributes:
        arriving: Its moments; None: no BatchNorm is executed.
        at_zero: (channel,) mean where the ECG is 0 mV; None where what arrives is not linear in the ECG.
    """

    arriving: Moments | None = None
    at_zero: Tensor | None = None

    def score(self, factor: float = 1.0) -> FirstNorm:
        """Score these ECGs times a factor, without a further pass.

        Args:
            factor: 1 where what arrives is not linear in the ECG.
        """
        if self.arriving is None:
            return FirstNorm()
        if self.at_zero is None:
            s1 = float(self.arriving.divergence(self.arriving.mean, self.arriving.variance))
            return FirstNorm(s1, s1)
        gains = torch.cat([torch.ones(1), _GAINS]).to(self.arriving.mean)[:, None]
        mean = self.at_zero + factor * gains * (self.arriving.mean - self.at_zero)
        of_gains = self.arriving.divergence(mean, (factor * gains) ** 2 * self.arriving.variance)
        best = int(of_gains.argmin())
        return FirstNorm(float(of_gains[0]), float(of_gains[best]), float(gains[best, 0]))


def response(
    network: nn.Module,
    arrange: Callable[[Tensor, float], Tensor],
    ecg: Tensor,
    like: Response | None = None,
) -> Response:
    """Pass ECGs to the first BatchNorm, where the pass ends.

    Args:
        network: In evaluation mode.
        arrange: ECGs in mV and a further gain -> what the network reads.
        ecg: (ecg, lead, sample) mV.
        like: A response that is as linear in the ECG, and the same where it is 0 mV; None: that is found out.
    """
    arriving = _first(network, arrange, ecg, 1.0)
    if like is not None:
        return Response(arriving, like.at_zero)
    probes = [_first(network, arrange, ecg[:_PROBED], gain) for gain in (0.0, 1.0, 2.0)]
    if arriving is None or any(probe is None for probe in probes):
        return Response()
    zero, one, two = (probe for probe in probes if probe is not None)
    error = (2 * one.mean - zero.mean - two.mean).abs().max() / (one.variance + one.mean**2).sqrt().max()
    spread = (4 * one.variance - two.variance).abs().max() / (4 * one.variance.max())
    linear = error <= _LINEAR and spread <= _LINEAR and zero.variance.max() <= _LINEAR * one.variance.max()
    return Response(arriving, zero.mean if linear else None)


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
