"""R peaks by a vote of nine detectors."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfiltfilt
from sleepecg import detect_heartbeats
from sleepecg._heartbeat_detection import _squared_moving_integration, _thresholding

from ecg_lightning.ecg import SAMPLING_RATE
from ecg_lightning.signal.errors import FewBeatsError

MIN_BEATS: Final = 3
"""A median of fewer beats is not a median."""

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_CLUSTER_GAP: Final = int(120 * _MS)
_MIN_VOTES: Final = 4
_SEARCH: Final = int(80 * _MS)
_ENERGY_BOX: Final = int(60 * _MS)
_MIN_ENERGY: Final = 0.25
_FIVE_POINTS: Final = np.array([-1, -2, 0, 2, 1])  # derivative (Pan and Tompkins 1985)
_INTEGRATION_SECONDS: Final = 0.15
_REFRACTORY: Final = int(200 * _MS)


def find_r_peaks(qrs_band: NDArray[np.float64]) -> NDArray[np.intp]:
    """Find the R peaks of a recording.

    sleepecg's detector runs on each lead and on the smoothed spatial velocity. Detections less than 120 ms apart
    are one cluster; a cluster with at least 4 of the 9 votes is a beat. Its R peak is the maximum of the velocity's
    energy within 80 ms. Beats with under a quarter of the median energy are dropped, and of two beats
    less than 200 ms apart the weaker one.

    Args:
        qrs_band: (8, sample) mV at 500 Hz, 5-35 Hz.

    Returns:
        Samples of the R peaks, (beat,), increasing.

    Raises:
        FewBeatsError: Fewer than three beats.
    """
    energy = velocity_energy(qrs_band)
    return _choose(_vote(qrs_band, energy), energy, qrs_band.shape[1])


def refine_r_peaks(qrs_band: NDArray[np.float64], known: NDArray[np.intp]) -> NDArray[np.intp]:
    """R peaks where heart beats are known to be: by the simulator, or by annotation.

    What :func:`find_r_peaks` does after its vote.

    Args:
        qrs_band: (8, sample) mV at 500 Hz, 5-35 Hz.
        known: (beat,) samples, each within 80 ms of the beat's R peak.

    Returns:
        Samples of the R peaks, (beat,), increasing.

    Raises:
        FewBeatsError: Fewer than three beats.
        ValueError: A known beat lies outside the recording.
    """
    samples = qrs_band.shape[1]
    if len(known) and not 0 <= known.min() <= known.max() < samples:
        raise ValueError(f"known R peaks at samples {known.min()} to {known.max()}, expected 0 to {samples - 1}")
    return _choose(known, velocity_energy(qrs_band), samples)


def _choose(centres: NDArray[np.intp], energy: NDArray[np.float64], samples: int) -> NDArray[np.intp]:
    """Of the places near which a beat lies, the R peaks of the beats that are strong enough and not too close."""
    peaks = _strongest_near(centres, energy) if len(centres) else centres
    peaks = peaks[energy[peaks] >= _MIN_ENERGY * np.median(energy[peaks])] if len(peaks) else peaks
    peaks = _apply_refractory(peaks, energy)
    if len(peaks) < MIN_BEATS:
        raise FewBeatsError(
            f"{len(peaks)} heart beats found in {samples / SAMPLING_RATE:.1f} s, at least {MIN_BEATS} are "
            "needed: look at the recording; asystole, noise, or a wrong sampling rate or unit?"
        )
    return peaks


def velocity_energy(qrs_band: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy of the spatial velocity, its mean over 60 ms, (sample,) (mV per sample)^2."""
    slope = np.gradient(qrs_band, axis=1)
    return uniform_filter1d(np.einsum("ls,ls->s", slope, slope), _ENERGY_BOX + 1, mode="nearest")


def _vote(qrs_band: NDArray[np.float64], energy: NDArray[np.float64]) -> NDArray[np.intp]:
    """Centres (median detection) of the clusters that at least four of the nine detectors agree on, (cluster,)."""
    # The band ends at 35 Hz, so every second sample carries all of it at half the detectors' time.
    channels = np.ascontiguousarray(np.vstack([qrs_band, np.sqrt(energy)])[:, ::2])
    found = [2 * beats for beats in detect_all(channels, SAMPLING_RATE / 2)]
    times = np.concatenate(found)
    voters = np.repeat(np.arange(len(found)), [len(f) for f in found])
    order = np.argsort(times, kind="stable")
    times, voters = times[order], voters[order]
    cuts = np.flatnonzero(np.diff(times) > _CLUSTER_GAP) + 1
    clusters = zip(np.split(times, cuts), np.split(voters, cuts), strict=True)
    centres = [t[len(t) // 2] for t, v in clusters if len(np.unique(v)) >= _MIN_VOTES]
    return np.array(centres, dtype=np.intp)


def detect_all(channels: NDArray[np.float64], sampling_rate: float) -> list[NDArray[np.intp]]:
    """What ``sleepecg.detect_heartbeats`` finds in each channel, in half its time.

    Its filter's start values and the filter itself are computed for all channels at once; the detector proper is
    sleepecg's own compiled code.

    Args:
        channels: (channel, sample).
        sampling_rate: Hz.

    Returns:
        Samples of the beats of each channel.
    """
    sos = _band_pass(sampling_rate)
    filtered = np.ascontiguousarray(sosfiltfilt(sos, channels, axis=1))
    found = []
    for channel, smooth in zip(channels, filtered, strict=True):
        if channel[0] == channel[1]:  # a flat start needs sleepecg's special care
            found.append(detect_heartbeats(channel, sampling_rate))
            continue
        slope = np.correlate(smooth, _FIVE_POINTS, mode="same")
        energy = _squared_moving_integration(slope, int(_INTEGRATION_SECONDS * sampling_rate))
        found.append(np.flatnonzero(_thresholding(smooth, energy, sampling_rate)))
    return found


@lru_cache
def _band_pass(sampling_rate: float) -> NDArray[np.float64]:
    """The band-pass filter of sleepecg."""
    return np.asarray(butter(2, (5, 30), "bandpass", fs=sampling_rate, output="sos"))


def _strongest_near(centres: NDArray[np.intp], energy: NDArray[np.float64]) -> NDArray[np.intp]:
    """The sample of most energy within 80 ms of each centre, (beat,)."""
    window = np.clip(centres[:, None] + np.arange(-_SEARCH, _SEARCH + 1), 0, len(energy) - 1)
    best = energy[window].argmax(axis=1)
    return np.unique(window[np.arange(len(centres)), best])


def _apply_refractory(peaks: NDArray[np.intp], energy: NDArray[np.float64]) -> NDArray[np.intp]:
    """Of two peaks less than 200 ms apart keep the one of more energy, strongest peaks first."""
    if (np.diff(peaks) >= _REFRACTORY).all():
        return peaks
    kept: list[int] = []
    for peak in peaks[np.argsort(-energy[peaks], kind="stable")]:
        if all(abs(peak - other) >= _REFRACTORY for other in kept):
            kept.append(int(peak))
    return np.array(sorted(kept), dtype=np.intp)
