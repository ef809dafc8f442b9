"""R peaks are found by what most leads agree on."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from ecg_lightning.ecg import SAMPLING_RATE
from ecg_lightning.signal.companions import companions
from ecg_lightning.signal.errors import FewBeatsError
from ecg_lightning.signal.strength import STEP, qrs_strength, sharpness

MIN_BEATS: Final = 3
"""A median of fewer beats is not a median."""

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_CLEAR: Final = 0.3
_WEAK: Final = 0.1
_AS_SHARP: Final = 0.8
_TOO_SHARP: Final = 1.5
_BESIDE: Final = 0.4
_NEAR: Final = int(100 * _MS)
_MIN_VOTES: Final = 4
_SEARCH: Final = int(80 * _MS)
_ENERGY_BOX: Final = int(60 * _MS)
_MIN_ENERGY: Final = 0.25
_FIVE_POINTS: Final = np.array([-1, -2, 0, 2, 1])  # derivative (Pan and Tompkins 1985)
_INTEGRATION_SECONDS: Final = 0.15
_REFRACTORY: Final = int(200 * _MS)


def find_r_peaks(
    qrs_band: NDArray[np.float64],  # (8, sample) mV
    spikeless: NDArray[np.float64] | None = None,  # (8, sample) mV
) -> NDArray[np.intp]:  # (beat,)
    """Find the R peaks of a recording.

    A candidate is a maximum of the leads' agreement (:func:`.strength.qrs_strength`). With .3 of the recording's usual
    strength it is a beat; with .1 it is where it is as sharp as those, or four of nine detectors agree: sleepecg's on
    each lead and on the spatial velocity. Waves that accompany stronger beats are left out (:mod:`.companions`). The R
    peak is the maximum of the velocity's energy within 80 ms; of two less than 200 ms apart the stronger one is kept.

    Args:
        qrs_band: (8, sample) mV at 500 Hz, 5-35 Hz.
        spikeless: The same without pacing spikes; beats are looked for here. None where there are none.

    Returns:
        Samples of the R peaks, (beat,), increasing.

    Raises:
        FewBeatsError: Fewer than three beats.
    """
    searched = qrs_band if spikeless is None else spikeless
    strength = qrs_strength(searched)
    candidates = _candidates(searched, strength)
    candidates = candidates[~companions(searched, strength, candidates)]
    energy = velocity_energy(qrs_band)
    peaks = _strongest_near(candidates * STEP, energy)
    # A spike, or an artefact of few leads, may outweigh the QRS complex next to it.
    beside = strength[peaks // STEP] < _BESIDE * strength[candidates]
    if searched is not qrs_band and beside.any():
        peaks = _strongest_near(candidates * STEP, velocity_energy(searched))
        beside = strength[peaks // STEP] < _BESIDE * strength[candidates]
    peaks = np.unique(np.where(beside, candidates * STEP, peaks))
    return _enough(_apply_refractory(peaks, energy), qrs_band.shape[1])


def refine_r_peaks(qrs_band: NDArray[np.float64], known: NDArray[np.intp]) -> NDArray[np.intp]:
    """Find R peaks where heart beats are known to be: by the simulator, or by annotation.

    The maximum of the velocity's energy within 80 ms; beats with under a quarter of the median energy are dropped,
    and of two less than 200 ms apart the weaker one.

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
    energy = velocity_energy(qrs_band)
    peaks = np.unique(_strongest_near(known, energy)) if len(known) else known
    peaks = peaks[energy[peaks] >= _MIN_ENERGY * np.median(energy[peaks])] if len(peaks) else peaks
    return _enough(_apply_refractory(peaks, energy), samples)


def _enough(peaks: NDArray[np.intp], samples: int) -> NDArray[np.intp]:
    if len(peaks) < MIN_BEATS:
        raise FewBeatsError(
            f"{len(peaks)} heart beats found in {samples / SAMPLING_RATE:.1f} s, at least {MIN_BEATS} are "
            "needed: look at the recording; asystole, noise, or a wrong sampling rate or unit?"
        )
    return peaks


