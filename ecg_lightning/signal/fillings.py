"""Fillings are stretches of one value in all leads: a file was filled up, or a transmission broke off."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

_MIN_SECONDS: Final = 0.02
_MIN_STEP: Final = 0.02  # mV; a smaller step is no QRS complex, and an ECG without noise may rest at one value


def bridge_fillings(
    signal: NDArray[np.float64],  # (lead, sample) mV
    sampling_rate: float,
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:  # (lead, sample) mV, (sample,)
    """Hold the voltage before and behind a recording, and draw a line through a gap inside it.

    The step from the last voltage to the filling would look like a QRS complex.

    Args:
        signal: (lead, sample) mV.
        sampling_rate: Sampling rate in Hz.

    Returns:
        The signal, itself where nothing was filled up, and where it was; None where nowhere.
    """
    one_value = (signal == signal[:1]).all(axis=0)
    one_value[1:] &= one_value[:-1] <= (signal[0, 1:] == signal[0, :-1])  # runs of the same value
    edges = np.flatnonzero(np.diff(np.pad(one_value.astype(np.int8), 1)))
    filled = np.zeros(signal.shape[1], dtype=np.bool_)
    for start, stop in edges.reshape(-1, 2).tolist():
        around = signal[:, [max(start - 1, 0), min(stop, signal.shape[1] - 1)]] - signal[:, start : start + 1]
        if stop - start >= _MIN_SECONDS * sampling_rate and np.abs(around).max() > _MIN_STEP:
            filled[start:stop] = True
    if not filled.any() or filled.all():
        return signal, None
    time = np.arange(signal.shape[1])
    return np.stack([np.interp(time, time[~filled], row[~filled]) for row in signal]), filled
