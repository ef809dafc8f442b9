"""This module holds a recording as it came from a file, and the error of one that can't be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


class RecordingError(ValueError):
    """A recording can't be used; the message is the reason that ends in ``rejected.parquet``.

    The message names the file, what was expected, what came, and what to do about it.

    Attributes:
        kind: A short machine word for the reason, the column ``reason_kind``; subclasses have their own.
    """

    kind: ClassVar[str] = "unusable"


@dataclass(frozen=True)
class Recording:
    """A recording is the signal of one ECG as it came from a file, about ten seconds.

    Attributes:
        signal: (lead, sample) mV, float, as it came from the file.
        sampling_rate: Samples per second (Hz).
        leads: Names of the rows of ``signal``, any order and spelling.
        wave_masks: Name of a wave (``P``, ``QRS``, ``T`` ...) -> (8, sample) boolean over ``ecg.LEADS`` at the
            recording's rate, where the source knows where waves lie. Carried through the median beat.
        marked: First and last sample that ``wave_masks`` speak of; None for the whole recording. People leave the first
            and last beats unmarked, which does not say that these beats have no waves.
    """

    signal: NDArray[np.floating]
    sampling_rate: float
    leads: tuple[str, ...]
    wave_masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    marked: tuple[int, int] | None = None
