"""Simulated ECGs: an embedded data set whose evidence is known."""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import Entry, Recording, Source
from ecg_lightning.data.sources.simulated_labels import MEASUREMENTS, SimulatedLabels
from ecg_lightning.data.targets import PAPER_TARGETS, TargetInfo, nearest
from ecg_lightning.ecg import TARGETS, SignalFormat, Target
from ecg_lightning.signal.beat import Neighbours
from ecg_lightning.signal.window import Window
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.diagnoses import draw_diagnoses
from ecg_lightning.simulator.evidence import RHYTHMS, evidence_masks
from ecg_lightning.simulator.recording import simulate
from ecg_lightning.simulator.shifted import POPULATION_SD
from ecg_lightning.simulator.streams import Streams, truncated_normal
from ecg_lightning.simulator.window_evidence import window_evidence

SIMULATOR_VERSION: Final = 3
"""Raised with every change that alters a simulated ECG or its evidence: it is part of the cache's key."""

_ECGS: Final = (0.55, 0.20, 0.12, 0.08, 0.05)
"""Share of patients with 1, 2, ... 5 ECGs: 1.88 on average."""

_UNMEASURED: Final = 0.05
"""Share of patients in whose records nobody measured PR interval and voltages: these labels are missing."""

_NO_RHYTHM: Final = 0.02
"""Share of ECGs whose record doesn't give the rhythm."""

_MEASURED_TARGETS: Final = ("first_degree_av_block", "low_qrs_voltage", "left_ventricular_hypertrophy")
_EVIDENCE_OF: Final = (*TARGETS, *POPULATION_SD)
_OTHER_TIMES: Final = (
    "a twin with another {} has its beats at other times, so that no difference between windows says where the "
    "evidence lies"
)


