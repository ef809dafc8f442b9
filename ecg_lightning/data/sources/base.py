"""This module defines what a source of ECGs yields: the interface that every archive and the simulator implement."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.targets import PAPER_TARGETS, TargetInfo
from ecg_lightning.ecg import SignalFormat, Target
from ecg_lightning.signal.beat import MedianBeat, Neighbours, median_beat
from ecg_lightning.signal.recording import Recording, RecordingError
from ecg_lightning.signal.window import Window

__all__ = ["Entry", "Recording", "RecordingError", "RejectedEntry", "Source"]


@dataclass(frozen=True)
class Entry:
    """One ECG as the source's table describes it, before its signal is read.

    Attributes:
        ecg_id: Unique within the source; a string, so that archives with names and with numbers agree.
        patient_id: The patient; splits and intervals are made by it.
        age: Years, NaN where unknown.
        sex: ``"female"``, ``"male"`` or ``"unknown"``.
        labels: 1.0 present, 0.0 absent, or the measured value; a target that is not in the mapping is *missing*, not
            negative.
        fold: The source's own fold, 0 where it has none.
    """

    ecg_id: str
    patient_id: str
    age: float
    sex: str
    labels: Mapping[Target, float]
    fold: int = 0


@dataclass(frozen=True)
class RejectedEntry(Entry):
    """An ECG that can't be used for what its table or header says; it goes into ``rejected.parquet``.

    Attributes:
        reason: File, line, column and value, what was expected, and what to do.
        kind: A short machine word, the column ``reason_kind``.
    """

    reason: str = ""
    kind: str = "table"

    @classmethod
    def of(cls, ecg_id: str, reason: str, kind: str = "table", patient_id: str = "") -> "RejectedEntry":
        """Make a rejected ECG of which no more is known than why; without a patient it is its own."""
        return cls(ecg_id, patient_id or ecg_id, float("nan"), "unknown", {}, reason=reason, kind=kind)


class Source(ABC):
    """An archive of recordings: a table of entries, and the signal of each.

    A source is a small, picklable object whose constructor only configures: ``prepare`` sends it to its
    worker processes.
    """

    name: str
    """Short name, the value of the column ``source`` of ``examples.parquet``."""

    @abstractmethod
    def entries(self) -> Sequence[Entry]:
        """List every ECG of the source, in a fixed order; one with an unusable table line is a ``RejectedEntry``.

        Values need no check here: ``prepare`` rejects every entry whose id, patient, age, sex or label is impossible.

        Raises:
            FileNotFoundError: The source's table is not where it is expected; the message says how to get it.
            ValueError: The table lacks a needed column.
        """

    def targets(self) -> Mapping[Target, TargetInfo]:
        """Describe every target that the source may have labels of: the paper's nine, unless a source says otherwise.

        Raises:
            FileNotFoundError: As for ``entries``, where the source has to look.
            ValueError: Two names differ in case only, or a file of targets says something else.
        """
        return PAPER_TARGETS

    @property
    def more_targets(self) -> str:
        """How a user gives the source further targets, for the message about an unknown one."""
        return ""

    def for_target(self, target: Target) -> "Source":  # noqa: ARG002
        """Return the source whose cache serves the runs of a target: the same ECGs, with evidence of this one."""
        return self

    def why_no_labels(self, target: Target, signal_format: SignalFormat) -> str:  # noqa: ARG002
        """Say why ECGs of a format have no labels of one of the targets; empty where they may have."""
        return ""

    def why_no_evidence(self, target: Target, signal_format: SignalFormat) -> str:  # noqa: ARG002
        """Say why the evidence of a target is not known; empty where it is of ECGs that have it."""
        return f"{self.name} does not tell it"

    def where(self, place: int) -> str:
        """Say where an entry of ``entries()`` stands, for messages; a source of a table names file and line."""
        return f"{self.name}, entry {place}"

    @abstractmethod
    def read(self, entry: Entry) -> Recording:
        """Read the signal of one entry.

        Raises:
            RecordingError: The file is missing, truncated or not readable.
        """

    def beat(self, entry: Entry, neighbours: Neighbours = "keep") -> MedianBeat:
        """Return the median beat of one entry; a source of ready-made beats overrides this.

        Raises:
            RecordingError: The recording can't be read or used.
        """
        return median_beat(self.read(entry), neighbours=neighbours)

    def evidence(self, entry: Entry, neighbours: Neighbours = "keep") -> Mapping[str, NDArray[np.bool_]]:  # noqa: ARG002
        """Return evidence masks of one entry's median beat, where the source knows them (the simulator does).

        Args:
            entry: The ECG that evidence is wanted of.
            neighbours: What is done with neighbouring beats when the median beat is made.

        Returns:
            Name of a region, ``causal/<target>`` or ``core/<target>`` -> (8, 600) boolean.
        """
        return {}

    def window_evidence(
        self,
        entry: Entry,  # noqa: ARG002
        cut: Callable[[Recording], Window],  # noqa: ARG002
        signal_format: SignalFormat,  # noqa: ARG002
    ) -> Mapping[str, NDArray[np.bool_]]:
        """Return evidence masks of a window of one entry's recording, as ``evidence`` does of its median beat.

        Args:
            entry: The ECG that evidence is wanted of.
            cut: Cuts the window out of a recording.
            signal_format: Of the window.

        Returns:
            Name of a region -> (lead, sample) boolean of the format.
        """
        return {}

    def unmapped_codes(self) -> Mapping[str, int]:
        """Count codes that the archive uses and that mean no target, for the summary of ``prepare``.

        Returns:
            Code -> number of ECGs of the whole source that carry it, most frequent first.
        """
        return {}

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """Return what determines the source's content, JSON-able, with no path in it: part of the cache's key.

        A source that reads files includes a digest of its table.
        """
