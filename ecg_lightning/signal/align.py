"""Beats are aligned with a template by normalised correlation over all leads, to a fraction of a sample."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

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
    """An alignment says where the beats of one shape lie.

    Attributes:
        times: (chosen,) sample of the template's centre in each chosen beat, with a fraction.
        correlations: (chosen,) normalised correlation of each chosen beat with the template.
        chosen: (beat,) boolean over all R peaks: which beats have the prevailing shape.
    """

    times: NDArray[np.float64]
    correlations: NDArray[np.float64]
    chosen: NDArray[np.bool_]


def align(qrs_band: NDArray[np.float64], r_peaks: NDArray[np.intp]) -> Alignment:
    """Align the beats of a recording and keep those of the prevailing shape.

    The template is the medoid beat (100 ms to either side of R, all leads); each beat's lag is the maximum of
    its normalised correlation within 40 ms, refined by a parabola; the template becomes the mean of the beats that
    correlate above .85, twice.

    Args:
        qrs_band: (lead, sample) mV at 500 Hz, 5-35 Hz.
        r_peaks: R peaks of the recording, (beat,) samples.

    Returns:
        The times of the chosen beats.

    Raises:
        FewBeatsError: Fewer than three beats correlate above .85 with the template.
    """
    segments = windows(qrs_band, r_peaks, _HALF + _MAX_LAG, fill=0.0)  # (beat, lead, 2 (half + lag) + 1)
    template = _medoid(segments[:, :, _MAX_LAG:-_MAX_LAG])
    correlate = _Correlator.of(segments, template.shape[1])
    for update in range(_TEMPLATE_UPDATES + 1):
        lags, correlations = _best_lags(correlate(template))
        chosen = correlations > MIN_CORRELATION
        if chosen.sum() < MIN_BEATS:
            raise FewBeatsError(
                f"{chosen.sum()} of {len(r_peaks)} beats are of one shape (correlation above {MIN_CORRELATION} with "
                f"the template), at least {MIN_BEATS} are needed: too noisy, or every beat different; look at the "
                "recording"
            )
        if update < _TEMPLATE_UPDATES:
            template = shifted_windows(qrs_band, r_peaks[chosen] + lags[chosen], _HALF, _HALF, fill=0.0).mean(axis=0)
    return Alignment((r_peaks + lags)[chosen], correlations[chosen], chosen)


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
        signal: The signal, (lead, sample).
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
    step = np.diff(cut, axis=2)
    step *= fraction
    step += cut[:, :, :-1]
    return step


def _padded(signal: NDArray[np.float64], pad: int, fill: float) -> NDArray[np.float64]:
    """``numpy.pad`` of a few rows, in a fifth of its time."""
    out = np.empty((len(signal), signal.shape[1] + 2 * pad))
    out[:, :pad] = fill
    out[:, pad:-pad] = signal
    out[:, -pad:] = fill
    return out


def _cut(padded: NDArray[np.float64], starts: NDArray[np.intp], width: int) -> NDArray[np.float64]:
    """(beat, lead, width), a copy, from ``starts`` on."""
    out = np.empty((len(starts), len(padded), width))
    for beat, start in zip(out, starts.tolist(), strict=True):
        beat[:] = padded[:, start : start + width]
    return out


def _medoid(beats: NDArray[np.float64]) -> NDArray[np.float64]:
    """The beat that correlates best with all the others, (lead, sample)."""
    flat = beats.reshape(len(beats), -1)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), np.finfo(float).tiny)
    best = (unit @ unit.sum(axis=0)).argmax()
    return np.asarray(beats[best])


@dataclass(frozen=True)
class _Correlator:
    """Normalised correlation of beats with any template, over all lags: what does not depend on the template, once.

    Attributes:
        spectrum: (beat, lead, frequency) of the zero-padded beats.
        norms: (beat, lag) root of the energy under the template, over all leads.
        length: Samples of the zero-padded beats.
        lags: Number of lags.
    """

    spectrum: NDArray[np.complex128]
    norms: NDArray[np.float64]
    length: int
    lags: int

    @classmethod
    def of(cls, segments: NDArray[np.float64], width: int) -> "_Correlator":
        """Make a correlator of beats (beat, lead, width + 2 max lag) and templates of ``width`` samples."""
        length = next_fast_len(segments.shape[2], real=True)
        energy = np.einsum("bls,bls->bs", segments, segments)
        power = np.cumsum(np.pad(energy, ((0, 0), (1, 0))), axis=1)
        norms = np.sqrt(np.maximum(power[:, width:] - power[:, :-width], 0.0))
        return cls(rfft(segments, length, axis=2), norms, length, norms.shape[1])

    def __call__(self, template: NDArray[np.float64]) -> NDArray[np.float64]:
        """Correlation with a template (lead, width), (beat, lag)."""
        product = np.einsum("blf,lf->bf", self.spectrum, rfft(template, self.length, axis=1).conj())
        # The template is shorter than the beat by the number of lags, so nothing wraps around.
        products = irfft(product, self.length, axis=1)[:, : self.lags]
        return np.asarray(products / np.maximum(self.norms * np.linalg.norm(template), np.finfo(float).tiny))


def _best_lags(
    correlations: NDArray[np.float64],  # (beat, lag)
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # (beat,) samples, (beat,)
    """The lag of the best normalised correlation of each beat, by a parabola through three points, and its value."""
    best = correlations.argmax(axis=1)
    beat = np.arange(len(best))
    inner = np.clip(best, 1, correlations.shape[1] - 2)
    left, centre, right = (correlations[beat, inner + step] for step in (-1, 0, 1))
    curvature = left - 2.0 * centre + right
    offset = np.where(curvature < 0.0, 0.5 * (left - right) / np.where(curvature < 0.0, curvature, -1.0), 0.0)
    # At the border of the search the parabola has no maximum inside it.
    offset = np.where(best == inner, np.clip(offset, -0.5, 0.5), 0.0)
    return best + offset - _MAX_LAG, correlations[beat, best]
