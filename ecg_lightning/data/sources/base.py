"""What a source of ECGs yields: the interface that every archive and the simulator implement."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import Target


class RecordingError(ValueError):
    """A recording that can't be used; its message is the reason that ends in ``rejected.parquet``.

    The message names the file, what was expected, what came, and what to do about it.
    """


@dataclass(frozen=True)
class Entry:
    """One ECG as the source's table describes it, before its signal is read.

    Attributes:
        ecg_id: Unique within the source; a string, so that archives with names and with numbers agree.
        patient_id: The patient; splits and intervals are made by it.
        age: Years, NaN where unknown.
        sex: ``"female"``, ``"male"`` or ``"unknown"``.
        labels: 1.0 present, 0.0 absent; a target that is not in the mapping is *missing*, not negative.
        fold: The source's own fold, 0 where it has none.
    """

    ecg_id: str
    patient_id: str
    age: float
    sex: str
    labels: Mapping[Target, float]
    fold: int = 0


@dataclass(frozen=True)
class Recording:
    """The signal of one ECG.

    Attributes:
        signal: (lead, sample) mV, float, as it came from the file.
        sampling_rate: Samples per second (Hz).
        leads: Names of the rows of ``signal``, any order and spelling.
        wave_masks: Name of a wave (``P``, ``QRS``, ``T`` ...) -> (8, sample) boolean over ``ecg.LEADS`` at the
            recording's rate, where the source knows where waves lie. Carried through the median beat.
    """

    signal: NDArray[np.floating]
    sampling_rate: float
    leads: tuple[str, ...]
    wave_masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


class Source(ABC):
    """An archive of recordings: a table of entries, and the signal of each.

    A source is a small, picklable object whose constructor only configures: ``prepare`` sends it to its
    worker processes.
    """

    name: str
    """Short name, the value of the column ``source`` of ``examples.parquet``."""

    @abstractmethod
    def entries(self) -> Sequence[Entry]:
        """Every ECG of the source, in a fixed order.

        Raises:
            FileNotFoundError: The source's table is not where it is expected; the message says how to get it.
            ValueError: The table lacks a needed column.
        """

    @abstractmethod
    def read(self, entry: Entry) -> Recording:
        """Read the signal of one entry.

        Raises:
            RecordingError: The file is missing, truncated or not readable.
        """

    def evidence(self, entry: Entry) -> Mapping[str, NDArray[np.bool_]]:  # noqa: ARG002
        """Evidence masks of one entry's median beat, where the source knows them (the simulator does).

        Returns:
            Name of a region, ``causal/<target>`` or ``core/<target>`` -> (8, 600) boolean.
        """
        return {}

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """What determines the source's content, JSON-able, with no path in it: part of the cache's key.

        A source that reads files includes a digest of its table.
        """
