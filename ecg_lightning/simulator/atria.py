"""Depolarisation of the atria: P waves, fibrillation waves, flutter waves."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ecg_lightning.ecg import SAMPLING_RATE
from ecg_lightning.simulator.diagnoses import Diagnoses
from ecg_lightning.simulator.kernels import OFFSET_WIDTHS, Kernels
from ecg_lightning.simulator.streams import Streams, jittered, log_normal, unit

P_DURATION: Final = 66.0 + OFFSET_WIDTHS * 16.5
"""From P onset to P offset, ms."""

_FLUTTER_HARMONICS: Final = (1.0, 0.45, 0.2)  # of a sawtooth, smoothed


@dataclass(frozen=True)
class PWave:
    """The P wave, ms from its onset: right atrium, left atrium.

    Attributes:
        kernels: Kernels of a normal beat.
        premature: (2, 3) mV, vectors in a premature atrial beat.
    """

    kernels: Kernels
    premature: NDArray[np.float64]


def draw_p_wave(patient: Streams, diagnoses: Diagnoses) -> PWave:
    """Draw a patient's P wave; from an ectopic focus it runs another way."""
    rng = patient("p_wave")
    right, left = jittered(rng, (0.60, 0.70, -0.40), 0.16), jittered(rng, (0.95, 0.38, 0.35), 0.20)
    size = log_normal(rng, 0.115, 0.30)
    left_share, gain, wide, enlarged = (
        rng.uniform(0.55, 1.0),
        rng.uniform(0.88, 1.18),
        rng.uniform(1.1, 1.8),
        rng.uniform(),
    )
    rng = patient("ectopic_focus")
    focus = [unit(np.array([-0.2, -0.8, 0.2]) + 0.4 * rng.standard_normal(3)) for _ in range(2)]
    if diagnoses.rhythm == "ectopic_atrial":
        right, left = focus
    if enlarged < (0.40 if diagnoses.voltage == "left_ventricular_hypertrophy" else 0.05):
        left_share *= wide
    vectors = size * gain * np.array([right, left_share * left])
    kernels = Kernels.of((32.0, 13.5, 14.5, vectors[0]), (66.0, 15.5, 16.5, vectors[1]))
    return PWave(kernels, size * gain * np.array([focus[0], left_share * focus[1]]))


def fibrillation_waves(ecg: Streams, samples: int) -> NDArray[np.float64]:
    """Draw fibrillation waves as a heart vector, (3, sample) mV: 4.2-8.5 Hz, frequency and size unsteady."""
    rng = ecg("fibrillation")
    size, frequency = 1.3 * log_normal(rng, 0.045, 0.55), rng.uniform(4.2, 8.5)
    harmonic_phase, side_phase = rng.uniform(0.0, 2.0 * np.pi, size=2)
    wander = 2.0 * np.pi * np.cumsum(frequency * (1.0 + 0.12 * _slow(rng, samples))) / SAMPLING_RATE
    swell = np.maximum(1.0 + 0.35 * _slow(rng, samples), 0.1)
    wave = size * swell * (np.sin(wander) + 0.35 * np.sin(2.0 * wander + harmonic_phase))
    side = 0.35 * size * swell * np.sin(wander + side_phase)
    main = unit(np.array([-0.35, 0.55, -0.75]))
    return np.asarray(np.outer(main, wave) + np.outer(jittered(rng, (0.6, 0.6, -0.3), 0.3), side))


def flutter_waves(ecg: Streams, samples: int, rate: float) -> NDArray[np.float64]:
    """Draw flutter waves as a heart vector, (3, sample) mV: a sawtooth, down in the inferior leads.

    Args:
        ecg: The ECG's streams.
        samples: Number of samples.
        rate: Rate of the ventricles, beats per minute; the atria beat twice or four times as often.
    """
    rng = ecg("flutter")
    size, phase = log_normal(rng, 0.10, 0.35), rng.uniform(0.0, 2.0 * np.pi)
    atrial = rate * (2.0 if rate >= 115.0 else 4.0) / 60.0  # Hz
    angle = 2.0 * np.pi * atrial * np.arange(samples) / SAMPLING_RATE + phase
    wave = sum(h * np.sin((k + 1) * angle) for k, h in enumerate(_FLUTTER_HARMONICS))
    return np.asarray(np.outer(size * jittered(rng, (0.15, -0.9, -0.35), 0.15), wave))


def _slow(rng: Generator, samples: int) -> NDArray[np.float64]:
    """A smooth random course of variance one, (sample,): four sinusoids of .15 to 1.2 Hz."""
    frequency, phase = rng.uniform(0.15, 1.2, size=4), rng.uniform(0.0, 2.0 * np.pi, size=4)
    time = np.arange(0, samples, 10) / SAMPLING_RATE  # a tenth of the samples is plenty for such slow courses
    course = np.sqrt(0.5) * np.sin(2.0 * np.pi * frequency[:, None] * time + phase[:, None]).sum(axis=0)
    return np.asarray(np.interp(np.arange(samples), np.arange(0, samples, 10), course))
