"""Batches in which an ECG stands among others that are unlike it in every way that a batch could be read."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ecg_lightning.randomness import torch_generator


@dataclass(frozen=True)
class Crowd:
    """A batch with some ECGs of one's own in it.

    Attributes:
        ecg: (batch, lead, sample) mV.
        places: Of the own ECGs in the batch, in their order.
    """

    ecg: Tensor
    places: tuple[int, ...]

    @property
    def size(self) -> int:
        """ECGs of the batch."""
        return len(self.ecg)


def wild_crowd(ecg: Tensor) -> Crowd:
    """Among ECGs of any amplitude, offset, sign and shape: each extreme of the batch is a stranger's.

    Args:
        ecg: (own, lead, sample) mV.
    """
    size = ecg.abs().amax().clamp_min(1e-3)
    impulse = torch.zeros_like(ecg[0])
    impulse[..., impulse.shape[-1] // 3] = 1.0  # has the largest extremes of all once each ECG is standardised
    one, other, noise = ecg[0], ecg[-1], _noise(ecg)
    strangers = [
        100 * one, -60 * other, one + 50 * size, other - 20 * size, 0.01 * one, 0 * one, size * noise[0],
        30 * size * noise[1], size * impulse, -size * impulse, -one, other.flip(-1),
    ]  # fmt: skip  # not in balance, so that their mean is another one, too
    return _mixed(ecg, torch.stack(strangers))


def mild_crowd(ecg: Tensor) -> Crowd:
    """Among ECGs of its own amplitude, for networks that saturate, or refuse what can be no ECG; in another order.

    Args:
        ecg: (own, lead, sample) mV.
    """
    one, other, noise = ecg[0], ecg[-1], _noise(ecg)
    spread = ecg.std()
    strangers = [-one, 0.5 * other, -1.5 * other, one.flip(-1), spread * noise[0], other + spread, 0.5 * (one - other)]
    crowd = _mixed(ecg.flip(0), torch.stack(strangers))
    return Crowd(crowd.ecg, crowd.places[::-1])


def _mixed(ecg: Tensor, strangers: Tensor) -> Crowd:
    """The own ECGs spread over the batch, none of them first or last."""
    parts = strangers.tensor_split(len(ecg) + 1)
    places, batch = [], [parts[0]]
    for own, part in zip(ecg, parts[1:], strict=True):
        places.append(sum(len(before) for before in batch))
        batch += [own[None], part]
    return Crowd(torch.cat(batch), tuple(places))


def _noise(ecg: Tensor) -> Tensor:
    """(2, lead, sample), the same at every call."""
    generator = torch_generator(0)
    return torch.randn((2, *ecg.shape[1:]), generator=generator).to(ecg)
