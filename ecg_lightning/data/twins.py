"""This module tells what an ECG would be without a diagnosis: simulated ECGs have a counterfactual twin."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import Entry, Source
from ecg_lightning.data.sources.synthetic import Synthetic
from ecg_lightning.ecg import Target
from ecg_lightning.signal.beat import Neighbours
from ecg_lightning.signal.recording import RecordingError
from ecg_lightning.simulator.diagnoses import DIAGNOSES
from ecg_lightning.simulator.evidence import twin_beats


class TwinShifts:
    """Twin shifts added to an ECG's beat make it that of its twin without the diagnosis.

    The noise of the ECG stays: the shift is the difference between the noiseless beats of both twins.

    Args:
        source: Where the ECGs come from.
        target: The diagnosis that the twin lacks.
        neighbours: How the beats are made.

    Raises:
        ValueError: A source whose ECGs have no twins, or a target in which they don't differ.
    """

    def __init__(self, source: Source, target: Target, neighbours: Neighbours) -> None:
        if not isinstance(source, Synthetic):
            raise ValueError(
                f"perturbation by twins needs simulated ECGs, whose twin without the diagnosis is known; those of "
                f"{source.name} have none: leave out the kinds with `replacement: twin`"
            )
        if target not in DIAGNOSES:
            raise ValueError(
                f"perturbation by twins needs a diagnosis that the simulator knows ({', '.join(DIAGNOSES)}), and not "
                f"{target}: leave out the kinds with `replacement: twin`"
            )
        self.source, self.target, self.neighbours = source, target, neighbours
        self._entries: Mapping[str, Entry] = {}
        self._found: dict[str, NDArray[np.float32] | None] = {}

    def of(self, ecg_id: str) -> NDArray[np.float32] | None:
        """Return an ECG's shift, (lead, sample) mV; None without the diagnosis, or where a twin has no median beat."""
        if ecg_id not in self._found:
            self._found[ecg_id] = self._shift(ecg_id)
        return self._found[ecg_id]

    def _shift(self, ecg_id: str) -> NDArray[np.float32] | None:
        self._entries = self._entries or {entry.ecg_id: entry for entry in self.source.entries()}
        case = self.source.case(self._entries[ecg_id])
        if not case.diagnoses.has(self.target):
            return None
        try:
            twins = twin_beats(case, self.target, neighbours=self.neighbours)
        except RecordingError:
            return None
        return np.asarray(twins.absent.beat - twins.present.beat, dtype=np.float32)
