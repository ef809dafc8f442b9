"""This module measures how strongly all leads together say that a QRS complex is here.

Each lead is measured by its own QRS complexes, so that a lead of 10 mV of artefact has one voice like the others; a
lead that is off has none while it is off; and what fewer than half of the leads show counts for nothing.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from ecg_lightning.ecg import SAMPLING_RATE

STEP: Final = 5
"""Samples between two points at which the strength is known: 10 ms."""

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_BOX: Final = int(60 * _MS) + 1
_BEAT_IN: Final = int(2500 * _MS) // STEP + 1  # points; there is a beat in 2.5 s, at 24 a minute
_LOUDEST: Final = 1.5  # of a QRS complex: all that one lead can say
_QUIETEST: Final = 1e-9  # (mV per sample)^2; a QRS complex of 10 uV has 1e-7
_RANGE: Final = 1e-6  # of a lead's largest energy; an artefact may be 100 times a QRS complex
_OFF: Final = 1e-5  # of the energy of the lead's QRS complexes; no lead is so quiet that is on
_OFF_FOR: Final = int(600 * _MS) // STEP + 1
_FLOOR: Final = 0.3  # rank among a lead's energies; at 250 beats a minute too so much time lies between them


def qrs_strength(qrs_band: NDArray[np.float64]) -> NDArray[np.float64]:
    """Measure how strongly the leads agree on a QRS complex, at points 10 ms apart.

    A lead's strength is the energy of its slope over 60 ms above the lead's floor (its 30th percentile), in units of
    what its QRS complexes have: the median over time of the maximum within 1.25 s. Leads count by how far their
    complexes stand out of their floor. The result is the leads' weighted mean, at most twice their (lower) median.

    Args:
        qrs_band: (lead, sample) mV at 500 Hz, 5-35 Hz.

    Returns:
        (point,), one every 10 ms; 1 is the recording's usual QRS complex. All zero where every lead is flat.
    """
    energy = _energies(qrs_band)
    level, live = _levels(energy)
    if not live.any():
        return np.zeros(energy.shape[1])
    floor = np.minimum(_quantiles(energy[:, ::2], live[:, ::2], _FLOOR), level)
    shown = np.clip((energy - floor) / np.maximum(level - floor, _QUIETEST), 0.0, _LOUDEST)
    weight = live * (1.0 - floor / np.maximum(level, _QUIETEST))
    mean = np.einsum("lp,lp->p", shown, weight) / np.maximum(weight.sum(axis=0), 1e-9)
    agreed = np.minimum(mean, 2.0 * _lower_median(shown, live))
    usual = np.median(maximum_filter1d(agreed, _BEAT_IN)[live.any(axis=0)])
    return np.asarray(agreed / max(usual, 1e-9))


def sharpness(qrs_band: NDArray[np.float64], samples: NDArray[np.intp]) -> NDArray[np.float64]:
    """Measure how fast the voltage turns near each point (60 ms), radians per sample, over leads of equal voice."""
    slope = np.gradient(qrs_band, axis=1)
    turn = np.gradient(slope, axis=1)
    unit = 1.0 / np.maximum(np.einsum("ls,ls->l", slope, slope), _QUIETEST)  # a lead of much noise says less
    at = np.clip(samples[:, None] + np.arange(-_BOX + 1, _BOX), 0, qrs_band.shape[1] - 1)
    power = [np.einsum("lks,lks,l->k", part[:, at], part[:, at], unit) for part in (turn, slope)]
    return np.asarray(np.sqrt(power[0] / np.maximum(power[1], 1e-30)))


def _energies(qrs_band: NDArray[np.float64]) -> NDArray[np.float64]:
    """(lead, point) (mV per sample)^2."""
    slope = np.gradient(qrs_band, axis=1)
    slope *= slope
    # Running sums can end a little below zero behind large values.
    return np.maximum(uniform_filter1d(slope, _BOX, axis=1, mode="nearest")[:, ::STEP], 0.0)


def _levels(energy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The energy of each lead's QRS complexes, (lead, 1), and where the lead is alive, (lead, point)."""
    loudest = maximum_filter1d(energy, _BEAT_IN, axis=1, mode="nearest")
    heard = loudest > np.maximum(_RANGE * loudest.max(axis=1, keepdims=True), _QUIETEST)
    level = _quantiles(loudest, heard, 0.5)
    return level, maximum_filter1d(energy, _OFF_FOR, axis=1, mode="nearest") > np.maximum(_OFF * level, _QUIETEST)


def _quantiles(values: NDArray[np.float64], counted: NDArray[np.bool_], share: float) -> NDArray[np.float64]:
    """The value of this rank among the points of each lead that count, (lead, 1); 0 where none does."""
    ordered = np.sort(np.where(counted, values, np.inf), axis=1)
    count = counted.sum(axis=1)
    values_at = ordered[np.arange(len(values)), (share * np.maximum(count - 1, 0)).astype(np.intp)]
    return np.where(count > 0, values_at, 0.0)[:, None]


def _lower_median(shown: NDArray[np.float64], live: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median over the leads that are alive, the lower one of two, (point,); 0 where none is."""
    ordered = np.sort(np.where(live, shown, np.inf).T, axis=1)  # (point, lead): a row of memory each
    count = live.sum(axis=0)
    middle = ordered[np.arange(shown.shape[1]), np.maximum(count - 1, 0) // 2]
    return np.where(count > 0, middle, 0.0)
