"""These checks compare the median beat with the beats of its own recording, lead by lead."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from scipy.signal.windows import hann

from ecg_lightning.ecg import LEADS, SAMPLING_RATE
from ecg_lightning.signal.align import shifted_windows
from ecg_lightning.signal.errors import FlatLeadError, NoisyError
from ecg_lightning.signal.peaks import MIN_BEATS

_MS: Final = SAMPLING_RATE / 1000.0  # samples
_HALF: Final = int(100 * _MS)
_DEAD_MILLIVOLT: Final = 0.01  # a QRS complex of less is none
_DEAD_SHARE: Final = 0.25  # of the lead's third largest QRS complex
_AGREES: Final = 0.5  # correlation of a beat with the median of its lead
_MIN_AGREEING: Final = 0.5  # share of the beats; of 471 ECGs the worst lead has .52
_NOISE_MILLIVOLT: Final = 0.03  # a median of ten beats makes .01 of it
_FAST: Final = 40.0  # Hz; the power of a QRS complex ends here
MAX_FAST: Final = 0.1
"""Share of a beat's power above 40 Hz; of 471 ECGs the worst has .04."""

MAX_FAST_OF_LEAD: Final = 0.5
"""The same for one lead; of 471 ECGs the worst, a flat lead II in mains, has .40."""


MAX_LINE: Final = 0.95
"""Share of the power above 14 Hz at one frequency; of 471 ECGs the worst has .42; wide beats at 250 a minute: .86."""

_THIN: Final = 5
_LINES_FROM: Final = 14.0  # Hz; harmonics of 250 beats a minute are small there
_LINE_WIDTH: Final = 0.3  # Hz, to either side


