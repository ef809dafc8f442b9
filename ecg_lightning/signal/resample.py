"""This module brings any sampling rate to that of the median beat, 500 Hz, or to another one."""

from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecg_lightning.ecg import SAMPLING_RATE
from ecg_lightning.signal.errors import SamplingRateError

_MAX_FACTOR: Final = 5000
_RATE_TOLERANCE: Final = 1e-5  # 0.1 ms in 10 s: a twentieth of a sample


def resampling_ratio(sampling_rate: float, wanted: float = SAMPLING_RATE) -> Fraction:
    """Write the ratio wanted / rate as a fraction with both terms up to 5,000.

    Raises:
        SamplingRateError: No such fraction is within 1e-5 of the ratio (0.1 ms over 10 s).
    """
    exact = Fraction(wanted) / Fraction(sampling_rate)
    ratio = exact.limit_denominator(_MAX_FACTOR)
    if not 0 < ratio.numerator <= _MAX_FACTOR or abs(ratio / exact - 1) > _RATE_TOLERANCE:
        raise SamplingRateError(
            f"sampling rate {sampling_rate!r} Hz has no ratio to {wanted:g} Hz with terms up to {_MAX_FACTOR}; "
            "give the recorder's nominal rate"
        )
    return ratio


def resample(
    signal: NDArray[np.float64],  # (lead, sample) mV
    sampling_rate: float,
    wanted: float = SAMPLING_RATE,
) -> NDArray[np.float64]:  # (lead, sample) mV
    """Resample, to 500 Hz where nothing else is wanted; sample 0 stays at its time.

    Twice the rate, as from 250 Hz, goes by linear interpolation, as in the paper (Methods, "ECG processing and outcome
    selection"); the same rate is returned as it is; other rates go through a polyphase filter with zero phase, in front
    of and behind the recording the edge value is held, so that an offset does not ring.

    Args:
        signal: (lead, sample) mV.
        sampling_rate: Sampling rate in Hz.
        wanted: Sampling rate of the result, Hz.

    Returns:
        (lead, round(sample x wanted / rate)) mV. At twice the rate the last sample holds the value before it.

    Raises:
        SamplingRateError: See :func:`resampling_ratio`.
    """
    ratio = resampling_ratio(sampling_rate, wanted)
    if ratio == 1:
        return signal
    if ratio == 2:
        return _double(signal)
    out = resample_poly(signal, ratio.numerator, ratio.denominator, axis=1, padtype="edge")
    return np.asarray(out[:, : _length(signal.shape[1], ratio)], dtype=np.float64)


def resample_mask(mask: NDArray[np.bool_], sampling_rate: float, wanted: float = SAMPLING_RATE) -> NDArray[np.bool_]:
    """Resample a (lead, sample) mask by its nearest sample; the same length as :func:`resample` gives."""
    ratio = resampling_ratio(sampling_rate, wanted)
    nearest = np.rint(np.arange(_length(mask.shape[1], ratio)) / float(ratio)).astype(np.intp)
    return mask[:, np.minimum(nearest, mask.shape[1] - 1)]


def _length(samples: int, ratio: Fraction) -> int:
    """Samples at the wanted rate, rounded half up: never more than resample_poly returns."""
    return int(samples * ratio + Fraction(1, 2))


def _double(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation to twice the rate; the sample after the last one holds its value."""
    out = np.repeat(signal, 2, axis=1)
    out[:, 1:-1:2] += signal[:, 1:]
    out[:, 1:-1:2] *= 0.5
    return out
