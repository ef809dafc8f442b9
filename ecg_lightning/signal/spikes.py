"""Pacing spikes are taken out of a recording before QRS complexes are looked for.

A spike of 2 ms and 5 mV leaves as much between 5 and 35 Hz as a QRS complex of half a millivolt.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import SAMPLING_RATE

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_MIN_SPIKE: Final = 0.2  # mV; less is lost in a QRS band
_HALF: Final = int(6 * _MS)  # half of the widest spike, with its flanks
_AROUND: Final = int(24 * _MS)  # what a spike is compared with, to either side
_STANDS_OUT: Final = 1.5  # times the range of the voltage next to it; R waves reach a tenth of theirs
_MOST: Final = 0.1  # share of the recording; more is noise


def without_spikes(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw a straight line through every spike.

    A spike is up to 6 ms wide, at least .2 mV from the running median over 14 ms, and at least 1.5 times as far from
    it as the voltage moves in 18 ms before or behind it. It is taken out of all leads. Where more than a tenth of the
    recording would go, nothing is: that is noise.

    Args:
        signal: (lead, sample) mV at 500 Hz.

    Returns:
        (lead, sample) mV; ``signal`` itself where there is no spike.
    """
    chord = 0.5 * (signal[:, : -2 * _HALF] + signal[:, 2 * _HALF :])
    lead, sample = np.nonzero(np.abs(signal[:, _HALF:-_HALF] - chord) > _MIN_SPIKE)
    if len(sample) == 0:
        return signal
    hit = _spikes(signal, lead, sample + _HALF)
    if not hit.any() or hit.mean() > _MOST:
        return signal
    time = np.arange(signal.shape[1])
    return np.stack([np.where(hit, np.interp(time, time[~hit], row[~hit]), row) for row in signal])


def _spikes(signal: NDArray[np.float64], lead: NDArray[np.intp], sample: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which of these are spikes, with their flanks, (sample,)."""
    samples = signal.shape[1]
    reach = np.arange(-_AROUND, _AROUND + 1)
    around = signal[lead[:, None], np.clip(sample[:, None] + reach, 0, samples - 1)]  # (suspect, 2 around + 1)
    close = around[:, _AROUND - _HALF : _AROUND + _HALF + 1]
    height = np.abs(signal[lead, sample] - np.median(close, axis=1))
    calm = np.maximum(np.ptp(around[:, : _AROUND - _HALF], axis=1), np.ptp(around[:, _AROUND + _HALF + 1 :], axis=1))
    spikes = sample[(height > _MIN_SPIKE) & (height > _STANDS_OUT * calm)]
    hit = np.zeros(samples, dtype=np.bool_)
    hit[np.clip(spikes[:, None] + np.arange(-_HALF, _HALF + 1), 0, samples - 1)] = True
    return hit
