"""The median beat that an electrocardiograph has made, as this project's beat.

Marquette 12SL's median is 1.2 s long and has the middle of its QRS complex, by its own onset and offset, at 0.48 s: at
samples 238.5 to 241 of 600 in the four public exports that were looked at, where the fiducial of this project's beats
lies too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import Recording, RecordingError
from ecg_lightning.data.sources.muse_stretch import find_stretch
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, SAMPLING_RATE
from ecg_lightning.signal.beat import MedianBeat
from ecg_lightning.signal.landmarks import SLACK, find_fiducial
from ecg_lightning.signal.leads import to_standard_leads
from ecg_lightning.signal.plausibility import check_rate, check_signal
from ecg_lightning.signal.resample import resample
from ecg_lightning.signal.spikes import without_spikes

Signal = NDArray[np.float64]

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_IN_PLACE: Final = 20 * _MS
_FARTHEST: Final = 100 * _MS
_NEXT_TO: Final = 6 * _MS
_STEEP: Final = 1 / 3  # of the largest slope; that of T is a fifth of that of QRS
LEAVE_OUT: Final = "leave the ECG out, or make the beats from the rhythm (`beats: own`)"


class MedianError(RecordingError):
    """The file has no median beat of the electrocardiograph, or not one that fits."""

    kind: ClassVar[str] = "median"


@dataclass(frozen=True)
class QrsMarks:
    """The electrocardiograph's own marks of the QRS complex of its median.

    Attributes:
        ends: Onset and offset, samples at 500 Hz; None where they are not known.
        name: What the file calls them, for messages.
    """

    ends: tuple[float, float] | None = None
    name: str = "QOnset and QOffset"

    @property
    def not_where_marked(self) -> str:
        """Return the remark on a beat whose QRS complex is not between its marks."""
        return (
            f"the median has its steepest slope elsewhere than between {self.name}, or nearer to 0.48 s than they "
            "would move it: it is used as it lies in the file"
        )

    @property
    def no_waves(self) -> str:
        """Return the remark on a beat whose waves can't be where they are marked."""
        return f"the median has its steepest slope elsewhere than between {self.name}: its waves are taken for unknown"