def velocity_energy(qrs_band: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the energy of the spatial velocity, its mean over 60 ms, (sample,) (mV per sample)^2."""
    slope = np.gradient(qrs_band, axis=1)
    energy = uniform_filter1d(np.einsum("ls,ls->s", slope, slope), _ENERGY_BOX + 1, mode="nearest")
    return np.maximum(energy, 0.0)  # running sums can end a little below zero behind large values


def _candidates(qrs_band: NDArray[np.float64], strength: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of what may be beats by itself, (candidate,); of two less than 200 ms apart the stronger."""
    maxima, _ = find_peaks(np.pad(strength, 1), height=_WEAK, distance=_REFRACTORY // STEP)
    candidates = np.asarray(maxima - 1, dtype=np.intp)
    clear = strength[candidates] >= _CLEAR
    whole = (candidates * STEP > _NEAR) & (candidates * STEP < qrs_band.shape[1] - _NEAR)
    if (clear & whole).all() or not clear.any():
        return candidates[clear]
    sharp = sharpness(qrs_band, candidates * STEP)
    usual = np.median(sharp[clear])
    spike = ~whole & (sharp > _TOO_SHARP * usual)  # cut by the recording's end, so that it could not be taken out
    if not clear.all():
        votes = np.zeros(len(candidates), dtype=np.int64)
        for beats in _detections(qrs_band):
            votes += (np.abs(candidates[:, None] * STEP - beats) <= _NEAR).any(axis=1)
        clear |= (votes >= _MIN_VOTES) | (whole & (sharp >= _AS_SHARP * usual))
    return np.asarray(candidates[clear & ~spike])


def _detections(qrs_band: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """What each of the nine detectors finds."""
    speed = np.sqrt(velocity_energy(qrs_band))
    # The band ends at 35 Hz, so every second sample carries all of it at half the detectors' time.
    channels = np.ascontiguousarray(np.vstack([qrs_band, speed])[:, ::2])
    return [2 * beats for beats in detect_all(channels, SAMPLING_RATE / 2)]


def detect_all(channels: NDArray[np.float64], sampling_rate: float) -> list[NDArray[np.intp]]:
    """Find what ``sleepecg.detect_heartbeats`` finds in each channel, in half its time.

    Its filter's start values and the filter itself are computed for all channels at once; the detector proper is
    sleepecg's own compiled code.

    Args:
        channels: The channels, (channel, sample).
        sampling_rate: Sampling rate in Hz.

    Returns:
        Samples of the beats of each channel.
    """
    # a training of prepared beats needs no detector, and sleepecg brings `requests` with it
    from sleepecg import detect_heartbeats
    from sleepecg._heartbeat_detection import _squared_moving_integration, _thresholding

    sos = _band_pass(sampling_rate)
    filtered = np.ascontiguousarray(sosfiltfilt(sos, channels, axis=1))
    beats = []
    for channel, smooth in zip(channels, filtered, strict=True):
        if channel[0] == channel[1]:  # a flat start needs sleepecg's special care
            beats.append(detect_heartbeats(channel, sampling_rate))
            continue
        slope = np.correlate(smooth, _FIVE_POINTS, mode="same")
        energy = _squared_moving_integration(slope, int(_INTEGRATION_SECONDS * sampling_rate))
        beats.append(np.flatnonzero(_thresholding(smooth, energy, sampling_rate)))
    return beats


@lru_cache
def _band_pass(sampling_rate: float) -> NDArray[np.float64]:
    """The band-pass filter of sleepecg."""
    return np.asarray(butter(2, (5, 30), "bandpass", fs=sampling_rate, output="sos"))


def _strongest_near(centres: NDArray[np.intp], energy: NDArray[np.float64]) -> NDArray[np.intp]:
    """The sample of most energy within 80 ms of each centre, (beat,)."""
    window = np.clip(centres[:, None] + np.arange(-_SEARCH, _SEARCH + 1), 0, len(energy) - 1)
    best = energy[window].argmax(axis=1)
    return np.asarray(window[np.arange(len(centres)), best])


def _apply_refractory(peaks: NDArray[np.intp], energy: NDArray[np.float64]) -> NDArray[np.intp]:
    """Keep of two peaks less than 200 ms apart the one of more energy, strongest peaks first."""
    if (np.diff(peaks) >= _REFRACTORY).all():
        return peaks
    strongest: list[int] = []
    for peak in peaks[np.argsort(-energy[peaks], kind="stable")]:
        if all(abs(peak - other) >= _REFRACTORY for other in strongest):
            strongest.append(int(peak))
    return np.array(sorted(strongest), dtype=np.intp)