class Synthetic(Source):
    """Simulated patients with 1 to 5 ECGs each, 10 s, 8 leads, 500 Hz.

    Labels follow the clinical criteria, which the simulated signal meets; some are missing, as in archives. The
    regression targets (``data/measurements.yaml``) are what the simulator put in. Every ECG has wave masks ``P``,
    ``QRS``, ``T``, and for every diagnosis that it has (and whose label is known) evidence ``causal/<target>`` and
    ``core/<target>``; see :mod:`ecg_lightning.simulator.evidence`. Evidence of a measurement is made for runs of this
    target alone: every ECG has it, and six of them would take longer than all the rest.

    Args:
        n_patients: Number of patients; 2,660 give about 5,000 ECGs. More patients leave the first ones as they are.
        simulation_seed: Seed of the simulation, not of training: networks of all seeds see the same ECGs.
        noise: Factor of the recording's noise.
        evidence: Whether evidence masks are made, which double the time; or of which targets, diagnoses and
            measurements; ``True``: of the nine, and in runs of a measurement of this one in their place.

    Raises:
        ValueError: No patients, negative noise, or evidence of what has none.
    """

    name = "synthetic"

    def __init__(
        self,
        n_patients: int = 2660,
        simulation_seed: int = 0,
        noise: float = 1.0,
        evidence: bool | list[str] = True,
    ) -> None:
        if n_patients < 1:
            raise ValueError(f"n_patients: expected at least 1, got {n_patients}")
        if not 0.0 <= noise < float("inf"):
            raise ValueError(f"noise: expected a factor from 0 on, got {noise}")
        named = [] if isinstance(evidence, bool) else sorted(set(evidence))
        if unknown := [target for target in named if target not in _EVIDENCE_OF]:
            raise ValueError(f"evidence: there is none of {', '.join(unknown)}; {nearest(unknown[0], _EVIDENCE_OF)}")
        self.n_patients = n_patients
        self.simulation_seed = simulation_seed
        self.noise = noise
        self.evidence_of = evidence if isinstance(evidence, bool) else named

    def for_target(self, target: Target) -> "Synthetic":
        """Return the source with the evidence of a measurement in place of that of the nine diagnoses."""
        if target not in POPULATION_SD or self.evidence_of is not True:
            return self
        source = copy(self)
        source.evidence_of = [target]
        return source

    def targets(self) -> Mapping[Target, TargetInfo]:
        """Describe the nine diagnoses and the measurements."""
        return {**PAPER_TARGETS, **MEASUREMENTS}

    def why_no_labels(self, target: Target, signal_format: SignalFormat) -> str:
        """Say why median beats have no heart rate: they show one beat, and neighbours at high rates only."""
        if target != "heart_rate" or signal_format.fiducial is None:
            return ""
        return (
            "a median beat shows one beat, and the heart rate is a target of recordings only: set "
            "`data.representation` to RecordingWindow (`--config configs/data/recordings_100hz.yaml`)"
        )

    def why_no_evidence(self, target: Target, signal_format: SignalFormat) -> str:
        """Say why the evidence of rhythms and of the heart rate is not known in windows."""
        if target == "heart_rate" or (target in RHYTHMS and signal_format.fiducial is None):
            return _OTHER_TIMES.format("rate" if target == "heart_rate" else "rhythm")
        known = self.for_target(target)._evidence_targets
        return "" if target in known else f"`data.source.init_args.evidence` does not name {target}"

    def entries(self) -> Sequence[Entry]:
        """List every ECG, patient by patient."""
        return [entry for patient in range(self.n_patients) for entry in self._entries_of(patient)]

    def read(self, entry: Entry) -> Recording:
        """Simulate the recording of an entry.

        Raises:
            KeyError: The entry is not of this source.
        """
        return simulate(self.case(entry)).recording()

    def evidence(self, entry: Entry, neighbours: Neighbours = "keep") -> Mapping[str, NDArray[np.bool_]]:
        """Return the evidence of every labelled target; see ``evidence_masks`` for what is left out."""
        return evidence_masks(self.case(entry), self._known(entry), neighbours=neighbours)

    def window_evidence(
        self, entry: Entry, cut: Callable[[Recording], Window], signal_format: SignalFormat
    ) -> Mapping[str, NDArray[np.bool_]]:
        """Return the same of a window, without rhythms; see ``window_evidence`` of the simulator."""
        return window_evidence(self.case(entry), self._known(entry), cut, signal_format.sampling_rate)

    def _known(self, entry: Entry) -> tuple[Target, ...]:
        """The targets whose evidence an entry has: diagnoses that are there, and measurements of what is there."""
        labels = entry.labels
        return tuple(
            target
            for target in self._evidence_targets
            if (target in labels if target in POPULATION_SD else labels.get(target) == 1.0)
        )

    @property
    def _evidence_targets(self) -> Sequence[Target]:
        if isinstance(self.evidence_of, bool):
            return TARGETS if self.evidence_of else ()
        return self.evidence_of

    def settings(self) -> dict[str, object]:
        """Return patients, seed, noise, evidence, and the simulator's version."""
        return {
            "n_patients": self.n_patients,
            "simulation_seed": self.simulation_seed,
            "noise": self.noise,
            "evidence": self.evidence_of,
            "simulator": SIMULATOR_VERSION,
        }

    def case(self, entry: Entry) -> Case:
        """Return the case that is simulated for one entry.

        Raises:
            KeyError: The entry is not of this source.
        """
        return self._case(*self._numbers(entry.ecg_id))

    def _numbers(self, ecg_id: str) -> tuple[int, int]:
        patient, _, ecg = ecg_id.removeprefix(f"s{self.simulation_seed}p").partition("e")
        if not (patient.isdigit() and ecg.isdigit() and int(patient) < self.n_patients):
            raise KeyError(
                f"{ecg_id!r} is no ECG of {self.n_patients} patients simulated with seed {self.simulation_seed}"
            )
        return int(patient), int(ecg)

    def _case(self, patient: int, ecg: int) -> Case:
        streams = Streams(f"{self.simulation_seed}/{patient}")
        diagnoses = draw_diagnoses(
            streams("diagnoses"), Streams(f"{self.simulation_seed}/{patient}/{ecg}")("diagnoses")
        )
        return Case(self.simulation_seed, patient, ecg, diagnoses, noise=self.noise)

    def _entries_of(self, patient: int) -> list[Entry]:
        rng = Streams(f"{self.simulation_seed}/{patient}")("person")
        count_u, age_u, sex_u, unknown_u, measured_u = rng.uniform(1e-9, 1.0, size=5)
        no_rhythm = rng.uniform(size=len(_ECGS)) < _NO_RHYTHM
        count = int(np.searchsorted(np.cumsum(_ECGS), count_u)) + 1
        missing = set(_MEASURED_TARGETS) if measured_u < _UNMEASURED else set()
        return [
            Entry(
                ecg_id=f"s{self.simulation_seed}p{patient}e{ecg}",
                patient_id=f"s{self.simulation_seed}p{patient}",
                age=float("nan") if unknown_u < 0.01 else round(truncated_normal(age_u, 62.0, 16.0, 18.0, 95.0)),
                sex="female" if sex_u < 0.5 else "male",
                labels=self._labels(patient, ecg, missing | (set(RHYTHMS) if no_rhythm[ecg] else set())),
            )
            for ecg in range(count)
        ]

    def _labels(self, patient: int, ecg: int, missing: set[str]) -> SimulatedLabels:
        case = self._case(patient, ecg)
        diagnoses = case.diagnoses
        if not diagnoses.has_voltage_criteria:
            missing = missing | {"left_ventricular_hypertrophy"}
        known = {target: float(diagnoses.has(target)) for target in TARGETS if target not in missing}
        return SimulatedLabels(known, case, self.targets())
