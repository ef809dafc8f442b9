"""Repolarisation of the ventricles: ST segment, T wave, U wave, and their timing by the rate."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ecg_lightning.simulator.diagnoses import Diagnoses
from ecg_lightning.simulator.kernels import OFFSET_WIDTHS, T_OFFSET_LAG, Timing
from ecg_lightning.simulator.qrs import Depolarisation
from ecg_lightning.simulator.streams import Streams, jittered, log_normal, truncated_normal

_ST_DELAY = 5.0  # ms after the end of the QRS complex
_U_DELAY = 70.0  # ms after the end of the T wave
_U_MILLIVOLT = 0.02
_STRAIN = 0.45
_RR = 0.82  # s; the T wave has its drawn size at this RR interval
_SIZE_EXPONENT = 0.6  # and grows with the RR interval: on real ECGs from .2 mV at 90 to .35 mV at 50 beats per minute
_MIN_WIDTH = 20.0  # ms; at high rates the T wave follows the QRS complex at once


@dataclass(frozen=True)
class RepolarisationShape:
    """ST, T and U of one patient, before the rate sets their times.

    Attributes:
        t: (3,) mV, main T vector.
        ramp: (3,) mV, the slow beginning of the T wave.
        st: (3,) mV, vector of the ST segment.
        u: (3,) mV, vector of the U wave.
        qtc: Time from QRS onset to where the T wave has come down, ms at RR = 1 s; its offset is marked 10 ms later.
        exponent: Exponent of the RR interval in QT = QTc RR^exponent.
        falling: Width of the T wave's descent at RR = 1 s, ms.
        rising: Width of its ascent over that of its descent.
    """

    t: NDArray[np.float64]
    ramp: NDArray[np.float64]
    st: NDArray[np.float64]
    u: NDArray[np.float64]
    qtc: float
    exponent: float
    falling: float
    rising: float


def draw_repolarisation(patient: Streams, diagnoses: Diagnoses, depolarisation: Depolarisation) -> RepolarisationShape:
    """Draw a patient's T wave and ST segment, with what conduction, hypertrophy and ischaemia do to them."""
    rng = patient("t_wave")
    t = log_normal(rng, 0.40, 0.34) * jittered(rng, (0.74, 0.46, -0.46), 0.12)
    st = 0.9 * (0.01 + 0.06 * rng.uniform()) * np.array([0.25, 0.15, -1.0])
    ramp_turn = np.array([-0.1, 0.0, -0.3]) + rng.standard_normal(3) * 0.25 / 2
    qtc = truncated_normal(rng.uniform(), 414.0, 22.0, 359.0, 484.0)
    exponent, falling, rising = rng.uniform(0.30, 0.48), rng.uniform(26.0, 40.0), rng.uniform(1.3, 2.0)
    t, st = _st_t_change(patient("st_t"), diagnoses, t, st)
    if diagnoses.voltage == "left_ventricular_hypertrophy" and has_strain(patient):
        t, st = _strain(patient("strain"), t, st)
    t = depolarisation.t_gain * t + depolarisation.t_change
    st = st if depolarisation.st_change is None else st + depolarisation.st_change
    size = float(np.linalg.norm(t))
    return RepolarisationShape(
        t=0.86 * t,
        ramp=0.24 * depolarisation.ramp * (t + size * ramp_turn),
        st=st,
        u=_U_MILLIVOLT * t / max(size, 1e-6),
        qtc=qtc + depolarisation.qtc,
        exponent=exponent,
        falling=falling,
        rising=rising * depolarisation.t_width,
    )


def has_strain(patient: Streams) -> bool:
    """Return whether the patient's left ventricle, where it is hypertrophied, has the strain pattern: 45 % have."""
    return bool(patient("has_strain").uniform() < _STRAIN)


def _strain(
    rng: Generator, t: NDArray[np.float64], st: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The strain pattern of some hypertrophied ventricles: ST down and T inverted on the left."""
    u = rng.uniform(0.4, 1.0)
    inverted = 0.25 * t - 0.33 * u * np.array([0.75, 0.35, 0.0]) / np.linalg.norm([0.75, 0.35, 0.0])
    return inverted, st - 0.13 * u * np.array([0.75, 0.4, 0.1]) / np.linalg.norm([0.75, 0.4, 0.1])


def _st_t_change(
    rng: Generator, diagnoses: Diagnoses, t: NDArray[np.float64], st: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ST-T changes that no target is named after: they keep a network from taking any change for its target."""
    u, v = rng.uniform(size=2)
    kind = diagnoses.repolarisation
    if kind == "flat_t":
        return (0.05 + 0.30 * u) * t, st
    if kind == "inverted_t":
        return -(0.25 + 0.6 * u) * t, st
    if kind == "anterior_infarct":
        return t * [1.0, 1.0, -1.2 * u], st + (0.02 + 0.15 * v) * np.array([0.1, 0.0, -1.0])
    if kind == "inferior_infarct":
        return t * [1.0, -1.1 * u, 1.0], st + (0.10 * v) * np.array([-0.2, 1.0, 0.0])
    if kind == "st_depression":
        return (0.2 + 0.5 * u) * t, st - (0.05 + 0.10 * v) * np.array([0.75, 0.5, 0.1])
    if kind == "early_repolarisation":
        return (1.0 + 0.4 * u) * t, st + (0.05 + 0.15 * v) * np.array([0.5, 0.4, -0.6])
    return t, st


def size_by_rate(rr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the factor of the T wave by the RR interval, s: it is larger at low rates."""
    return np.asarray((np.clip(rr, 0.35, 1.6) / _RR) ** _SIZE_EXPONENT)


@dataclass(frozen=True)
class RepolarisationTimes:
    """The repolarisation times say when ST, T and U come, ms from R.

    Attributes:
        timing: Times of the kernels T, ramp, ST, U of each beat.
        onset: (beat,) ms, of the T wave.
        offset: (beat,) ms, of the T wave.
    """

    timing: Timing
    onset: NDArray[np.float64]
    offset: NDArray[np.float64]


def repolarisation_times(
    shape: RepolarisationShape, depolarisation: Depolarisation, rr: NDArray[np.float64]
) -> RepolarisationTimes:
    """Return when ST, T and U come in each beat.

    Args:
        shape: The patient's repolarisation.
        depolarisation: The QRS complex before it.
        rr: (beat,) s, the RR interval that the QT interval follows.
    """
    end = depolarisation.loop.onset + shape.qtc * rr**shape.exponent
    falling = shape.falling * rr**0.35
    j = depolarisation.loop.offset
    # At high rates QT can get shorter than a wide QRS complex leaves room for.
    peak = np.maximum(end - OFFSET_WIDTHS * falling, j + 2.0 * _MIN_WIDTH)
    rising = np.minimum(shape.rising * falling, np.maximum(0.5 * (peak - j), _MIN_WIDTH))
    end = peak + OFFSET_WIDTHS * falling
    plateau = np.maximum(0.45 * (peak - j), _MIN_WIDTH)
    early = np.full_like(peak, 12.0)
    u_width = np.full_like(peak, 25.0)
    timing = Timing(
        centre=np.stack([peak, peak - 0.9 * rising, np.full_like(peak, j + _ST_DELAY), end + _U_DELAY], axis=1),
        before=np.stack([rising, 1.25 * rising, early, u_width], axis=1),
        after=np.stack([falling, rising, plateau, u_width], axis=1),
    )
    return RepolarisationTimes(
        timing=timing,
        onset=peak - OFFSET_WIDTHS * rising,
        offset=end + T_OFFSET_LAG,
    )
