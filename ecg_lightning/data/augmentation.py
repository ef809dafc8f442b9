"""Random changes of training ECGs that leave their diagnosis as it is: gain, lost leads, jitter, drift and noise."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.ecg import MEDIAN_BEAT
from ecg_lightning.randomness import torch_generator

DRIFT_HZ: Final = (0.1, 1.0)
"""Frequencies of the drift: an eighth of a period to one over the 1.2 s of a beat, as breathing and movement do."""

_POOL: Final = 1 << 20
_POOL_SEED: Final = 20_260_101


@dataclass(frozen=True)
class Augmentation:
    """Changes each ECG of a batch by itself; 0 turns a part off and leaves the draws of all others as they are.

    In this order: gain, shift, drift, noise, and lost leads last, so that they are exactly zero.

    Args:
        gain: SD of the log-gain that all leads of an ECG share.
        lead_gain: SD of the log-gain that each lead has beside that.
        lead_drop: Probability that a lead is lost (zero); one lead at least always stays.
        shift: Largest shift in time (samples), earlier or later, uniform, of all leads together: the jitter of the
            fiducial. The edge's value is held where samples come in; nothing goes round.
        drift: SD of the amplitude (uV) of one sinusoid a lead, at a random phase; leads of an ECG share its
            frequency, which is uniform in ``DRIFT_HZ``.
        noise: Smallest and largest SD (uV) of white noise, uniform between them for each ECG.

    Raises:
        ValueError: An argument out of its range.

    Source: the simulator's specification ("Augmentation in training"), which names sizes only; frequency, phase,
    edges and order are this project's choice.
    """

    gain: float = 0.05
    lead_gain: float = 0.12
    lead_drop: float = 0.04
    shift: int = 5
    drift: float = 25.0
    noise: tuple[float, float] = (8.0, 16.0)

    def __post_init__(self) -> None:
        for name, value in (("gain", self.gain), ("lead_gain", self.lead_gain), ("drift", self.drift)):
            if not 0 <= value < math.inf:
                raise ValueError(f"augmentation: {name} is a standard deviation, expected 0 or more, got {value}")
        if not 0 <= self.lead_drop < 1:
            raise ValueError(f"augmentation: lead_drop is a probability under 1, got {self.lead_drop}")
        if isinstance(self.shift, bool) or int(self.shift) != self.shift or self.shift < 0:
            raise ValueError(f"augmentation: shift must be a whole number of samples, 0 or more, got {self.shift}")
        if len(self.noise) != 2 or not 0 <= self.noise[0] <= self.noise[1] < math.inf:
            raise ValueError(
                f"augmentation: noise must be the smallest and the largest standard deviation in uV, for instance "
                f"[8, 16], or [0, 0] for none; got {list(self.noise)}"
            )

    def __call__(
        self, ecg: Tensor, generator: torch.Generator, sampling_rate: float = MEDIAN_BEAT.sampling_rate
    ) -> Tensor:
        """Change a batch; the tensor that is handed in stays as it is.

        Args:
            ecg: (batch, lead, sample) mV, any floating type and device.
            generator: Generator on the CPU, so that every device has the same draws; parts draw in a fixed order.
            sampling_rate: Of the ECGs, Hz.

        Returns:
            (batch, lead, sample) mV, of the same type and device.

        Raises:
            ValueError: Another shape or type, fewer samples than the shift needs, or a generator of another device.
        """
        self._check(ecg, generator)
        draws = _Draws.of(ecg.shape[0], ecg.shape[1], generator)
        kept = 1.0 - draws.dropped(self.lead_drop).float()  # (batch, lead)
        gain = kept * torch.exp(self.gain * draws.gain + self.lead_gain * draws.lead_gain)
        changed = self._shifted(ecg, draws).mul_(
            gain.to(ecg)[..., None]
        )  # in place: new memory costs more than the sums
        if self.drift:
            changed.baddbmm_(*draws.drift(self.drift / 1000, kept, ecg, sampling_rate))
        if self.noise[1]:
            low, high = self.noise
            sigma = kept * (low + (high - low) * draws.noise_level) / 1000  # (batch, lead) mV
            changed.addcmul_(sigma.to(ecg)[..., None], _white_noise(ecg, draws.noise_place))
        return changed

    def _shifted(self, ecg: Tensor, draws: "_Draws") -> Tensor:
        if not self.shift:
            return ecg.clone()
        places = torch.arange(ecg.shape[2]) - draws.whole_shift(self.shift)  # (batch, sample)
        index = places.clamp_(0, ecg.shape[2] - 1).to(ecg.device)
        return ecg.gather(2, index[:, None].expand(-1, ecg.shape[1], -1))

    def _check(self, ecg: Tensor, generator: torch.Generator) -> None:
        if ecg.ndim != 3 or not ecg.is_floating_point():
            raise ValueError(
                f"augmentation expects (batch, lead, sample) mV in a floating type, got {tuple(ecg.shape)} {ecg.dtype}"
            )
        if ecg.shape[2] <= self.shift:
            raise ValueError(
                f"augmentation shifts by up to {self.shift} samples, the ECGs have {ecg.shape[2]}: lower `shift`"
            )
        if generator.device.type != "cpu":
            raise ValueError(f"augmentation draws on the CPU, got a generator on {generator.device}")


@dataclass(frozen=True)
class _Draws:
    """All random numbers of a batch: few, on the CPU, and the same in number whatever parts are on."""

    gain: Tensor  # (batch, 1) standard normal
    lead_gain: Tensor  # (batch, lead) standard normal
    drift_size: Tensor  # (batch, lead) standard normal
    drop: Tensor  # (batch, lead) uniform
    phase: Tensor  # (batch, lead) uniform
    shift: Tensor  # (batch, 1) uniform
    frequency: Tensor  # (batch, 1) uniform
    noise_level: Tensor  # (batch, 1) uniform
    noise_place: Tensor  # (batch,) uniform, float64

    @classmethod
    def of(cls, batch: int, leads: int, generator: torch.Generator) -> "_Draws":
        return cls(
            gain=torch.randn(batch, 1, generator=generator),
            lead_gain=torch.randn(batch, leads, generator=generator),
            drift_size=torch.randn(batch, leads, generator=generator),
            drop=torch.rand(batch, leads, generator=generator),
            phase=torch.rand(batch, leads, generator=generator),
            shift=torch.rand(batch, 1, generator=generator),
            frequency=torch.rand(batch, 1, generator=generator),
            noise_level=torch.rand(batch, 1, generator=generator),
            noise_place=torch.rand(batch, generator=generator, dtype=torch.float64),
        )

    def dropped(self, probability: float) -> Tensor:
        """Draw which leads are dropped, (batch, lead) boolean; never all leads of an ECG."""
        return (self.drop < probability) & (self.drop < self.drop.amax(dim=1, keepdim=True))

    def whole_shift(self, largest: int) -> Tensor:
        """Draw shifts in whole samples, (batch, 1) from ``-largest`` to ``largest``."""
        return (self.shift * (2 * largest + 1)).long() - largest

    def drift(self, sd: float, kept: Tensor, ecg: Tensor, sampling_rate: float) -> tuple[Tensor, Tensor]:
        """Draw two matrices whose product is the drift: (batch, lead, 2) mV and (batch, 2, sample).

        a sin(wt + p) = a cos(p) sin(wt) + a sin(p) cos(wt): a pair of sinusoids an ECG serves all of its leads.
        """
        size, phase = kept * sd * self.drift_size, 2 * math.pi * self.phase
        low, high = DRIFT_HZ
        omega = 2 * math.pi * (low + (high - low) * self.frequency)  # (batch, 1) rad/s
        angle = omega * (torch.arange(ecg.shape[2]) / sampling_rate)  # (batch, sample)
        share = torch.stack([size * torch.cos(phase), size * torch.sin(phase)], dim=2)
        return share.to(ecg), torch.stack([torch.sin(angle), torch.cos(angle)], dim=1).to(ecg)


def _white_noise(like: Tensor, place: Tensor) -> Tensor:
    """Standard normal noise of an ECG's shape, white within it: a stretch of a long pool, from a random place on.

    A million draws that all batches share, instead of new ones for every sample, which would take longer than all
    the rest. Stretches of two ECGs overlap in under 1 % of pairs, and then at another lag.
    """
    size = like.shape[1] * like.shape[2]
    pool = _pool(max(_POOL, 8 * size), like.device, like.dtype)
    start = (place * (len(pool) - size + 1)).long().to(like.device)  # (batch,)
    return pool.unfold(0, size, 1).index_select(0, start).view(like.shape)


@lru_cache(maxsize=4)
def _pool(length: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(length,) fixed standard normal draws, made on the CPU: every device and process has the same."""
    generator = torch_generator(_POOL_SEED)
    with torch.inference_mode(False):
        return torch.randn(length, generator=generator).to(device=device, dtype=dtype)
