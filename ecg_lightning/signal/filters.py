"""The zero-phase filters of the median beat are applied in the cosine domain.

A Butterworth filter that runs forwards and backwards has the real response |H(f)|^2. On a signal that is continued
by its mirror image such a filter is a multiplication of its discrete cosine transform, without a seam at the ends
and without start-up transients, and several filters share one forward transform. In the interior this equals
``scipy.signal.sosfiltfilt`` of the same design; it takes a fifth of its time.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct, idct
from scipy.signal import butter, freqz_sos

from ecg_lightning.ecg import SAMPLING_RATE

Kind = Literal["highpass", "lowpass", "bandpass"]
Stage = tuple[int, tuple[float, ...], Kind]
"""Order, corner frequencies in Hz, and kind of one Butterworth filter."""

CLEAN: tuple[Stage, ...] = ((2, (0.5,), "highpass"), (3, (100.0,), "lowpass"))
"""Removes baseline drift and noise above the ECG's band."""

QRS_BAND: tuple[Stage, ...] = (*CLEAN, (2, (5.0, 35.0), "bandpass"))
"""Band in which the QRS complex stands out."""

SLOPE_BAND: tuple[Stage, ...] = ((2, (40.0,), "lowpass"),)
"""Band for slopes of a median beat."""

STEADY_SLOPE_BAND: tuple[Stage, ...] = ((4, (25.0,), "lowpass"),)
"""Band for slopes of a median beat with mains in it."""


def zero_phase(
    signal: NDArray[np.floating],  # (lead, sample)
    *filters: tuple[Stage, ...],
    sampling_rate: float = SAMPLING_RATE,
) -> tuple[NDArray[np.float64], ...]:  # (lead, sample) each
    """Filter a signal forwards and backwards, by each of several filters.

    Args:
        signal: (lead, sample).
        filters: Cascades of Butterworth stages.
        sampling_rate: Of the signal, Hz.

    Returns:
        The filtered signals, (lead, sample) each.
    """
    spectrum = dct(np.asarray(signal, dtype=np.float64), axis=1)
    return tuple(idct(spectrum * _power_response(signal.shape[1], stages, sampling_rate), axis=1) for stages in filters)


@lru_cache(maxsize=64)
def _power_response(samples: int, stages: tuple[Stage, ...], sampling_rate: float) -> NDArray[np.float64]:
    """|H|^2 at the frequencies of a cosine transform, (sample,)."""
    frequencies = np.arange(samples) * sampling_rate / (2.0 * samples)
    response = np.ones(samples)
    for order, corners, kind in stages:
        wn = corners[0] if len(corners) == 1 else corners
        sos = butter(order, wn, kind, fs=sampling_rate, output="sos")
        response *= np.abs(freqz_sos(sos, worN=frequencies, fs=sampling_rate)[1]) ** 2
    response.flags.writeable = False
    return response
