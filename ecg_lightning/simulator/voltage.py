"""QRS voltages and the gain that brings them to the side of a criterion where the diagnosis says they are."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS
from ecg_lightning.signal.leads import LIMB_LEADS
from ecg_lightning.simulator.diagnoses import Diagnoses
from ecg_lightning.simulator.streams import Streams

LOW_LIMB: Final = 0.5
"""QRS voltage (mV, peak to peak) that no limb lead reaches in low voltage; or:"""

LOW_CHEST: Final = 1.0
"""QRS voltage (mV, peak to peak) that no chest lead reaches in low voltage."""

SOKOLOW_LYON: Final = 3.5
"""S in V1 plus the larger R of V5 and V6 above which the ventricle is hypertrophied, mV (Sokolow and Lyon 1949)."""

_LIMB_MATRIX: Final = np.array(list(LIMB_LEADS.values()))
_V1, _V5, _V6 = (LEADS.index(lead) for lead in ("V1", "V5", "V6"))
_ROUNDS: Final = 6
_GAINS: Final = (0.02, 5.0)  # a heart whose vector hardly shows in some leads is not blown up until it does
_RAISED: Final = 0.8  # share of hypertrophied ventricles whose voltage is raised to the criterion where needed
_HIGHEST: Final = 6.5  # mV
_MARGIN: Final = 0.05  # mV, for the variation from beat to beat


@dataclass(frozen=True)
class Voltages:
    """QRS voltages of a beat, mV.

    Attributes:
        limb: Largest peak-to-peak voltage of the six limb leads.
        chest: Largest peak-to-peak voltage of the six chest leads.
        sokolow_lyon: Depth of S in V1 plus the larger R of V5 and V6.
    """

    limb: float
    chest: float
    sokolow_lyon: float

    @property
    def low(self) -> bool:
        """Return whether the QRS voltage is low."""
        return self.limb < LOW_LIMB or self.chest < LOW_CHEST


def measure_voltages(qrs: NDArray[np.float64]) -> Voltages:
    """Measure the QRS complex of a beat.

    Args:
        qrs: (8, sample) mV from QRS onset to offset, against the voltage before the QRS complex.
    """
    limb, chest = np.ptp(_LIMB_MATRIX @ qrs[:2], axis=1), np.ptp(qrs[2:], axis=1)
    s_v1, r = max(-float(qrs[_V1].min()), 0.0), max(float(qrs[[_V5, _V6]].max()), 0.0)
    return Voltages(float(limb.max()), float(chest.max()), s_v1 + r)


@dataclass(frozen=True)
class QrsGain:
    """Gain of the QRS complex, and of what else depends on it.

    Attributes:
        qrs: Factor of the QRS complex.
        exponent: The T wave's factor is ``qrs ** exponent``: it follows in part.
    """

    qrs: float
    exponent: float

    @property
    def t(self) -> float:
        """Return the factor of the T wave."""
        return float(self.qrs**self.exponent)


def draw_gain(
    patient: Streams, diagnoses: Diagnoses, qrs: NDArray[np.float64], rest: NDArray[np.float64], st: NDArray[np.float64]
) -> QrsGain:
    """Draw the gain of a patient's QRS complex.

    Low voltage is made by it alone (scaling whole leads would make P and T part of the evidence), hypertrophy is helped
    by it, and controls are kept off both criteria.

    Args:
        patient: The patient's streams.
        diagnoses: Voltage, conduction and rhythm.
        qrs: (8, sample) mV from QRS onset to offset, the QRS complex at gain one.
        rest: (8, sample) mV, what overlaps the QRS complex and is not scaled.
        st: (8, sample) mV, ST-T at gain one.
    """
    rng = patient("voltage")
    scale = _Scale(qrs, rest, st, float(rng.uniform(0.0, 0.6)))
    u = rng.uniform(size=6)
    if diagnoses.voltage == "low":
        return QrsGain(_low_gain(scale, u), scale.exponent)
    least = max(_at_least(scale, "limb", 0.52 + 0.10 * u[0]), _at_least(scale, "chest", 1.04 + 0.16 * u[1]))
    gain = max(1.0, least)
    sum_ = scale.voltages(gain).sokolow_lyon
    if diagnoses.voltage == "left_ventricular_hypertrophy":
        if u[2] < _RAISED and sum_ < SOKOLOW_LYON + _MARGIN:
            gain = scale.gain_for("sokolow_lyon", SOKOLOW_LYON + _MARGIN + 1.85 * u[3] ** 2)
        elif sum_ > _HIGHEST:
            gain = scale.gain_for("sokolow_lyon", _HIGHEST - 1.5 * u[5])
    elif sum_ > (3.7 if u[4] < 0.1 else 3.3) and diagnoses.has_voltage_criteria:
        gain = max(scale.gain_for("sokolow_lyon", 2.2 + 1.1 * u[5]), least)
    return QrsGain(gain, scale.exponent)


@dataclass(frozen=True)
class _Scale:
    """A beat as a function of its QRS gain; the fields are those of :func:`draw_gain`."""

    qrs: NDArray[np.float64]
    rest: NDArray[np.float64]
    st: NDArray[np.float64]
    exponent: float

    def voltages(self, gain: float) -> Voltages:
        return measure_voltages(gain * self.qrs + gain**self.exponent * self.st + self.rest)

    def gain_for(self, name: str, millivolt: float) -> float:
        """Find the gain at which a voltage has a value: nearly proportional, so a few rounds find it."""
        gain = 1.0
        for _ in range(_ROUNDS):
            gain = float(np.clip(gain * millivolt / max(getattr(self.voltages(gain), name), 1e-3), *_GAINS))
        return gain


def _at_least(scale: _Scale, name: str, millivolt: float) -> float:
    """The gain that lifts a voltage to a value; 0 where it is there already."""
    return scale.gain_for(name, millivolt) if getattr(scale.voltages(1.0), name) < millivolt else 0.0


def _low_gain(scale: _Scale, u: NDArray[np.float64]) -> float:
    """The gain of low voltage: by the limb leads in 60 %, by the chest leads in the others and in 40 % of all."""
    by_limb = u[0] < 0.6
    by_chest = u[1] < 0.4 or not by_limb
    limb = scale.gain_for("limb", 0.30 + 0.185 * u[2]) if by_limb else np.inf
    chest = scale.gain_for("chest", 0.55 + 0.42 * u[3]) if by_chest else np.inf
    return float(min(limb, chest))