@dataclass(frozen=True)
class Median:
    """A median beat as it came from a file.

    Attributes:
        waveform: Its leads and rate.
        path: The file, for messages.
        marks: Where the file says that the QRS complex is.
        heart_rate: Beats per minute, NaN where unknown.
        waves: Name of a wave -> onset and offset, samples at 500 Hz of the waveform.
        by_slope: Whether its fiducial is sought as that of this project's beats, where no convention says its place.
    """

    waveform: Recording
    path: Path
    marks: QrsMarks = field(default_factory=QrsMarks)
    heart_rate: float = float("nan")
    waves: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    by_slope: bool = False

    def ready(self, rhythm: Callable[[], Recording | None] = lambda: None) -> MedianBeat:
        """Make the project's beat of it.

        Other rates go to 500 Hz. A beat whose QRS complex has its middle, half way between its marks, 20 to 100 ms from
        0.48 s is moved there by whole samples, and the sample at its end is held; nearer, and where these are not
        known, it stays. It stays as well, with a remark, where its steepest slope does not lie between the two or
        would end farther from 0.48 s: the marks of paced ECGs may be those of another wave. With ``by_slope`` the
        steepest sample within 100 ms of 0.48 s is moved there.

        Args:
            rhythm: Reads the recording of the same file, to see that the beat is not a stretch of it; None of it where
                there is none.

        Raises:
            MedianError: It is not 1.2 s long, has its QRS complex elsewhere, or is a stretch of the rhythm.
            RecordingError: What the checks of any signal raise.
        """
        given = self.waveform
        check_rate(given.sampling_rate)
        signal = resample(to_standard_leads(given.signal, given.leads), given.sampling_rate)
        if signal.shape[1] != BEAT_SAMPLES:
            raise MedianError(
                f"{self.path}: the Median waveform has {given.signal.shape[1]} samples at {given.sampling_rate:g} Hz, "
                f"expected 1.2 s ({BEAT_SAMPLES} at {SAMPLING_RATE} Hz); {LEAVE_OUT}"
            )
        check_signal(signal)
        away, remark = self._away(signal)
        beat = signal[:, np.clip(np.arange(BEAT_SAMPLES) + away, 0, BEAT_SAMPLES - 1)]
        self._check_place(beat)
        self._check_no_stretch(signal, rhythm)
        if not self.waves:
            return MedianBeat.ready_made(beat, self.heart_rate, remark)
        if not self._marked_inside(signal):
            return MedianBeat.ready_made(beat, self.heart_rate, remark or self.marks.no_waves)
        masks = {wave: _mask(ends, away, len(beat)) for wave, ends in self.waves.items()}
        return replace(MedianBeat.ready_made(beat, self.heart_rate, remark), wave_masks=masks)

    def _away(self, signal: Signal) -> tuple[int, str]:
        """How many samples the beat is moved, and what is odd about it."""
        if self.by_slope:
            return find_fiducial(np.pad(signal, ((0, 0), (SLACK, SLACK)), mode="edge")) - SLACK - FIDUCIAL_SAMPLE, ""
        ends = self.marks.ends
        away = 0.0 if ends is None else 0.5 * (ends[0] + ends[1]) - FIDUCIAL_SAMPLE
        if ends is None or abs(away) <= _IN_PLACE:
            return 0, ""
        steepest = _steepest(signal)
        nearer = abs(steepest - round(away) - FIDUCIAL_SAMPLE) < abs(steepest - FIDUCIAL_SAMPLE)
        if not (self._marked_inside(signal) and nearer):
            return 0, self.marks.not_where_marked
        if abs(away) > _FARTHEST:
            raise MedianError(
                f"{self.path}: {self.marks.name} place the QRS complex of the median at "
                f"{(FIDUCIAL_SAMPLE + away) / SAMPLING_RATE:.3f} s, and it is steepest there; expected "
                f"{FIDUCIAL_SAMPLE / SAMPLING_RATE:g} s within {_FARTHEST / _MS:g} ms; {LEAVE_OUT}"
            )
        return round(away), ""

    def _marked_inside(self, signal: Signal) -> bool:
        """Whether the steepest slope lies between the marks."""
        ends = self.marks.ends
        return ends is not None and ends[0] - _NEXT_TO <= _steepest(signal) <= ends[1] + _NEXT_TO

    def _check_place(self, beat: Signal) -> None:
        slope = _slope(beat)
        near = slice(FIDUCIAL_SAMPLE - int(_FARTHEST), FIDUCIAL_SAMPLE + int(_FARTHEST) + 1)
        if slope[near].max() < _STEEP * slope.max():
            raise MedianError(
                f"{self.path}: the median is steepest at {slope.argmax() / SAMPLING_RATE:.3f} s, expected its QRS "
                f"complex within {_FARTHEST / _MS:g} ms of {FIDUCIAL_SAMPLE / SAMPLING_RATE:g} s; {LEAVE_OUT}"
            )

    def _check_no_stretch(self, signal: Signal, read: Callable[[], Recording | None]) -> None:
        """Refuse a median that a converter has cut out of the rhythm."""
        rhythm = _voltages(read)
        stretch = None if rhythm is None else find_stretch(signal, rhythm)
        if stretch is not None:
            raise MedianError(
                f"{self.path}: the Median waveform is the Rhythm from {stretch.start:.3f} s on, which differs from it "
                f"by {stretch.residual:.1f} uV where the next similar stretch does by {stretch.others:.1f}; expected "
                f"the median of several beats: a converter has cut it out; {LEAVE_OUT}"
            )


def _mask(ends: tuple[float, float], away: int, leads: int) -> NDArray[np.bool_]:
    """(lead, sample) of a wave in all leads of a beat that was moved."""
    place = np.arange(BEAT_SAMPLES) + away
    return np.tile((place >= round(ends[0])) & (place <= round(ends[1])), (leads, 1))


def _steepest(signal: Signal) -> int:
    return int(_slope(without_spikes(signal)).argmax())


def _slope(signal: Signal) -> Signal:
    """Spatial slope, (sample,) mV per sample."""
    return np.asarray(np.linalg.norm(np.gradient(signal, axis=1), axis=0))


def _voltages(read: Callable[[], Recording | None]) -> Signal | None:
    """(8, sample) mV at 500 Hz, missing samples 0; None where there is none that can be read: that is no fault here."""
    try:
        rhythm = read()
        if rhythm is None:
            return None
        check_rate(rhythm.sampling_rate)
        voltages = to_standard_leads(rhythm.signal, rhythm.leads)
        return resample(np.nan_to_num(voltages), rhythm.sampling_rate)
    except RecordingError:
        return None
