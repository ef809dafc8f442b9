"""A case says what is to be simulated: one ECG of one patient with given findings."""

import math
from dataclasses import dataclass, replace

from ecg_lightning.ecg import Target
from ecg_lightning.simulator.diagnoses import Diagnoses
from ecg_lightning.simulator.streams import Streams

_RATES = (20.0, 300.0)
_PR_INTERVALS = (40.0, 1000.0)


@dataclass(frozen=True)
class Shift:
    """A shift is what the twin of a measurement has more: ``amount`` ms or mV of the target."""

    target: Target
    amount: float


@dataclass(frozen=True)
class Case:
    """One ECG of one patient; the same case gives the same ECG, sample by sample.

    Attributes:
        seed: Seed of the simulation.
        patient: Number of the patient: body, heart axis, chronic findings.
        ecg: Number of the ECG: rhythm, rate, noise.
        diagnoses: The patient's findings.
        heart_rate: Mean rate, beats per minute; None draws it by the rhythm.
        pr_interval: Time from P onset to QRS onset, ms; None draws it.
        noise: Factor of the noise; 0 leaves the recorder's low-pass filter and steps.
        shift: The measurement in which the ECG differs from what was drawn; None but in twins.

    Raises:
        ValueError: A value that no heart has.
    """

    seed: int
    patient: int
    ecg: int
    diagnoses: Diagnoses
    heart_rate: float | None = None
    pr_interval: float | None = None
    noise: float = 1.0
    shift: Shift | None = None

    def __post_init__(self) -> None:
        if self.heart_rate is not None and not _RATES[0] <= self.heart_rate <= _RATES[1]:
            raise ValueError(
                f"heart_rate: expected {_RATES[0]:g} to {_RATES[1]:g} beats per minute, got {self.heart_rate}"
            )
        if self.pr_interval is not None and not _PR_INTERVALS[0] <= self.pr_interval <= _PR_INTERVALS[1]:
            raise ValueError(
                f"pr_interval: expected {_PR_INTERVALS[0]:g} to {_PR_INTERVALS[1]:g} ms, got {self.pr_interval}"
            )
        if (
            self.heart_rate is not None
            and self.pr_interval is not None
            and self.pr_interval >= 60_000 / self.heart_rate
        ):
            raise ValueError(
                f"pr_interval: {self.pr_interval:g} ms is not shorter than the RR interval of "
                f"{60_000 / self.heart_rate:g} ms at {self.heart_rate:g} beats per minute; lower one of them"
            )
        if not (self.noise >= 0.0 and math.isfinite(self.noise)):
            raise ValueError(f"noise: expected a factor from 0 on, got {self.noise}")

    @property
    def patient_streams(self) -> Streams:
        """Return the streams of what all ECGs of the patient share."""
        return Streams(f"{self.seed}/{self.patient}")

    @property
    def ecg_streams(self) -> Streams:
        """Return the streams of what is this ECG's own."""
        return Streams(f"{self.seed}/{self.patient}/{self.ecg}")

    def without(self, target: Target) -> "Case":
        """Return the twin without one diagnosis: all else is the same, draw by draw."""
        return replace(self, diagnoses=self.diagnoses.without(target))

    def shifted(self, target: Target, amount: float) -> "Case":
        """Return the twin with one measurement shifted, by ms or mV: all else is the same, draw by draw."""
        return replace(self, shift=Shift(target, amount))
