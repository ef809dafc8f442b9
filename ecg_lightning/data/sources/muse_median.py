"""The median beat that the electrocardiograph has made (Marquette 12SL), as this project's beat.

12SL's median is 1.2 s long and has the middle of its QRS complex, by its own onset and offset, at 0.48 s: at samples
238.5 to 241 of 600 in the four public exports that were looked at, where the fiducial of this project's beats lies too.
"""

import math
from pathlib import Path
from typing import ClassVar, Final
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import RecordingError
from ecg_lightning.data.sources.muse_stretch import find_stretch
from ecg_lightning.data.sources.muse_waveforms import measurement_rate, number, read_waveform
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, SAMPLING_RATE
from ecg_lightning.signal.beat import MedianBeat
from ecg_lightning.signal.leads import to_standard_leads
from ecg_lightning.signal.plausibility import check_rate, check_signal
from ecg_lightning.signal.resample import resample
from ecg_lightning.signal.spikes import without_spikes

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_IN_PLACE: Final = 20 * _MS
_FARTHEST: Final = 100 * _MS
_QRS: Final = (20 * _MS, 400 * _MS)
_NEXT_TO: Final = 6 * _MS
_STEEP: Final = 1 / 3  # of the largest slope; that of T is a fifth of that of QRS
_LEAVE_OUT: Final = "leave the ECG out, or make the beats from the rhythm (`beats: own`)"
NOT_WHERE_MARKED: Final = (
    "the median has its steepest slope elsewhere than between QOnset and QOffset, or nearer to 0.48 s than they would "
    "move it: it is used as it lies in the file"
)
"""The remark on such a beat."""


class MedianError(RecordingError):
    """The file has no median beat of the electrocardiograph, or not one that fits."""

    kind: ClassVar[str] = "median"


def vendor_beat(root: Element, path: Path, *, check_crc: bool = True) -> MedianBeat:
    """Read the median beat of an export, as it is.

    250 Hz goes to 500 Hz by linear interpolation (paper, Methods, "ECG processing and outcome selection"). A beat whose
    QRS complex has its middle, half way between ``QOnset`` and ``QOffset``, 20 to 100 ms from 0.48 s is moved there by
    whole samples, and the sample at its end is held; nearer, and where these are not known, it stays. It stays as well,
    with a remark, where its steepest slope does not lie between the two or would end farther from 0.48 s: the marks of
    paced ECGs may be those of another wave.

    Args:
        root: The root element, ``RestingECG``.
        path: The file, for messages.
        check_crc: Whether checksums are compared: see ``read_waveform``.

    Returns:
        The beat and the ventricular rate that the file states, NaN if none.

    Raises:
        MedianError: No median, or one that is not 1.2 s long, has its QRS complex elsewhere, or is a stretch of the
            rhythm.
        RecordingError: What ``read_waveform`` and the checks of any signal raise.
    """
    median = read_waveform(root, "Median", path, check_crc=check_crc)
    if median is None:
        raise MedianError(f"{path}: no Median waveform, only recordings that 12SL has analysed have one; {_LEAVE_OUT}")
    check_rate(median.sampling_rate)
    signal = resample(to_standard_leads(median.signal, median.leads), median.sampling_rate)
    if signal.shape[1] != BEAT_SAMPLES:
        raise MedianError(
            f"{path}: the Median waveform has {median.signal.shape[1]} samples at {median.sampling_rate:g} Hz, "
            f"expected 1.2 s ({BEAT_SAMPLES} at {SAMPLING_RATE} Hz); {_LEAVE_OUT}"
        )
    check_signal(signal)
    beat, remark = _in_place(signal, qrs_marks(root), path)
    _check_no_stretch(signal, root, path)
    rate = number(root, "RestingECGMeasurements/VentricularRate")
    rate = rate if 0.0 < rate < math.inf else math.nan
    return MedianBeat.ready_made(beat, rate, remark)


