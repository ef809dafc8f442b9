"""This module adds what a recording has beside the heart: drift, muscles, mains, the recorder's filter and its steps.

Noise arises at nine electrodes (right arm, left arm, left leg, V1-V6) and reaches the leads through their definition,
so limb leads share it as real ones do and Einthoven's law holds.
"""

from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter

from ecg_lightning.ecg import SAMPLING_RATE
from ecg_lightning.signal.filters import Stage, zero_phase
from ecg_lightning.simulator.streams import Streams, log_normal

STEP: Final = 4.88e-3
"""Resolution of the recorder, mV."""

_ELECTRODES: Final = 9
_WALK: Final = 0.6e-3  # mV a sample
_COARSE: Final = 10  # samples between the knots of slow noise
_LOW_PASS: Final = (None, 40.0, 100.0, 150.0)  # Hz
_SHARES: Final = (0.15, 0.20, 0.30, 0.35)  # of recorders


def _lead_matrix() -> NDArray[np.float64]:
    """(8, 9): leads I, II, V1-V6 of the electrodes RA, LA, LL, V1-V6; chest leads against Wilson's terminal."""
    matrix = np.zeros((8, _ELECTRODES))
    matrix[0, :2] = -1.0, 1.0
    matrix[1, [0, 2]] = -1.0, 1.0
    matrix[2:, :3] = -1.0 / 3.0
    matrix[2:, 3:] = np.eye(6)
    return matrix


LEADS_OF_ELECTRODES: Final = _lead_matrix()
"""(8, 9) leads of the electrodes' potentials."""


def draw_noise(patient: Streams, ecg: Streams, samples: int) -> NDArray[np.float64]:
    """Draw the noise of one recording in the leads, (8, sample) mV."""
    restless = log_normal(patient("restlessness"), 1.0, 0.6)
    rng = ecg("noise")
    electrodes = _muscle(rng, samples)
    electrodes += _drift(rng, samples, restless)
    electrodes += _mains(rng, samples)
    return np.asarray(LEADS_OF_ELECTRODES @ electrodes)


def _drift(rng: Generator, samples: int, restless: float) -> NDArray[np.float64]:
    """Respiration and movement, three sinusoids of .05-.45 Hz, and a random walk of the electrode, (9, sample) mV."""
    knots = np.arange(0, samples + _COARSE, _COARSE)
    frequency, phase = rng.uniform(0.05, 0.45, size=3), rng.uniform(0.0, 2.0 * np.pi, size=(_ELECTRODES, 3))
    size = restless * 0.035 * np.exp(0.7 * rng.standard_normal((_ELECTRODES, 3)))
    angle = 2.0 * np.pi * np.outer(frequency, knots) / SAMPLING_RATE
    slow = (size * np.cos(phase)) @ np.sin(angle) + (size * np.sin(phase)) @ np.cos(angle)
    slow += _WALK * np.sqrt(_COARSE) * np.cumsum(rng.standard_normal((_ELECTRODES, len(knots))), axis=1)
    # Straight lines between knots: what is left out lies above 25 Hz and under a uV.
    part = np.arange(_COARSE) / _COARSE
    lines = slow[:, :-1, None] + np.diff(slow, axis=1)[:, :, None] * part
    return np.asarray(lines.reshape(_ELECTRODES, -1)[:, :samples])


def _muscle(rng: Generator, samples: int) -> NDArray[np.float64]:
    """Muscle noise of 2-20 uV, mostly above 20 Hz, (9, sample) mV."""
    size = 2e-3 * 10.0 ** rng.uniform()
    white = rng.standard_normal((_ELECTRODES, samples), dtype=np.float32)
    gain = np.sqrt(1.0 + (0.95 - 0.35) ** 2 / (1.0 - 0.35**2))  # of the filter, for white noise
    return np.asarray(lfilter([size / gain, -0.95 * size / gain], [1.0, -0.35], white, axis=1), dtype=np.float64)


def _mains(rng: Generator, samples: int) -> NDArray[np.float64]:
    """Hum of the mains, 50 Hz in 70 % and 60 Hz in the others, (9, sample) mV."""
    frequency = 50.0 if rng.uniform() < 0.7 else 60.0
    size = log_normal(rng, 2e-3, 1.0) * np.exp(0.5 * rng.standard_normal(_ELECTRODES))
    phase = rng.uniform(0.0, 2.0 * np.pi, size=_ELECTRODES)
    period = 50  # samples in which both frequencies come full circle
    angle = 2.0 * np.pi * frequency * np.arange(period) / SAMPLING_RATE
    one = np.outer(size * np.cos(phase), np.sin(angle)) + np.outer(size * np.sin(phase), np.cos(angle))
    return np.asarray(np.tile(one, -(-samples // period))[:, :samples])


def record(patient: Streams, signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the recorder: a low-pass filter (none, 40, 100 or 150 Hz) and steps of 4.88 uV."""
    place = np.searchsorted(np.cumsum(_SHARES[:-1]), patient("recorder").uniform(), side="right")
    corner = _LOW_PASS[int(place)]
    if corner is not None:
        stage: Stage = (2, (corner,), "lowpass")
        (signal,) = zero_phase(signal, (stage,))
    return np.asarray(STEP * np.rint(signal / STEP))
