"""Waves accompany beats: a T wave follows nearly every beat, and a P wave stands before it.

A ventricular beat may be as blunt as a T wave and as weak; but it does not follow every beat at one distance.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import SAMPLING_RATE
from ecg_lightning.signal.strength import STEP, sharpness

_MS: Final = SAMPLING_RATE / 1000.0 / STEP  # grid points of the strength
_T_WITHIN: Final = int(560 * _MS)
_P_WITHIN: Final = int(320 * _MS)
_LESS: Final = 0.7  # a T wave's strength, at most, in that of its beat
_WEAKER: Final = 0.3  # strength, at most, in that of its beat, of a T wave that is not much blunter
_FAINT: Final = 0.2
_P_WEAKER: Final = 0.4
_BLUNTER: Final = 0.8  # a T wave's sharpness, at most, in that of its beat
_MUCH_BLUNTER: Final = 0.6  # ventricular beats have .61 and more of a narrow beat's
_ALIKE: Final = 1.5
_HALF: Final = 0.5
_SAME_DELAY: Final = int(60 * _MS)
_SAME_SIZE: Final = 0.4
_SHARE: Final = 0.6
_MIN_BEATS: Final = 3


def companions(
    qrs_band: NDArray[np.float64],  # (lead, sample)
    strength: NDArray[np.float64],  # (point,)
    candidates: NDArray[np.intp],  # (candidate,)
) -> NDArray[np.bool_]:  # (candidate,)
    """Find which candidates are waves that accompany beats.

    A T wave lies up to 560 ms behind a candidate that is stronger and much sharper, or three times as strong and
    sharper, or five times as strong; a P wave up to 320 ms before one that is 2.5 times as strong; and at the same
    distance from most others like that one something of a similar size is found. What is like these at the
    recording's ends may belong to a beat outside it.

    Args:
        qrs_band: (lead, sample) mV at 500 Hz, 5-35 Hz.
        strength: What :func:`.strength.qrs_strength` gave.
        candidates: (candidate,) indices in ``strength``, increasing.

    Returns:
        (candidate,) boolean.
    """
    wave = np.zeros(len(candidates), dtype=np.bool_)
    close = np.flatnonzero(np.diff(candidates) <= _T_WITHIN)
    if len(close) == 0:
        return wave
    size = strength[candidates]
    sharp = sharpness(qrs_band, candidates * STEP)

    def like(beat: int) -> NDArray[np.bool_]:
        return np.asarray((size >= _HALF * size[beat]) & (sharp >= _BLUNTER * sharp[beat]))

    for before in close.tolist():
        after = before + 1
        delay = int(candidates[after] - candidates[before])
        ratio, blunt = size[after] / size[before], sharp[after] / sharp[before]
        if not wave[before] and ratio < _LESS and blunt < _sharpest(ratio):
            wave[after] = _usual(strength, candidates[like(before)], delay, size[after])
        elif delay <= _P_WITHIN and ratio * _P_WEAKER > 1.0:
            wave[before] = _usual(strength, candidates[like(after)], -delay, size[before])
    if wave.any():
        alike = (size < _ALIKE * np.median(size[wave])) & (sharp < _ALIKE * np.median(sharp[wave]))
        wave |= alike & ((candidates < _T_WITHIN) | (candidates >= len(strength) - _P_WITHIN))
    return wave


def _sharpest(ratio: float) -> float:
    """How sharp a T wave may be, in units of its beat's sharpness, by its strength in units of its beat's."""
    if ratio < _FAINT:
        return np.inf  # as sharp as the noise on it
    return _BLUNTER if ratio < _WEAKER else _MUCH_BLUNTER


def _usual(strength: NDArray[np.float64], beats: NDArray[np.intp], delay: int, size: float) -> bool:
    """Return whether at this distance from most of these beats there is something like a wave of this size."""
    at = beats + delay
    at = at[(at >= 0) & (at < len(strength))]
    near = np.clip(at[:, None] + np.arange(-_SAME_DELAY, _SAME_DELAY + 1), 0, len(strength) - 1)
    alike = strength[near].max(axis=1) >= _SAME_SIZE * size
    return bool(len(alike) >= _MIN_BEATS and alike.mean() >= _SHARE)