def qrs_marks(root: Element) -> tuple[float, float] | None:
    """Read ``QOnset`` and ``QOffset`` of the median, in samples at 500 Hz.

    They count samples at ``ECGSampleBase`` Hz, which need not be the rate of the waveforms.

    Args:
        root: The root element, ``RestingECG``.

    Returns:
        The two; None where one is not known, or they are not 20 to 400 ms apart.
    """
    rate = measurement_rate(root)
    scale = SAMPLING_RATE / rate if rate > 0.0 else math.nan
    onset, offset = (scale * number(root, f"RestingECGMeasurements/Q{end}") for end in ("Onset", "Offset"))
    return (onset, offset) if onset > 0.0 and _QRS[0] <= offset - onset <= _QRS[1] else None


def _in_place(
    signal: NDArray[np.float64], marks: tuple[float, float] | None, path: Path
) -> tuple[NDArray[np.float64], str]:
    """Have the QRS complex of a beat at the fiducial, make sure that it is, and say what is odd."""
    away = 0.0 if marks is None else 0.5 * (marks[0] + marks[1]) - FIDUCIAL_SAMPLE
    remark = ""
    if marks is not None and abs(away) > _IN_PLACE:
        steepest = int(_slope(without_spikes(signal)).argmax())
        inside = marks[0] - _NEXT_TO <= steepest <= marks[1] + _NEXT_TO
        if not inside or abs(steepest - round(away) - FIDUCIAL_SAMPLE) >= abs(steepest - FIDUCIAL_SAMPLE):
            remark = NOT_WHERE_MARKED
        elif abs(away) > _FARTHEST:
            raise MedianError(
                f"{path}: QOnset and QOffset place the QRS complex of the median at "
                f"{(FIDUCIAL_SAMPLE + away) / SAMPLING_RATE:.3f} s, and it is steepest there; expected "
                f"{FIDUCIAL_SAMPLE / SAMPLING_RATE:g} s within {_FARTHEST / _MS:g} ms; {_LEAVE_OUT}"
            )
        else:
            signal = signal[:, np.clip(np.arange(BEAT_SAMPLES) + round(away), 0, BEAT_SAMPLES - 1)]
    slope = _slope(signal)
    near = slice(FIDUCIAL_SAMPLE - int(_FARTHEST), FIDUCIAL_SAMPLE + int(_FARTHEST) + 1)
    if slope[near].max() < _STEEP * slope.max():
        raise MedianError(
            f"{path}: the median is steepest at {slope.argmax() / SAMPLING_RATE:.3f} s, expected its QRS complex "
            f"within {_FARTHEST / _MS:g} ms of {FIDUCIAL_SAMPLE / SAMPLING_RATE:g} s; {_LEAVE_OUT}"
        )
    return signal, remark


def _slope(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spatial slope, (sample,) mV per sample."""
    return np.asarray(np.linalg.norm(np.gradient(signal, axis=1), axis=0))


def _check_no_stretch(signal: NDArray[np.float64], root: Element, path: Path) -> None:
    """Refuse a median that a converter has cut out of the rhythm."""
    rhythm = _rhythm(root, path)
    stretch = None if rhythm is None else find_stretch(signal, rhythm)
    if stretch is not None:
        raise MedianError(
            f"{path}: the Median waveform is the Rhythm from {stretch.start:.3f} s on, which differs from it by "
            f"{stretch.residual:.1f} uV where the next similar stretch does by {stretch.others:.1f}; expected the "
            f"median of several beats: a converter has cut it out; {_LEAVE_OUT}"
        )


def _rhythm(root: Element, path: Path) -> NDArray[np.float64] | None:
    """(8, sample) mV at 500 Hz, missing samples 0; None where there is none that can be read: that is no fault here."""
    try:
        rhythm = read_waveform(root, "Rhythm", path, check_crc=False)
        if rhythm is None:
            return None
        check_rate(rhythm.sampling_rate)
        voltages = to_standard_leads(rhythm.signal, rhythm.leads)
        return resample(np.nan_to_num(voltages), rhythm.sampling_rate)
    except RecordingError:
        return None
