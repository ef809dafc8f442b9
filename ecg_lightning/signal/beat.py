"""This module makes the median beat of a recording.

The archive of the paper holds median beats that the recorder computed (Marquette 12SL; paper, Methods, "ECG processing
and outcome selection"). Public archives hold recordings only, so the median beat is made here: clean, find R peaks
(:mod:`.peaks`), align the beats of the prevailing shape (:mod:`.align`), take the median, place the fiducial of the
QRS complex at sample 240, and subtract the voltage before the QRS complex.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, LEADS, MAX_ABS_MILLIVOLT, SAMPLING_RATE
from ecg_lightning.signal import quality
from ecg_lightning.signal.align import Alignment, align, shifted_windows
from ecg_lightning.signal.errors import FlatLeadError, TooShortError, VoltageError
from ecg_lightning.signal.fillings import bridge_fillings
from ecg_lightning.signal.filters import CLEAN, QRS_BAND, zero_phase
from ecg_lightning.signal.landmarks import SLACK, find_fiducial, hold_ends, qrs_onset, spatial_slope
from ecg_lightning.signal.leads import to_standard_leads
from ecg_lightning.signal.peaks import find_r_peaks, refine_r_peaks
from ecg_lightning.signal.plausibility import check_alive, check_length, check_rate, check_signal
from ecg_lightning.signal.recording import Recording
from ecg_lightning.signal.resample import resample, resample_mask
from ecg_lightning.signal.spikes import without_spikes

Neighbours = Literal["keep", "blank"]
"""What becomes of the beats before and after inside the 1.2 s."""

PIPELINE_VERSION: Final = 2
"""Raised with every change that alters a median beat: it is part of the cache's key."""

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_BASELINE: Final = int(22 * _MS)

OWN_SHARE: Final = 0.6
"""Share of an RR interval that belongs to the beat before: P starts later, T ends earlier, over the usual rates."""


@dataclass(frozen=True)
class MedianBeat:
    """A median beat is the sample-wise median of a recording's aligned beats, 1.2 s long.

    Attributes:
        beat: (8, 600) mV float64, 500 Hz, leads of ``ecg.LEADS``, fiducial at sample 240.
        r_peaks: (beat,) samples at 500 Hz of all R peaks of the recording.
        fiducials: (chosen,) samples at 500 Hz, with a fraction, of the fiducials of the beats in the median.
        heart_rate: Beats per minute: the mean rate over all R peaks, without intervals that have a gap in them.
        wave_masks: Name of a wave -> (8, 600) boolean: where more than half of the chosen beats carry the wave.
        remark: What is odd about it and no reason to reject it, in the same words for every such ECG; they are counted.
        lag: Samples from where the beats were aligned to their fiducials.
    """

    beat: NDArray[np.float64]
    r_peaks: NDArray[np.intp]
    fiducials: NDArray[np.float64]
    heart_rate: float
    wave_masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    remark: str = ""
    lag: int = 0

    @classmethod
    def ready_made(cls, beat: NDArray[np.float64], heart_rate: float, remark: str = "") -> "MedianBeat":
        """Wrap a median beat that was made elsewhere: one beat at the fiducial, no R peaks.

        Args:
            beat: (8, 600) mV, 500 Hz, leads of ``ecg.LEADS``.
            heart_rate: Beats per minute, NaN where unknown.
            remark: See the attribute.
        """
        no_peaks, fiducial = np.empty(0, dtype=np.intp), np.array([float(FIDUCIAL_SAMPLE)])
        return cls(beat, no_peaks, fiducial, heart_rate, remark=remark)

    @property
    def n_beats_kept(self) -> int:
        """Return how many beats the median was taken of."""
        return len(self.fiducials)


