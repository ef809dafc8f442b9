"""Align beats with a template: normalised correlation over all leads, to a fraction of a sample."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import SAMPLING_RATE
from ecg_lightning.signal.errors import FewBeatsError
from ecg_lightning.signal.peaks import MIN_BEATS

MIN_CORRELATION: Final = 0.85
"""Beats that correlate less with the template are of another shape (ectopic, or noise)."""

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_HALF: Final = int(100 * _MS)  # half the template
_MAX_LAG: Final = int(40 * _MS)
_TEMPLATE_UPDATES: Final = 2


@dataclass(frozen=True)
class Alignment:
    """Where the beats of one shape lie.

    Attributes:
        times: (kept,) sample of the template's centre in each kept beat, with a fraction.
        correlations: (kept,) normalised correlation of each kept beat with the template.
        kept: (beat,) boolean over all R peaks.
    """

    times: NDArray[np.float64]
    correlations: NDArray[np.float64]
    kept: NDArray[np.bool_]


def align(qrs_band: NDArray[np.float64], r_peaks: NDArray[np.intp]) -> Alignment:
    """Align the beats of a recording and keep those of the prevailing shape.

    The template is the medoid beat (100 ms to either side of R, all leads); each beat's lag is the maximum of
    its normalised correlation within 40 ms, refined by a parabola; the template becomes the mean of the beats that
    correlate above .85, twice.

    Args:
        qrs_band: (lead, sample) mV at 500 Hz, 5-35 Hz.
        r_peaks: (beat,) samples.

    Returns:
        The times of the kept beats.

    Raises:
        FewBeatsError: Fewer than three beats correlate above .85 with the template.
    """
    segments = windows(qrs_band, r_peaks, _HALF + _MAX_LAG, fill=0.0)  # (beat, lead, 2 (half + lag) + 1)
    template = _medoid(segments[:, :, _MAX_LAG:-_MAX_LAG])
    for update in range(_TEMPLATE_UPDATES + 1):
        lags, correlations = _best_lags(segments, template)
        kept = correlations > MIN_CORRELATION
        if kept.sum() < MIN_BEATS:
            raise FewBeatsError(
                f"{kept.sum()} of {len(r_peaks)} beats are of one shape (correlation above {MIN_CORRELATION} with the "
                f"template), at least {MIN_BEATS} are needed: too noisy, or every beat different; look at the recording"
            )
        if update < _TEMPLATE_UPDATES:
            template = shifted_windows(qrs_band, r_peaks[kept] + lags[kept], _HALF, _HALF, fill=0.0).mean(axis=0)
    return Alignment((r_peaks + lags)[kept], correlations[kept], kept)


def windows(signal: NDArray[np.float64], centres: NDArray[np.intp], half: int, *, fill: float) -> NDArray[np.float64]:
    """Cut (lead, 2 half + 1) around each centre, (beat, lead, 2 half + 1); ``fill`` beyond the recording."""
    return _cut(_padded(signal, half, fill), centres, 2 * half + 1)


def shifted_windows(
    signal: NDArray[np.float64],  # (lead, sample)
    times: NDArray[np.float64],  # (beat,)
    before: int,
    after: int,
    *,
    fill: float,
) -> NDArray[np.float64]:  # (beat, lead, before + after + 1)
    """Cut windows around times with a fraction, by linear interpolation between samples.

    Args:
        signal: (lead, sample).
        times: (beat,) samples, not more than ``before`` or ``after`` outside the recording.
        before: Samples before each time.
        after: Samples after each time.
        fill: Value beyond the recording; NaN where an interpolation needs such a value and ``fill`` is NaN.

    Returns:
        (beat, lead, before + after + 1).
    """
    whole = np.floor(times).astype(np.intp)
    fraction = (times - whole)[:, None, None]
    pad = max(before, after) + 1
    cut = _cut(_padded(signal, pad, fill), whole + pad - before, before + after + 2)
    # Written so that a fraction of zero gives the samples themselves.
    return cut[:, :, :-1] + fraction * np.diff(cut, axis=2)


def _padded(signal: NDArray[np.float64], pad: int, fill: float) -> NDArray[np.float64]:
    return np.pad(signal, ((0, 0), (pad, pad)), constant_values=fill)


def _cut(padded: NDArray[np.float64], starts: NDArray[np.intp], width: int) -> NDArray[np.float64]:
    """(beat, lead, width), a copy, from ``starts`` on."""
    view = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)  # (lead, start, width)
    return np.ascontiguousarray(view[:, starts].swapaxes(0, 1))


def _medoid(beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """The beat that correlates best with all the others, (lead, sample)."""
    flat = beats.reshape(len(beats), -1)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), np.finfo(float).tiny)
    best = (unit @ unit.sum(axis=0)).argmax()
    return np.asarray(beats[best])


def _best_lags(
    segments: NDArray[np.float64],  # (beat, lead, template + 2 max lag)
    template: NDArray[np.float64],  # (lead, template)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (beat,) samples, (beat,)
    """The lag of the best normalised correlation of each beat, by a parabola through three points, and its value."""
    width = template.shape[1]
    shifts = np.lib.stride_tricks.sliding_window_view(segments, width, axis=2)  # (beat, lead, lag, width)
    products = np.einsum("blkw,lw->bk", shifts, template)
    power = np.cumsum(np.pad(np.einsum("bls,bls->bs", segments, segments), ((0, 0), (1, 0))), axis=1)
    norms = np.sqrt(np.maximum(power[:, width:] - power[:, :-width], 0.0)) * np.linalg.norm(template)
    correlations = products / np.maximum(norms, np.finfo(float).tiny)  # (beat, lag)
    best = correlations.argmax(axis=1)
    beat = np.arange(len(best))
    inner = np.clip(best, 1, correlations.shape[1] - 2)
    left, centre, right = (correlations[beat, inner + step] for step in (-1, 0, 1))
    curvature = left - 2.0 * centre + right
    offset = np.where(curvature < 0.0, 0.5 * (left - right) / np.where(curvature < 0.0, curvature, -1.0), 0.0)
    # At the border of the search the parabola has no maximum inside it.
    offset = np.where(best == inner, np.clip(offset, -0.5, 0.5), 0.0)
    return best + offset - _MAX_LAG, correlations[beat, best]
