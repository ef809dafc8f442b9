"""Take pacing spikes out of a recording before QRS complexes are looked for.

A spike of 2 ms and 5 mV leaves as much between 5 and 35 Hz as a QRS complex of half a millivolt.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from ecg_lightning.ecg import SAMPLING_RATE

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_MIN_SPIKE: Final = 0.2  # mV; less is lost in a QRS band
_HALF: Final = int(6 * _MS)  # half of the widest spike, with its flanks
_AROUND: Final = int(24 * _MS)  # what a spike is compared with, to either side
_STANDS_OUT: Final = 1.5  # times the range of the voltage next to it; R waves reach a tenth of theirs
_MOST: Final = 0.1  # share of the recording; more is noise


def without_spikes(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw a straight line through every spike.

    A spike is up to 6 ms wide, at least .2 mV from the running median over 14 ms, and at least 1.5 times as far from it as
    the voltage moves in 16 ms before or behind it. It is taken out of all leads. Where more than a tenth of the
    recording would go, nothing is: that is noise.

    Args:
        signal: (lead, sample) mV at 500 Hz.

    Returns:
        (lead, sample) mV; ``signal`` itself where there is no spike.
    """
    from_chord = np.abs(signal[:, _HALF:-_HALF] - 0.5 * (signal[:, : -2 * _HALF] + signal[:, 2 * _HALF :]))
    suspects = from_chord.max(axis=1) > _MIN_SPIKE
    if not suspects.any():
        return signal
    hit = _spikes(signal[suspects])
    if not hit.any() or hit.mean() > _MOST:
        return signal
    time = np.arange(signal.shape[1])
    return np.stack([np.where(hit, np.interp(time, time[~hit], row[~hit]), row) for row in signal])


def _spikes(signal: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where any lead has a spike, with its flanks, (sample,)."""
    height = np.abs(signal - median_filter(signal, size=(1, 2 * _HALF + 1), mode="nearest"))
    lead, sample = np.nonzero(height > _MIN_SPIKE)
    padded = np.pad(signal, ((0, 0), (_AROUND // 2 * 2, _AROUND // 2 * 2)), mode="edge")
    reach = np.arange(_HALF + 1, _AROUND + 1)
    centre = sample + _AROUND // 2 * 2
    calm = [np.ptp(padded[lead[:, None], centre[:, None] + side * reach], axis=1) for side in (-1, 1)]
    own = height[lead, sample] > _STANDS_OUT * np.maximum(*calm)
    hit = np.zeros(signal.shape[1], dtype=np.bool_)
    at = sample[own][:, None] + np.arange(-_HALF, _HALF + 1)
    hit[np.clip(at, 0, signal.shape[1] - 1)] = True
    return hit
