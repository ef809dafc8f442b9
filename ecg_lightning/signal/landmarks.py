"""The landmarks of a median beat are the fiducial of its QRS complex and the onset of that complex."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import FIDUCIAL_SAMPLE, SAMPLING_RATE
from ecg_lightning.signal.filters import SLOPE_BAND, STEADY_SLOPE_BAND, zero_phase
from ecg_lightning.signal.quality import fast_shares

_MS: Final = SAMPLING_RATE / 1000.0  # samples
SLACK: Final = int(100 * _MS)
"""How far the fiducial may lie from the template's centre, samples."""

_QUIET: Final = 0.08  # of the largest slope
_MAINS_IN_SLOPE: Final = 0.05  # share of power above 40 Hz
_QUIET_SAMPLES: Final = int(8 * _MS)
_ONSET_SEARCH: Final = int(160 * _MS)


def hold_ends(wide: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give samples at the ends that no beat reaches the value of the first or last one that is reached."""
    known = np.flatnonzero(np.isfinite(wide[0]))
    return wide[:, np.clip(np.arange(wide.shape[1]), known[0], known[-1])]


def spatial_slope(wide: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the slope in space, (sample,) mV a sample: below 40 Hz, or 25 where mains may be steeper than the QRS."""
    held = hold_ends(wide)
    (smooth,) = zero_phase(held, SLOPE_BAND if fast_shares(held)[0] < _MAINS_IN_SLOPE else STEADY_SLOPE_BAND)
    return np.asarray(np.linalg.norm(np.gradient(smooth, axis=1), axis=0))


def find_fiducial(wide: NDArray[np.float64]) -> int:
    """Find the sample of the steepest spatial slope within 100 ms of the template's centre."""
    centre = FIDUCIAL_SAMPLE + SLACK
    return centre - SLACK + int(spatial_slope(wide)[centre - SLACK : centre + SLACK + 1].argmax())


def qrs_onset(slope: NDArray[np.float64]) -> int:
    """Find the onset of the QRS complex of a beat.

    It is the end of the last 8 ms before the fiducial in which the slope stays under 8 % of its maximum near it; where
    there is no such stretch within 160 ms, the quietest 8 ms of these.

    Args:
        slope: (600,) spatial slope.

    Returns:
        The first sample of the QRS complex.
    """
    first = FIDUCIAL_SAMPLE - _ONSET_SEARCH
    before = slope[first:FIDUCIAL_SAMPLE]
    loudest = np.lib.stride_tricks.sliding_window_view(before, _QUIET_SAMPLES).max(axis=1)  # by a stretch's start
    quiet = np.flatnonzero(loudest < _QUIET * slope[FIDUCIAL_SAMPLE - 1 : FIDUCIAL_SAMPLE + 2].max())
    start = quiet[-1] if len(quiet) else loudest.argmin()
    return int(first + start + _QUIET_SAMPLES)
