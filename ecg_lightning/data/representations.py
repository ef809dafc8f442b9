"""What of a recording a network sees: its median beat, as in the paper, or a window of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import Entry, Recording, Source
from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.signal.beat import PIPELINE_VERSION, Neighbours
from ecg_lightning.signal.filters import Stage
from ecg_lightning.signal.leads import canonical_lead
from ecg_lightning.signal.window import Window, cut_window

TWELVE_LEADS: Final = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The leads of the standard ECG, in the order in which they are printed."""

_WINDOW_VERSION: Final = 1
"""Raised with every change that alters a window: it is part of the cache's key."""


@dataclass(frozen=True)
class Represented:
    """An ECG as a network sees it.

    Attributes:
        signal: (lead, sample) mV, as the representation's format says.
        heart_rate: Beats per minute, NaN where unknown.
        n_beats: Beats that it shows, or was made of.
        masks: Name of a region -> (lead, sample) boolean.
        remark: What is odd about it and no reason to reject it.
        r_peaks: (beat,) samples of its R peaks; None for a median beat.
    """

    signal: NDArray[np.float64]
    heart_rate: float
    n_beats: int
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    remark: str = ""
    r_peaks: NDArray[np.intp] | None = None


class Representation(ABC):
    """What of a recording a network sees. Objects are small and picklable, for the workers of ``prepare``."""

    @property
    @abstractmethod
    def format(self) -> SignalFormat:
        """Leads, rate, samples and fiducial of what a network sees."""

    @abstractmethod
    def of(self, source: Source, entry: Entry) -> Represented:
        """Read one ECG as a network sees it.

        Raises:
            RecordingError: The recording can't be read or used.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what a cache's key needs beside the source; JSON-able."""


@dataclass(frozen=True)
class MedianBeats(Representation):
    """Median beats of eight leads, 1.2 s at 500 Hz (paper, Methods, "ECG processing and outcome selection").

    Attributes:
        neighbours: What is done with neighbouring beats: see :func:`ecg_lightning.signal.beat.median_beat`.

    Raises:
        ValueError: ``neighbours`` is neither ``keep`` nor ``blank``.
    """

    neighbours: Neighbours = "keep"

    def __post_init__(self) -> None:
        if self.neighbours not in get_args(Neighbours):
            raise ValueError(f"neighbours: expected one of {get_args(Neighbours)}, got {self.neighbours!r}")

    @property
    def format(self) -> SignalFormat:
        """Return the format of every median beat."""
        return MEDIAN_BEAT

    def of(self, source: Source, entry: Entry) -> Represented:
        """Return the source's median beat; wave masks of the recording and evidence masks of the source are kept.

        Evidence wins where both know a region of the same name.
        """
        made = source.beat(entry, self.neighbours)
        masks = {**made.wave_masks, **source.evidence(entry, self.neighbours)}
        return Represented(made.beat, made.heart_rate, made.n_beats_kept, masks, made.remark)

    def settings(self) -> dict[str, Any]:
        """Return what is done with neighbours, and the pipeline's version."""
        return {"beat": {"neighbours": self.neighbours}, "pipeline_version": PIPELINE_VERSION}


@dataclass(frozen=True)
class RecordingWindow(Representation):
    """A window of the recording itself.

    Attributes:
        leads: Names of the leads in their order; limb leads are derived from others, no other lead is.
        sampling_rate: Of the window, Hz.
        seconds: Length of the window.
        start: Where it begins in the recording, s.
        pad: Whether a recording that ends before the window is filled up with 0 mV behind; else it is rejected.
        high_pass: Corner frequency in Hz below which drift is removed (Butterworth, second order); None: nothing is.
        low_pass: Corner frequency in Hz above which noise is removed (third order); None: nothing is.

    Raises:
        ValueError: No lead, a lead twice, no sample, or corner frequencies that the rate does not hold.
    """

    leads: Sequence[str] = TWELVE_LEADS
    sampling_rate: float = 100.0
    seconds: float = 10.0
    start: float = 0.0
    pad: bool = False
    high_pass: float | None = None
    low_pass: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "leads", tuple(_canonical(lead) for lead in self.leads))
        for name in ("sampling_rate", "seconds", "start"):  # 100 and 100.0 are one window, and one key of a cache
            object.__setattr__(self, name, float(getattr(self, name)))
        half = self.sampling_rate / 2
        for name, corner in (("high_pass", self.high_pass), ("low_pass", self.low_pass)):
            if corner is not None and not 0 < corner < half:
                raise ValueError(f"{name}: expected a frequency between 0 and {half:g} Hz, got {corner:g}")
        if self.start < 0:
            raise ValueError(f"start: expected seconds from 0 on, got {self.start:g}")
        self.format  # noqa: B018  # refuses impossible leads and lengths

    @property
    def format(self) -> SignalFormat:
        """Return leads, rate and samples; a recording has no one fiducial."""
        return SignalFormat(tuple(self.leads), self.sampling_rate, round(self.seconds * self.sampling_rate))

    def of(self, source: Source, entry: Entry) -> Represented:
        """Return the window of the source's recording; wave masks and evidence masks of the source are cut, too."""
        window = self._cut(source.read(entry))
        evidence = source.window_evidence(entry, partial(self._cut, with_peaks=False), self.format)
        masks = {**window.wave_masks, **evidence}
        return Represented(window.signal, window.heart_rate, len(window.r_peaks), masks, r_peaks=window.r_peaks)

    def _cut(self, recording: Recording, *, with_peaks: bool = True) -> Window:
        band = self._band()
        return cut_window(recording, self.format, start=self.start, pad=self.pad, band=band, with_peaks=with_peaks)

    def _band(self) -> tuple[Stage, ...]:
        high: tuple[Stage, ...] = () if self.high_pass is None else ((2, (self.high_pass,), "highpass"),)
        low: tuple[Stage, ...] = () if self.low_pass is None else ((3, (self.low_pass,), "lowpass"),)
        return high + low

    def settings(self) -> dict[str, Any]:
        """Return the arguments and the version of what is done with them."""
        own = asdict(self) | {"leads": list(self.leads), "version": _WINDOW_VERSION}
        return {"representation": {"RecordingWindow": own}}


def _canonical(lead: str) -> str:
    """One of the twelve leads as it is written here, ``AVR`` as ``aVR``; another name as it is."""
    known = canonical_lead(lead)
    return known[0] if known is not None and known[1] > 0 else lead