def qrs_of_beats(qrs_band: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut the QRS complexes, 100 ms to either side of the template's centre, (chosen, lead, sample)."""
    return shifted_windows(qrs_band, times, _HALF, _HALF, fill=0.0)


def alive_beats(qrs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Find in which beats each lead is alive.

    Dead is a lead where its QRS complex has less than 10 uV, or a quarter of its third largest one. Of the beats next
    to dead ones the lead may have lost a part, so they count as dead where three others are left.

    Args:
        qrs: (chosen, lead, sample) mV, see :func:`qrs_of_beats`.

    Returns:
        (chosen, lead) boolean.

    Raises:
        FlatLeadError: A lead is alive in fewer than three beats.
    """
    size = np.ptp(qrs, axis=2)  # (chosen, lead)
    alive = size >= np.maximum(_DEAD_MILLIVOLT, _DEAD_SHARE * np.sort(size, axis=0)[-MIN_BEATS])
    if alive.all():
        return np.asarray(alive)
    few = alive.sum(axis=0) < MIN_BEATS
    if few.any():
        raise FlatLeadError(
            f"lead {_figures(few, alive.sum(axis=0), '{:d}')} is alive in so few of the {len(alive)} beats of one "
            f"shape (QRS complexes of more than {1e3 * _DEAD_MILLIVOLT:g} uV), at least {MIN_BEATS} are needed: the "
            "electrode was off, or the recording is a printout of 2.5 s a lead; leave it out"
        )
    inner = alive.copy()
    inner[1:] &= alive[:-1]
    inner[:-1] &= alive[1:]
    return np.asarray(np.where(inner.sum(axis=0) >= MIN_BEATS, inner, alive))


def check_agreement(qrs: NDArray[np.float64], alive: NDArray[np.bool_]) -> None:
    """Refuse a lead whose beats are not alike.

    Args:
        qrs: (chosen, lead, sample) mV.
        alive: (chosen, lead), see :func:`alive_beats`.

    Raises:
        NoisyError: In a lead fewer than half of the beats correlate above .5 with the lead's median, and they are
            more than 30 uV (root mean square, 5-35 Hz) from it.
    """
    median = np.median(qrs, axis=0)
    for lead in np.flatnonzero(~alive.all(axis=0)):
        median[lead] = np.median(qrs[alive[:, lead], lead], axis=0)
    product = np.einsum("kls,ls->kl", qrs, median)
    norms = np.sqrt(np.einsum("kls,kls->kl", qrs, qrs) * np.einsum("ls,ls->l", median, median))
    agree = (product > _AGREES * norms) & alive
    share = agree.sum(axis=0) / np.maximum(alive.sum(axis=0), 1)
    doubtful = share < _MIN_AGREEING
    if not doubtful.any():
        return
    away = np.sqrt(((qrs - median) ** 2).mean(axis=2))  # (chosen, lead)
    noisy = doubtful & (np.median(away, axis=0) > _NOISE_MILLIVOLT)
    if noisy.any():
        raise NoisyError(
            f"lead {_figures(noisy, share, '{:.0%}')} of its beats correlate above {_AGREES} with their median, at "
            f"least {_MIN_AGREEING:.0%} are needed: noise, or the electrode was off for most of the time; leave the "
            "recording out"
        )


def fast_shares(beat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Compute a beat's share of power above 40 Hz: of all leads together, and of each, (lead,)."""
    window = hann(beat.shape[1])
    power = np.abs(rfft((beat - beat.mean(axis=1, keepdims=True)) * window, axis=1)) ** 2
    fast = power[:, int(np.ceil(_FAST * beat.shape[1] / SAMPLING_RATE)) :].sum(axis=1)
    total = np.maximum(power.sum(axis=1), 1e-12)
    return float(fast.sum() / total.sum()), fast / total


def check_spectrum(beat: NDArray[np.float64]) -> None:
    """Refuse a beat that is noise above an ECG's frequencies: mains, muscle, a broken converter.

    Args:
        beat: (8, sample) mV, without pacing spikes; samples that no beat reaches are NaN.

    Raises:
        NoisyError: More than 10 % of the beat's power, or 50 % of a lead's, is above 40 Hz.
    """
    whole, leads = fast_shares(beat[:, np.isfinite(beat[0])])
    noisy = leads > MAX_FAST_OF_LEAD
    if noisy.any():
        raise NoisyError(
            f"lead {_figures(noisy, leads, '{:.0%}')} of the power of its median beat is above {_FAST:g} Hz, at most "
            f"{MAX_FAST_OF_LEAD:.0%} may be: mains or muscle noise, or an electrode that was off; remove the mains in "
            "the source, or leave the recording out"
        )
    if whole > MAX_FAST:
        raise NoisyError(
            f"{whole:.1%} of the median beat's power is above {_FAST:g} Hz, at most {MAX_FAST:.0%} is an ECG's (of "
            f"lead {LEADS[int(leads.argmax())]} it is {leads.max():.0%}): mains or muscle noise; remove the mains in "
            "the source, or leave the recording out"
        )


def check_line(qrs_band: NDArray[np.float64]) -> None:
    """Refuse a recording that is one sine at a frequency of the QRS complex: railway current, a generator, a vibration.

    Args:
        qrs_band: (lead, sample) mV at 500 Hz, 5-35 Hz.

    Raises:
        NoisyError: More than 95 % of the power above 14 Hz is within .3 Hz of one frequency.
    """
    thin = qrs_band[:, ::_THIN]  # the band ends at 35 Hz
    power = (np.abs(rfft(thin * hann(thin.shape[1]), axis=1)) ** 2).sum(axis=0)
    step = SAMPLING_RATE / _THIN / thin.shape[1]  # Hz
    power[: int(_LINES_FROM / step)] = 0.0
    near = np.convolve(power, np.ones(2 * int(_LINE_WIDTH / step) + 1), mode="same")
    share = float(near.max() / max(power.sum(), 1e-12))
    if share > MAX_LINE:
        raise NoisyError(
            f"{share:.0%} of the power from {_LINES_FROM:g} to 35 Hz is at {near.argmax() * step:.1f} Hz, at most "
            f"{MAX_LINE:.0%} is an ECG's: a sine that is larger than the QRS complexes; leave the recording out"
        )


def _figures(chosen: NDArray[np.bool_], values: NDArray[np.generic], form: str) -> str:
    """``V3 (41%), V5 (38%)``."""
    return ", ".join(f"{LEADS[k]} ({form.format(values[k].item())})" for k in np.flatnonzero(chosen).tolist())
