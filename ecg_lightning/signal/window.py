"""This module cuts a window out of a recording: some leads for some seconds, at one rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS, MAX_ABS_MILLIVOLT, SAMPLING_RATE, SignalFormat
from ecg_lightning.signal.errors import FewBeatsError, TooShortError, VoltageError
from ecg_lightning.signal.fillings import bridge_fillings
from ecg_lightning.signal.filters import QRS_BAND, Stage, zero_phase
from ecg_lightning.signal.leads import LIMB_LEADS, to_leads
from ecg_lightning.signal.peaks import find_r_peaks
from ecg_lightning.signal.plausibility import check_alive, check_length, check_rate, check_signal
from ecg_lightning.signal.recording import Recording
from ecg_lightning.signal.resample import resample, resample_mask
from ecg_lightning.signal.spikes import without_spikes


@dataclass(frozen=True)
class Window:
    """A window is a stretch of a recording, with its R peaks.

    Attributes:
        signal: (lead, sample) mV float64, as the format says.
        r_peaks: (beat,) samples of the window's R peaks; none where fewer than three beats are found.
        heart_rate: Beats per minute over these R peaks, NaN where there are fewer than two.
        wave_masks: Name of a wave -> (lead, sample) boolean; none where a part of the window is not marked.
    """

    signal: NDArray[np.float64]
    r_peaks: NDArray[np.intp]
    heart_rate: float
    wave_masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


def cut_window(
    recording: Recording,
    wanted: SignalFormat,
    *,
    start: float = 0.0,
    pad: bool = False,
    band: Sequence[Stage] = (),
    with_peaks: bool = True,
) -> Window:
    """Cut a window out of a recording.

    The whole recording is checked, resampled and filtered before it is cut, so that the window's ends are no ends of
    the filter; R peaks are searched in all of it, too.

    Args:
        recording: Any leads, any sampling rate of an ECG, mV, at least 3 s.
        wanted: Leads, rate and samples of the window.
        start: Where the window begins, s.
        pad: Whether a recording that ends before the window is filled up with 0 mV behind.
        band: Butterworth filters, run forwards and backwards; none: the signal as it is.
        with_peaks: Whether R peaks are searched, which takes most of the time.

    Returns:
        The window. The same recording gives the same one.

    Raises:
        RecordingError: One of :mod:`ecg_lightning.signal.errors`, with the reason and what to do.
    """
    rate = recording.sampling_rate
    check_rate(rate)
    check_length(recording.signal.shape[-1], rate)
    signal = to_leads(recording.signal, recording.leads, wanted.leads)
    check_signal(signal, wanted.leads)
    check_alive(signal, rate, wanted.leads)
    signal, _ = bridge_fillings(signal, rate)
    first = round(start * wanted.sampling_rate)
    seen = resample(signal, rate, wanted.sampling_rate)
    if band:
        (seen,) = zero_phase(seen, tuple(band), sampling_rate=wanted.sampling_rate)
    found = _r_peaks(resample(signal, rate)) if with_peaks else np.empty(0, dtype=np.intp)
    peaks = found * (wanted.sampling_rate / SAMPLING_RATE)
    peaks = np.rint(peaks - first).astype(np.intp)
    peaks = peaks[(peaks >= 0) & (peaks < min(wanted.samples, seen.shape[1] - first))]
    masks = {
        wave: _cut(resample_mask(_of_leads(mask, wanted.leads), rate, wanted.sampling_rate), first, wanted, pad=True)
        for wave, mask in (recording.wave_masks.items() if _is_marked(recording, start, wanted) else ())
    }
    return Window(_storable(_cut(seen, first, wanted, pad=pad), wanted), peaks, _rate(peaks, wanted), masks)


def _cut(signal: NDArray, first: int, wanted: SignalFormat, *, pad: bool) -> NDArray:  # type: ignore[type-arg]
    """(lead, sample) -> (lead, wanted samples) of the same type."""
    missing = wanted.samples - (signal.shape[1] - first)
    if missing > 0 and not (pad and missing < wanted.samples):
        raise TooShortError(
            f"the recording lasts {signal.shape[1] / wanted.sampling_rate:.2f} s, the window {wanted.seconds:g} s from "
            f"{first / wanted.sampling_rate:g} s on: take a shorter window, `pad: true`, or leave the recording out"
        )
    return np.pad(signal[:, first : first + wanted.samples], ((0, 0), (0, max(missing, 0))))


def _storable(signal: NDArray[np.float64], wanted: SignalFormat) -> NDArray[np.float64]:
    highest = np.abs(signal).max(axis=1)
    if highest.max() > MAX_ABS_MILLIVOLT:
        raise VoltageError(
            f"the filtered window reaches {highest.max():.4g} mV in lead {wanted.leads[int(highest.argmax())]}, more "
            f"than {MAX_ABS_MILLIVOLT:g} mV: a broken electrode or a wrong gain; leave the recording out"
        )
    return signal


def _r_peaks(signal: NDArray[np.float64]) -> NDArray[np.intp]:
    """R peaks of a signal at 500 Hz; none where too few beats are found, as in asystole."""
    spikeless = without_spikes(signal)
    (qrs_band,) = zero_phase(signal, QRS_BAND)
    searched = qrs_band if spikeless is signal else zero_phase(spikeless, QRS_BAND)[0]
    try:
        return find_r_peaks(qrs_band, searched)
    except FewBeatsError:
        return np.empty(0, dtype=np.intp)


def _rate(peaks: NDArray[np.intp], wanted: SignalFormat) -> float:
    intervals = np.diff(peaks)
    return 60.0 * wanted.sampling_rate / float(intervals.mean()) if len(intervals) else float("nan")


def _is_marked(recording: Recording, start: float, wanted: SignalFormat) -> bool:
    """People leave the first and last beats unmarked, which does not say that these beats have no waves."""
    if recording.marked is None:
        return True
    first, last = (sample / recording.sampling_rate for sample in recording.marked)
    return first <= start and start + wanted.seconds <= last


def _of_leads(mask: NDArray[np.bool_], leads: Sequence[str]) -> NDArray[np.bool_]:
    """Masks over ``ecg.LEADS`` -> over other leads: a limb lead has a wave where I or II has it, others in any lead."""
    known = dict(zip(LEADS, mask, strict=True))
    limb, anywhere = mask[:2].any(axis=0), mask.any(axis=0)
    return np.stack([known.get(lead, limb if lead in LIMB_LEADS else anywhere) for lead in leads])
