"""The clinical criteria of the nine diagnoses, measured on a simulated ECG without noise."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ecg_lightning.ecg import Target
from ecg_lightning.simulator.diagnoses import SINUS_RHYTHMS
from ecg_lightning.simulator.kernels import MS
from ecg_lightning.simulator.qrs import WIDE
from ecg_lightning.simulator.recording import SAMPLES, SimulatedEcg
from ecg_lightning.simulator.rhythm import NORMAL
from ecg_lightning.simulator.voltage import SOKOLOW_LYON, Voltages, measure_voltages

LONG_PR: Final = 200.0
"""PR interval (ms) above which atrioventricular conduction is delayed."""

SLOW: Final = 60.0
"""Rate (beats per minute) below which sinus rhythm is bradycardia."""

FAST: Final = 100.0
"""Rate (beats per minute) above which sinus rhythm is tachycardia."""

IRREGULAR: Final = 0.06
"""Coefficient of variation of the RR intervals above which a rhythm is irregular."""


@dataclass(frozen=True)
class Measurements:
    """The measurements that an electrocardiograph would make, medians over the beats that are not premature.

    Attributes:
        heart_rate: Beats per minute, from the mean RR interval of the recording, pauses and premature beats included.
        rr_variation: Coefficient of variation of RR intervals between beats that are not premature.
        pr: PR interval, ms; NaN without P waves.
        qrs: QRS duration between the boundaries that cardiologists would mark, ms.
        voltages: QRS voltages, mV.
    """

    heart_rate: float
    rr_variation: float
    pr: float
    qrs: float
    voltages: Voltages

    @property
    def has_p(self) -> bool:
        """Return whether P waves precede the QRS complexes."""
        return bool(np.isfinite(self.pr))


def measure(ecg: SimulatedEcg) -> Measurements:
    """Measure the noiseless signal and the wave boundaries of one ECG."""
    times, kind = ecg.heart.beats.times, ecg.heart.beats.kind
    whole = (ecg.qrs[:, 0] > 0.0) & (ecg.qrs[:, 1] < SAMPLES / MS)
    own = np.flatnonzero(whole & (kind == NORMAL))
    inside = times[whole]
    rr, both = np.diff(times), (kind[1:] == NORMAL) & (kind[:-1] == NORMAL) & whole[1:] & whole[:-1]
    pr = (ecg.qrs[:, 0] - ecg.p[:, 0])[own]
    voltages = [_voltages(ecg, beat) for beat in own.tolist()]
    return Measurements(
        heart_rate=60_000.0 * (len(inside) - 1) / float(inside[-1] - inside[0]),
        rr_variation=float(rr[both].std() / rr[both].mean()) if both.any() else float("nan"),
        pr=float(np.median(pr)),
        qrs=float(np.median((ecg.qrs[:, 1] - ecg.qrs[:, 0])[own])),
        voltages=Voltages(
            *(float(np.median([getattr(v, name) for v in voltages])) for name in ("limb", "chest", "sokolow_lyon"))
        ),
    )


def _voltages(ecg: SimulatedEcg, beat: int) -> Voltages:
    """Voltages of one beat against the 10 ms before its QRS complex."""
    onset, offset = np.rint(ecg.qrs[beat] * MS).astype(np.intp)
    level = ecg.signal[:, max(onset - int(10 * MS), 0) : onset + 1].mean(axis=1, keepdims=True)
    return measure_voltages(ecg.signal[:, onset:offset] - level)


def meets(ecg: SimulatedEcg, target: Target) -> bool:
    """Return whether an ECG meets the criterion of a diagnosis.

    Rates, PR interval, QRS duration and voltages are measured. That P waves come from the sinus node, and which
    bundle is blocked, and that the atria fibrillate and don't flutter, a physician reads from the shape; here it is
    taken from the simulation.
    Hypertrophy is called by Sokolow-Lyon alone, which clinicians do in most but not in all patients.
    """
    found, diagnoses = measure(ecg), ecg.case.diagnoses
    sinus = found.has_p and diagnoses.rhythm in SINUS_RHYTHMS
    return {
        "sinus_rhythm": sinus and SLOW <= found.heart_rate <= FAST,
        "sinus_bradycardia": sinus and found.heart_rate < SLOW,
        "sinus_tachycardia": sinus and found.heart_rate > FAST,
        "atrial_fibrillation": not found.has_p
        and found.rr_variation > IRREGULAR
        and diagnoses.rhythm == "atrial_fibrillation",
        "first_degree_av_block": sinus and found.pr > LONG_PR,
        "right_bundle_branch_block": found.qrs >= WIDE and diagnoses.conduction == "right_bundle_branch_block",
        "left_bundle_branch_block": found.qrs >= WIDE and diagnoses.conduction == "left_bundle_branch_block",
        "low_qrs_voltage": found.voltages.low,
        "left_ventricular_hypertrophy": found.voltages.sokolow_lyon > SOKOLOW_LYON,
    }[target]
