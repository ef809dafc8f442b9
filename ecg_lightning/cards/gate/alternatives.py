"""The settings that a card may have got wrong: each is a change of the ECG before the network reads it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import torch
from torch import Tensor

from ecg_lightning.cards.card import PER_MILLIVOLT, Reads, Standardisation
from ecg_lightning.cards.carded_network import arranged, standardising

Check = Literal["card", "scale", "standardisation", "order", "polarity", "time", "rate"]

FACTORS: Final = (4.88, 10.0, 100.0, 200.0, 1000.0)
"""Gains that unit and resolution are mistaken by; smaller ones than 4 are found in right cards too."""

RATES: Final = (0.2, 0.5, 2.0, 5.0)
"""Rates, in the card's, that are mistaken for it, such as 100 Hz for 500."""


@dataclass(frozen=True)
class Setting:
    """A setting is one way to turn an ECG in mV into what the network reads.

    Attributes:
        name: The setting in words.
        check: What it is about.
        change: Key of the card and its value.
        reads: The card's, with this change where it has a key for it.
        changed: (ecg, lead, sample) mV -> the same with this change, where it has no key.
        factor: What the ECG is multiplied by; of a change of gain alone.
    """

    name: str
    check: Check
    change: str
    reads: Reads
    changed: Callable[[Tensor], Tensor] = lambda ecg: ecg
    factor: float = 1.0

    def arranged(self, ecg: Tensor, gain: float = 1.0) -> Tensor:
        """Return what the network reads of ECGs in mV, after a further gain."""
        return arranged(self.reads, standardising(self.reads).to(ecg), gain * self.changed(ecg))


def settings_of(reads: Reads) -> list[Setting]:
    """Return the card's own setting, and the others that are compared with it.

    Args:
        reads: What the card says.
    """
    card = Setting("as the card says", "card", "", reads)
    return [card, *_scales(reads), *_standardisations(reads), *_orders(reads), *_shapes(reads)]


def _scales(reads: Reads) -> Iterator[Setting]:
    for factor in (*FACTORS, *(1 / factor for factor in FACTORS)):
        per_mv = PER_MILLIVOLT[reads.unit] * factor
        unit = next((name for name, units in PER_MILLIVOLT.items() if math.isclose(units, per_mv)), None)
        gain = reads.gain * factor
        name = f"{factor:g} times as large" if factor > 1 else f"{1 / factor:g} times as small"
        change = f"reads.gain: {gain:.4g}" if unit is None else f"reads.unit: {unit}"
        yield Setting(name, "scale", change, replace(reads, gain=gain), factor=factor)


def _standardisations(reads: Reads) -> Iterator[Setting]:
    for kind in get_args(Standardisation):
        if kind not in ("given", reads.standardise):
            changed = replace(reads, standardise=kind, mean=(), deviation=())
            name = {"none": "not standardised"}.get(kind, f"standardised {kind.replace('_', ' ')}")
            yield Setting(name, "standardisation", f"reads.standardise: {kind}", changed)


def _orders(reads: Reads) -> Iterator[Setting]:
    leads = list(reads.leads)
    chest = [name for name in leads if name.startswith("V")]
    limb = [name for name in leads if name not in chest]
    orders = {
        "leads in reversed order": leads[::-1],
        "chest leads first": [*chest, *limb],
        "limb leads first": [*limb, *chest],
    }
    if {"aVR", "aVL"} <= set(leads):
        swapped = {"aVR": "aVL", "aVL": "aVR"}
        orders["aVR and aVL swapped"] = [swapped.get(name, name) for name in leads]
    for name, order in orders.items():
        if order != leads:
            rows = [leads.index(lead) for lead in order]
            yield Setting(name, "order", f"reads.leads: [{', '.join(order)}]", reads, _picking(rows))


def _shapes(reads: Reads) -> Iterator[Setting]:
    turned = replace(reads, gain=-reads.gain)
    yield Setting("upside down", "polarity", f"reads.gain: {-reads.gain:g}", turned, factor=-1.0)
    yield Setting("backwards in time", "time", "turn the ECGs' time", reads, lambda ecg: ecg.flip(2))
    for factor in RATES:
        rate = f"{reads.sampling_rate * factor:g}"
        samples = max(2, round(reads.samples * factor))
        yield Setting(f"read at {rate} Hz", "rate", f"reads.sampling_rate: {rate}", reads, _resampling(samples))


def _picking(rows: Sequence[int]) -> Callable[[Tensor], Tensor]:
    index = list(rows)
    return lambda ecg: ecg[:, index]


def _resampling(samples: int) -> Callable[[Tensor], Tensor]:
    """Give the same seconds so many samples, of which as many are kept, or repeated, as there were."""

    def resampled(ecg: Tensor) -> Tensor:
        length = ecg.shape[2]
        window = max(1, length // samples)  # the mean of so many neighbours stands against aliases
        smooth = torch.nn.functional.avg_pool1d(ecg, window, stride=1, padding=window // 2)[..., :length]
        other = torch.nn.functional.interpolate(smooth, size=samples, mode="linear")
        return other.repeat(1, 1, math.ceil(length / samples))[..., :length]

    return resampled