def median_beat(
    recording: Recording, *, neighbours: Neighbours = "keep", known_beats: NDArray[np.intp] | None = None
) -> MedianBeat:
    """Compute the median beat of a recording.

    Args:
        recording: Any leads that give I, II and V1-V6, any sampling rate of an ECG, mV, at least 3 s.
        neighbours: ``keep`` leaves the neighbouring beats in the 1.2 s as they fall; ``blank`` sets to 0 mV what is
            nearer to a neighbour (more than .6 of the RR interval after a beat) in at least half of the beats.
            Blanking removes the neighbours' QRS, but the length of the blank tells the rate.
        known_beats: (beat,) samples at 500 Hz, within 80 ms of each R peak, where they need not be searched (the
            simulator knows them); None searches.

    Returns:
        The beat, its R peaks, rate and wave masks. The same recording gives the same beat.

    Raises:
        RecordingError: One of :mod:`ecg_lightning.signal.errors`, with the reason and what to do.
        ValueError: ``neighbours`` is neither ``keep`` nor ``blank``.
    """
    if neighbours not in get_args(Neighbours):
        raise ValueError(f"neighbours: expected one of {get_args(Neighbours)}, got {neighbours!r}")
    signal, filled = _prepare(recording)
    spikeless = signal if known_beats is not None else without_spikes(signal)
    clean, qrs_band = zero_phase(signal, CLEAN, QRS_BAND)
    calm, searched = (clean, qrs_band) if spikeless is signal else zero_phase(spikeless, CLEAN, QRS_BAND)
    r_peaks = find_r_peaks(qrs_band, searched) if known_beats is None else refine_r_peaks(qrs_band, known_beats)
    quality.check_line(searched)
    aligned = align(qrs_band, r_peaks)
    qrs = quality.qrs_of_beats(qrs_band, aligned.times)
    alive = quality.alive_beats(qrs)
    quality.check_agreement(qrs, alive)
    wide = _median(clean, r_peaks, aligned, alive, neighbours)
    quality.check_spectrum(wide if calm is clean else _median(calm, r_peaks, aligned, alive, neighbours))
    start = find_fiducial(wide) - FIDUCIAL_SAMPLE
    fiducials = aligned.times + (start - SLACK)
    beat = _finish(wide[:, start : start + BEAT_SAMPLES], blank=neighbours == "blank")
    rate = _heart_rate(r_peaks, filled)
    masks = _median_masks(recording, signal.shape[1], fiducials)
    return MedianBeat(beat, r_peaks, fiducials, rate, masks, lag=start - SLACK)


def median_beat_at(recording: Recording, like: MedianBeat, *, neighbours: Neighbours = "keep") -> MedianBeat:
    """Compute a twin's median beat: of the same beats, at the fiducials, and against the same voltage before the QRS.

    See :func:`median_beat`, which has made ``like`` with the same ``neighbours``, also for what is raised.
    """
    signal, _ = _prepare(recording)
    (clean,) = zero_phase(signal, CLEAN)
    chosen = np.zeros(len(like.r_peaks), dtype=np.bool_)
    chosen[np.abs(like.r_peaks[:, None] - like.fiducials).argmin(axis=0)] = True
    aligned = Alignment(like.fiducials - like.lag, np.ones(like.n_beats_kept), chosen)
    alive = np.ones((like.n_beats_kept, len(LEADS)), dtype=np.bool_)
    wide = _median(clean, like.r_peaks, aligned, alive, neighbours)
    beat = _finish(wide[:, like.lag + SLACK :][:, :BEAT_SAMPLES], blank=neighbours == "blank", like=like.beat)
    return replace(like, beat=beat, wave_masks=_median_masks(recording, signal.shape[1], like.fiducials))


def _prepare(recording: Recording) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Check a recording and bring it to (8, sample) mV at 500 Hz; and where it was filled up, (sample,)."""
    check_rate(recording.sampling_rate)
    check_length(recording.signal.shape[-1], recording.sampling_rate)
    signal = to_standard_leads(recording.signal, recording.leads)
    check_signal(signal)
    check_alive(signal, recording.sampling_rate)
    signal, filled = bridge_fillings(signal, recording.sampling_rate)
    at_500 = None if filled is None else resample_mask(filled[None], recording.sampling_rate)[0]
    return resample(signal, recording.sampling_rate), at_500


def _heart_rate(r_peaks: NDArray[np.intp], filled: NDArray[np.bool_] | None) -> float:
    """Mean rate over all RR intervals, but for those with a gap in them; NaN where all have."""
    rr = np.diff(r_peaks)
    if filled is not None:
        before = np.concatenate([[0], np.cumsum(filled)])
        rr = rr[before[r_peaks[1:]] == before[r_peaks[:-1]]]
    return 60.0 * SAMPLING_RATE * len(rr) / float(rr.sum()) if len(rr) else float("nan")


def _blank_neighbours(beats: NDArray[np.float64], r_peaks: NDArray[np.intp], aligned: Alignment, centre: int) -> None:
    """Set NaN what belongs to the beat before and to the beat after, in place."""
    rr = np.diff(r_peaks).astype(np.float64)
    ends = np.append(OWN_SHARE * rr, np.inf)[aligned.chosen]  # after the beat's own R peak
    starts = np.insert((OWN_SHARE - 1.0) * rr, 0, -np.inf)[aligned.chosen]
    offsets = np.arange(beats.shape[2]) - centre
    foreign = (offsets < starts[:, None]) | (offsets > ends[:, None])  # (chosen, sample)
    foreign |= foreign.mean(axis=0) >= 0.5
    beats.swapaxes(1, 2)[foreign] = np.nan


def _nan_median(beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over the beats that reach each sample, (lead, sample); NaN where none does."""
    # numpy.nanmedian in a quarter of its time: sorting puts NaN last, and all leads are NaN at the same samples.
    ordered = np.sort(beats, axis=0)
    count = np.isfinite(beats[:, 0]).sum(axis=0)  # (sample,)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    at = np.arange(beats.shape[2])
    high = np.minimum(high, len(beats) - 1)
    return np.asarray(0.5 * (ordered[low, :, at] + ordered[high, :, at]).T)


