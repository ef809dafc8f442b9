"""This module draws the input noise of the smoothing methods, on the CPU and before any chunk is cut."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.attribution.seeding import RandomKey

ROUND: Final = 32
"""Draws that share a generator: draw ``i`` is the same however many are made."""


def noise_like(
    ecg: Tensor, n_samples: int, share: float, key: RandomKey, *, first: int = 0, antithetic: bool = False
) -> Tensor:
    """Draw white noise for copies of one ECG.

    Args:
        ecg: (1, lead, sample) mV.
        n_samples: Number of copies.
        share: Standard deviation as a share of the ECG's range over all its leads and samples.
        key: Random key of this ECG and method; the draws are its ``noise``.
        first: Number of the first draw.
        antithetic: Draws 1, 3, 5 ... are draws 0, 2, 4 ... with the opposite sign: what is odd in the noise cancels.

    Returns:
        (n_samples, lead, sample) mV, on the ECG's device and in its precision.
    """
    sigma = share * (ecg.amax() - ecg.amin())
    shape = tuple(ecg.shape[1:])
    noise = by_rounds(lambda number: _round(shape, key.for_purpose(f"noise/{number}"), antithetic), first, n_samples)
    return noise.to(ecg) * sigma


def by_rounds(draw: Callable[[int], Tensor], first: int, count: int) -> Tensor:
    """Return draws ``first`` to ``first + count - 1`` of a stream that is drawn in rounds.

    Args:
        draw: Number of a round -> (ROUND, ...).
        first: Number of the first draw.
        count: Number of draws.
    """
    start, stop = first // ROUND, -(-(first + count) // ROUND)
    return torch.cat([draw(number) for number in range(start, stop)])[first - start * ROUND :][:count]


@lru_cache(maxsize=2)  # the next stage of a map goes on within the round
def _round(shape: tuple[int, ...], key: RandomKey, antithetic: bool) -> Tensor:
    """One round of standard normal noise, (ROUND, lead, sample) float32 on the CPU."""
    if not antithetic:
        return key.normal(ROUND, *shape)
    half = key.normal(ROUND // 2, *shape)
    return torch.stack([half, -half], dim=1).flatten(0, 1)
