"""This module draws what a simulated patient has: rhythm, conduction, voltage, ST-T changes, each at its frequency.

The frequencies are those of the prototype that was scored on real ECGs; they are far from those of a clinic on purpose,
so that a network sees enough of every class and of every mimic.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar, get_args

import numpy as np
from numpy.random import Generator

from ecg_lightning.ecg import TARGETS, Target

_Name = TypeVar("_Name", bound=str)

Rhythm = Literal[
    "sinus",
    "sinus_bradycardia",
    "sinus_tachycardia",
    "atrial_fibrillation",
    "ectopic_atrial",
    "flutter",
    "junctional",
    "paced",
    "irregular_flutter",
]
"""What drives the heart. The last five have no label: the mimics of the four rhythms that have."""

Conduction = Literal[
    "normal",
    "right_bundle_branch_block",
    "left_bundle_branch_block",
    "left_anterior_block",
    "incomplete_right_bundle_branch_block",
    "intraventricular_delay",
    "left_posterior_block",
    "right_ventricular_hypertrophy",
]
"""How the ventricles depolarise; only the two complete bundle branch blocks have labels."""

Voltage = Literal["normal", "left_ventricular_hypertrophy", "low"]

Repolarisation = Literal[
    "normal",
    "flat_t",
    "inverted_t",
    "anterior_infarct",
    "inferior_infarct",
    "st_depression",
    "early_repolarisation",
]
"""ST-T changes and infarcts, which have no label: confounders."""

DIAGNOSES: Final[tuple[Target, ...]] = TARGETS
"""The diagnoses that a simulated ECG can have, and its twin can lack."""

SINUS_RHYTHMS: Final = ("sinus", "sinus_bradycardia", "sinus_tachycardia")

_RHYTHMS: Final[dict[Rhythm, float]] = {
    "sinus": 0.56,
    "atrial_fibrillation": 0.11,
    "sinus_bradycardia": 0.12,
    "sinus_tachycardia": 0.11,
    "ectopic_atrial": 0.030,
    "flutter": 0.025,
    "junctional": 0.020,
    "paced": 0.020,
    "irregular_flutter": 0.005,
}
_CONDUCTIONS: Final[dict[Conduction, float]] = {
    "right_bundle_branch_block": 0.11,
    "left_bundle_branch_block": 0.08,
    "left_anterior_block": 0.06,
    "incomplete_right_bundle_branch_block": 0.04,
    "intraventricular_delay": 0.025,
    "left_posterior_block": 0.02,
    "right_ventricular_hypertrophy": 0.015,
}
_REPOLARISATIONS: Final[dict[Repolarisation, float]] = {
    "flat_t": 0.07,
    "inverted_t": 0.035,
    "anterior_infarct": 0.025,
    "inferior_infarct": 0.03,
    "st_depression": 0.03,
    "early_repolarisation": 0.03,
}
_VOLTAGES: Final[dict[Voltage, float]] = {"left_ventricular_hypertrophy": 0.15, "low": 0.095}
_AV_BLOCK: Final = {"sinus": 0.16, "sinus_bradycardia": 0.16, "sinus_tachycardia": 0.06}
_BIFASCICULAR: Final = 0.25  # of right bundle branch blocks: the left anterior fascicle is blocked too
_PVC: Final = 0.08
_PAC: Final = 0.07
_SAME_RHYTHM: Final = 0.6
"""Share of a patient's ECGs that have the patient's own rhythm; the others draw anew."""


@dataclass(frozen=True)
class Diagnoses:
    """The diagnoses hold all findings of one ECG.

    Attributes:
        rhythm: What drives the heart.
        rate_of: The rhythm whose distribution the rate is drawn from; differs from ``rhythm`` in twins only, where
            atrial fibrillation and its absence must have the same mean rate.
        av_block: First-degree atrioventricular block; only in sinus rhythms.
        conduction: How the ventricles depolarise.
        bifascicular: Whether in right bundle branch block the left anterior fascicle is blocked too.
        voltage: Hypertrophy, low QRS voltage or neither.
        repolarisation: The ST-T changes.
        pvc: Premature ventricular complexes.
        pac: Premature atrial complexes.
    """

    rhythm: Rhythm = "sinus"
    rate_of: Rhythm = "sinus"
    av_block: bool = False
    conduction: Conduction = "normal"
    bifascicular: bool = False
    voltage: Voltage = "normal"
    repolarisation: Repolarisation = "normal"
    pvc: bool = False
    pac: bool = False

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            if getattr(self, name) not in get_args(allowed):
                raise ValueError(f"{name}: expected one of {get_args(allowed)}, got {getattr(self, name)!r}")
        if self.bifascicular and self.conduction != "right_bundle_branch_block":
            raise ValueError(f"bifascicular: expected with right_bundle_branch_block only, got {self.conduction!r}")
        if self.av_block and self.rhythm not in SINUS_RHYTHMS:
            raise ValueError(f"av_block: expected in {', '.join(SINUS_RHYTHMS)} only, got rhythm {self.rhythm!r}")

    @property
    def has_voltage_criteria(self) -> bool:
        """Return whether voltage can show hypertrophy: not in left bundle branch block, and not when paced."""
        return self.rhythm != "paced" and self.conduction != "left_bundle_branch_block"

    def has(self, target: Target) -> bool:
        """Return whether the diagnosis is there."""
        return {
            "sinus_rhythm": self.rhythm == "sinus",
            "atrial_fibrillation": self.rhythm == "atrial_fibrillation",
            "sinus_bradycardia": self.rhythm == "sinus_bradycardia",
            "sinus_tachycardia": self.rhythm == "sinus_tachycardia",
            "first_degree_av_block": self.av_block,
            "right_bundle_branch_block": self.conduction == "right_bundle_branch_block",
            "left_bundle_branch_block": self.conduction == "left_bundle_branch_block",
            "low_qrs_voltage": self.voltage == "low",
            "left_ventricular_hypertrophy": self.voltage == "left_ventricular_hypertrophy",
        }[target]

    def without(self, target: Target) -> "Diagnoses":
        """Return the same findings but for one diagnosis: the other twin.

        Sinus rhythm becomes atrial fibrillation of the same mean rate and the reverse; bradycardia and tachycardia
        become sinus rhythm of a normal rate; the others are taken away.

        Raises:
            ValueError: The diagnosis is not there.
        """
        if not self.has(target):
            raise ValueError(f"these findings have no {target}: {self}")
        if target == "sinus_rhythm":
            return replace(self, rhythm="atrial_fibrillation", av_block=False)
        if target == "atrial_fibrillation":
            return replace(self, rhythm="sinus")
        if target in ("sinus_bradycardia", "sinus_tachycardia"):
            return replace(self, rhythm="sinus", rate_of="sinus")
        if target == "first_degree_av_block":
            return replace(self, av_block=False)
        if target.endswith("bundle_branch_block"):
            left: Conduction = "left_anterior_block" if self.bifascicular else "normal"
            return replace(self, conduction=left, bifascicular=False)
        return replace(self, voltage="normal")


_ALLOWED: Final = {
    "rhythm": Rhythm,
    "rate_of": Rhythm,
    "conduction": Conduction,
    "voltage": Voltage,
    "repolarisation": Repolarisation,
}


def draw_diagnoses(patient: Generator, ecg: Generator) -> Diagnoses:
    """Draw the findings of one ECG.

    Conduction, voltage and ST-T changes are the patient's; the rhythm is the patient's own in 60 % of the ECGs.
    Hypertrophy and low voltage exclude each other, and neither goes with left bundle branch block or pacing, in
    which their criteria are not applied.

    Args:
        patient: The patient's stream: the same for all ECGs of the patient.
        ecg: The ECG's stream.
    """
    rhythm_u, conduction_u, voltage_u, repolarisation_u, block_u, pvc_u, pac_u, fascicle_u = patient.uniform(size=8)
    anew, other_u = ecg.uniform(size=2)
    rhythm = _pick(_RHYTHMS, rhythm_u if anew < _SAME_RHYTHM else other_u, "sinus")
    conduction = "normal" if rhythm == "paced" else _pick(_CONDUCTIONS, conduction_u, "normal")
    unmeasurable = rhythm == "paced" or conduction == "left_bundle_branch_block"
    return Diagnoses(
        rhythm=rhythm,
        rate_of=rhythm,
        av_block=bool(block_u < _AV_BLOCK.get(rhythm, 0.0)),
        conduction=conduction,
        bifascicular=conduction == "right_bundle_branch_block" and bool(fascicle_u < _BIFASCICULAR),
        voltage="normal" if unmeasurable else _pick(_VOLTAGES, voltage_u, "normal"),
        repolarisation=_pick(_REPOLARISATIONS, repolarisation_u, "normal"),
        pvc=bool(pvc_u < _PVC),
        pac=bool(pac_u < _PAC),
    )


def _pick(shares: dict[_Name, float], u: float, otherwise: _Name) -> _Name:
    """The name in whose share of [0, 1) ``u`` falls."""
    place = int(np.searchsorted(np.cumsum(list(shares.values())), u, side="right"))
    return [*shares, otherwise][min(place, len(shares))]