def _median(
    clean: NDArray[np.float64],
    r_peaks: NDArray[np.intp],
    aligned: Alignment,
    alive: NDArray[np.bool_],  # (chosen, lead)
    neighbours: Neighbours,
) -> NDArray[np.float64]:
    """Median of each lead over the beats in which it is alive, (8, 600 + 2 slack)."""
    before, after = FIDUCIAL_SAMPLE + SLACK, BEAT_SAMPLES - FIDUCIAL_SAMPLE - 1 + SLACK
    beats = shifted_windows(clean, aligned.times, before, after, fill=np.nan)  # (chosen, 8, 600 + 2 slack)
    if neighbours == "blank":
        _blank_neighbours(beats, r_peaks, aligned, before)
    wide = _nan_median(beats)
    for lead in np.flatnonzero(~alive.all(axis=0)):
        live_median = _nan_median(beats[alive[:, lead], lead : lead + 1])[0]
        if not np.array_equal(np.isnan(live_median), np.isnan(wide[lead])):
            raise FlatLeadError(
                f"lead {LEADS[lead]} is alive in {alive[:, lead].sum()} of {len(alive)} beats, all at the recording's "
                "edge, so that none has the whole 1.2 s: the electrode was off; leave the recording out"
            )
        wide[lead] = live_median
    return wide


def _finish(beat: NDArray[np.float64], *, blank: bool, like: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Subtract the voltage before the QRS complex, of a beat like this, and check that the result can be stored."""
    gap = ~np.isfinite(beat[0])
    if gap.any() and not blank:
        raise TooShortError(
            f"no beat reaches {gap.sum()} of the {BEAT_SAMPLES} samples of the median beat: the recording is too "
            "short, or its beats of one shape all lie at its edge; leave it out"
        )
    beat = hold_ends(beat)
    onset = qrs_onset(spatial_slope(beat if like is None else like))
    beat -= beat[:, onset - _BASELINE : onset].mean(axis=1, keepdims=True)
    beat[:, gap] = 0.0
    if np.abs(beat).max() > MAX_ABS_MILLIVOLT:
        raise VoltageError(
            f"the median beat reaches {np.abs(beat).max():.4g} mV in lead {LEADS[np.abs(beat).max(axis=1).argmax()]}, "
            f"more than {MAX_ABS_MILLIVOLT:g} mV: a broken electrode or a wrong gain; leave the recording out"
        )
    return beat


def _median_masks(recording: Recording, samples: int, fiducials: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Carry each wave mask through the alignment: true where more than half of the beats that reach a sample are.

    Of a recording that is marked in part, only that part votes.
    """
    positions = np.rint(fiducials).astype(np.intp)[:, None] + np.arange(BEAT_SAMPLES) - FIDUCIAL_SAMPLE  # (chosen, 600)
    inside = (positions >= 0) & (positions < samples)
    if recording.marked is not None:
        first, last = (SAMPLING_RATE / recording.sampling_rate * sample for sample in recording.marked)
        inside &= (positions >= first) & (positions <= last)
    reach = inside.sum(axis=0)  # (600,)
    masks = {}
    for wave, mask in recording.wave_masks.items():
        if mask.shape != (len(LEADS), recording.signal.shape[1]):
            raise ValueError(
                f"wave mask {wave!r} has the shape {mask.shape}, expected ({len(LEADS)}, "
                f"{recording.signal.shape[1]}): ecg.LEADS by the recording's samples"
            )
        rows = mask[:1] if mask.strides[0] == 0 else mask  # a mask that all leads share is carried once
        at_500 = resample_mask(rows, recording.sampling_rate)
        votes = (at_500[:, np.clip(positions, 0, samples - 1)] & inside).sum(axis=1)  # (1 or 8, 600)
        masks[wave] = np.broadcast_to(2 * votes > reach, (len(LEADS), BEAT_SAMPLES))
    return masks
