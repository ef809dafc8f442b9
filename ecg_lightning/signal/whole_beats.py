"""This module cuts whole beats out of a recording, or out of a map of it, around the R peaks."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat


def whole_beats(
    of_recording: SignalFormat, r_peaks: NDArray[np.integer], window: SignalFormat = MEDIAN_BEAT
) -> tuple[list[slice], SignalFormat]:
    """Find the beats whose surroundings lie within the recording.

    Args:
        of_recording: Leads, rate and samples of the recording.
        r_peaks: (beat,) samples of its R peaks.
        window: Format whose seconds before and after its fiducial are those around an R peak.

    Returns:
        The samples of each beat, and the format of one.
    """
    rate = of_recording.sampling_rate
    before = round((window.fiducial or 0) / window.sampling_rate * rate)
    samples = max(round(window.seconds * rate), before + 1)
    starts = np.asarray(r_peaks, dtype=np.intp) - before
    starts = starts[(starts >= 0) & (starts + samples <= of_recording.samples)]
    beats = [slice(start, start + samples) for start in starts.tolist()]
    return beats, replace(of_recording, samples=samples, fiducial=before)
