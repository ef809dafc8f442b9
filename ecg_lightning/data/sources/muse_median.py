"""The median beat of a MUSE export, which Marquette 12SL has made."""

import math
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element

from ecg_lightning.data.sources.muse_waveforms import measurement_rate, number, read_waveform
from ecg_lightning.data.sources.vendor_median import LEAVE_OUT, Median, MedianError, QrsMarks
from ecg_lightning.ecg import SAMPLING_RATE
from ecg_lightning.signal.beat import MedianBeat

_QRS: Final = (20 * SAMPLING_RATE / 1000, 400 * SAMPLING_RATE / 1000)  # samples


def vendor_beat(root: Element, path: Path, *, check_crc: bool = True) -> MedianBeat:
    """Read the median beat of an export, as it is; see :meth:`.vendor_median.Median.ready`.

    250 Hz goes to 500 Hz by linear interpolation (paper, Methods, "ECG processing and outcome selection").

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
        raise MedianError(f"{path}: no Median waveform, only recordings that 12SL has analysed have one; {LEAVE_OUT}")
    rate = number(root, "RestingECGMeasurements/VentricularRate")
    rate = rate if 0.0 < rate < math.inf else math.nan
    found = Median(median, path, QrsMarks(qrs_marks(root)), rate)
    return found.ready(lambda: read_waveform(root, "Rhythm", path, check_crc=False))


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
