"""This module finds a "median beat" that is only a stretch of the recording, cut out by a converter.

A median of three beats or more is no beat of the recording: noise differs from beat to beat, so it is about as far from
the stretch that it resembles most as from the second. A stretch that was cut out is itself but for rounding, also after
another gain, a filter or a change of rate, and as far as the noise from every other. Each lead is compared twice: the
voltages as they stand, and below 30 Hz with what a filter does (derivatives and integrals) fitted, by the median square
of what is left. A recording whose noise is below its rounding can't decide it.

Of 8,197 medians and averages of 1,171 recordings (471 real, 700 simulated; of all beats and of three, filtered, at
250 Hz) one is called a stretch: a median of three beats whose baselines drift, which is the middle one in every lead.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from ecg_lightning.ecg import SAMPLING_RATE

_REGION: Final = slice(150, 430)  # of the beat; QRS complexes of its neighbours are outside, up to 150 a minute
_THIN: Final = 4  # samples; what is below 30 Hz needs no more, and every second sample may be interpolated
_AT: Final = np.arange(0, _REGION.stop - _REGION.start, _THIN)
_TIME: Final = np.linspace(-1.0, 1.0, len(_AT))
_DRIFT: Final = np.linalg.qr(_TIME[:, None] ** np.arange(3))[0]  # (sample, 3): offset, slope and bend are fitted
_WIDTH: Final = 11  # samples of the moving average that is taken twice: to 30 Hz
_DERIVATIVES: Final = 4
_STRETCHES: Final = 10  # the most similar ones
_APART: Final = 100  # samples between two of them
_LAGS: Final = np.arange(-2, 3)
_EXACT: Final = 1e-3  # of the residual of other stretches
_MUCH_LESS: Final = 0.1  # of 17 beats with one without noise the median is at .14 from that, in the worst lead
_TELLING: Final = 3.0  # times what rounding leaves
_ROUNDING: Final = (0.2, 1.0)  # share that is left of it: below 30 Hz, and of the voltages as they stand
_BY_CHANCE: Final = 1.5  # times that; in a lead that decides nothing
_MIN_LEADS: Final = 2
_MEDIAN_SQUARE: Final = 0.455  # of a normal variable
_TINY: Final = 1e-10  # mV2


@dataclass(frozen=True)
class Stretch:
    """The stretch of a recording that a beat was cut out of.

    Attributes:
        start: s from the recording's begin.
        residual: uV (root mean square, of the lead with most) that are left between the two.
        others: uV that are left to the next similar stretch, in the same lead.
    """

    start: float
    residual: float
    others: float


def find_stretch(beat: NDArray[np.float64], rhythm: NDArray[np.float64]) -> Stretch | None:
    """Find the stretch of a recording that a beat is.

    Args:
        beat: (8, 600) mV at 500 Hz.
        rhythm: (8, sample) mV at 500 Hz.

    Returns:
        The stretch; None where the beat is none, or where noise is too low to decide.
    """
    if rhythm.shape[1] < beat.shape[1]:
        return None
    slow_beat, slow = _smooth(beat)[:, _REGION], _smooth(rhythm)
    starts = _similar(slow_beat, slow)
    if len(starts) <= _MIN_LEADS:
        return None
    rounding = (_step(beat) ** 2 + _step(rhythm) ** 2) / 12.0
    left = [_slow_residuals(slow_beat, slow, starts), _residuals(beat[:, _REGION], rhythm, starts)]
    found = int(np.mean([np.log(one + _TINY).mean(axis=0) for one in left], axis=0).argmin())
    own, others = np.array([(one[:, found], np.delete(one, found, axis=1).min(axis=1)) for one in left]).swapaxes(0, 1)
    rounded = np.array(_ROUNDING)[:, None] * rounding
    same = own <= np.maximum(_BY_CHANCE * rounded, _MUCH_LESS * others)  # (2, lead)
    telling = (own <= np.maximum(rounded, _MUCH_LESS * others)) & (others > _TELLING * rounded)
    exact = own[1] <= _EXACT * others[1] + _TINY
    if not (exact.all() and (others[1] > 10.0 * _TINY).sum() >= _MIN_LEADS) and not (
        same.any(axis=0).all() and telling.any(axis=0).sum() >= _MIN_LEADS
    ):
        return None
    clearer = int(np.log((own + _TINY) / (others + _TINY)).mean(axis=1).argmin())
    worst = int(own[clearer].argmax())
    start = (starts[found] - _REGION.start) / SAMPLING_RATE
    return Stretch(float(start), *(1e3 * float(np.sqrt(one[clearer, worst])) for one in (own, others)))


def _smooth(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moving average, twice; the ends are held."""
    half = _WIDTH // 2
    for _ in range(2):
        total = np.empty((len(signal), signal.shape[1] + _WIDTH))
        total[:, 0] = 0.0
        total[:, 1 : half + 1] = signal[:, :1]
        total[:, half + 1 : -half] = signal
        total[:, -half:] = signal[:, -1:]
        np.cumsum(total, axis=1, out=total)
        signal = (total[:, _WIDTH:] - total[:, :-_WIDTH]) / _WIDTH
    return signal


def _step(signal: NDArray[np.float64]) -> float:
    """Smallest step between neighbouring samples, mV: what voltages were rounded to."""
    steps = np.abs(np.diff(signal[:, :600], axis=1))
    return float(steps.min(initial=np.inf, where=steps > 1e-5)) if steps.max() > 1e-5 else 0.0


def _similar(beat: NDArray[np.float64], rhythm: NDArray[np.float64]) -> NDArray[np.intp]:
    """Starts of the stretches that are most similar, by normalised correlation of slopes, at 250 Hz."""
    one, other = np.diff(beat[:, ::2], axis=1), np.diff(rhythm[:, ::2], axis=1)
    length, lags = next_fast_len(other.shape[1], real=True), other.shape[1] - one.shape[1] + 1
    product = (rfft(other, length, axis=1) * rfft(one, length, axis=1).conj()).sum(axis=0)
    power = np.concatenate([[0.0], np.cumsum((other * other).sum(axis=0))])
    power = power[one.shape[1] :] - power[: -one.shape[1]]
    alike = irfft(product, length)[:lags] / np.sqrt(np.maximum(power, 1e-6 * power.max() + _TINY))
    inner = np.flatnonzero((alike[1:-1] >= alike[:-2]) & (alike[1:-1] >= alike[2:])) + 1
    left, centre, right = (alike[inner + step] for step in (-1, 0, 1))
    bend = np.minimum(left - 2.0 * centre + right, -_TINY)
    heights = np.append(centre - (left - right) ** 2 / (8.0 * bend), alike[[0, -1]])
    places = np.append(inner + np.clip((left - right) / (2.0 * bend), -0.5, 0.5), [0, lags - 1])
    chosen: list[int] = []
    for place in np.rint(2.0 * places[np.argsort(-heights)]).astype(int).tolist():
        if all(abs(place - earlier) >= _APART for earlier in chosen):
            chosen.append(place)
        if len(chosen) == _STRETCHES:
            break
    return np.array(chosen, dtype=np.intp)


def _slow_residuals(
    beat: NDArray[np.float64], rhythm: NDArray[np.float64], starts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """What is left of a beat without a stretch, its derivatives and its first two integrals, mV2, (lead, stretch)."""
    around = np.arange(_AT[0] - _DERIVATIVES * _THIN, _AT[-1] + (_DERIVATIVES + 1) * _THIN, _THIN)
    cut = rhythm[:, np.clip(starts[:, None] + around, 0, rhythm.shape[1] - 1)]  # (lead, stretch, sample + 8)
    terms = np.empty((*cut.shape[:2], _DERIVATIVES + 3, len(_AT)))
    derivative = cut
    for order in range(_DERIVATIVES + 1):
        margin = (derivative.shape[2] - len(_AT)) // 2
        terms[:, :, order] = derivative[:, :, margin : margin + len(_AT)]
        reach = 2 - order % 2  # the centre stays, but for half a sample
        derivative = derivative[:, :, reach:] - derivative[:, :, :-reach]
    integral = terms[:, :, 0]
    for order in (-2, -1):
        integral = np.cumsum(integral - integral.mean(axis=2, keepdims=True), axis=2)
        terms[:, :, order] = integral
    return _left_over(beat[:, _AT], terms)


def _residuals(beat: NDArray[np.float64], rhythm: NDArray[np.float64], starts: NDArray[np.intp]) -> NDArray[np.float64]:
    """What is left of a beat without a stretch of the same voltages, mV2, (lead, stretch); at the best lag of each."""
    places = (starts[:, None] + _LAGS).reshape(-1, 1) + _AT
    cut = rhythm[:, np.clip(places, 0, rhythm.shape[1] - 1)]  # (lead, stretch x lag, sample)
    left = _left_over(beat[:, _AT], cut[:, :, None]).reshape(len(beat), len(starts), len(_LAGS))
    best = np.log(left + _TINY).mean(axis=0).argmin(axis=1)
    return left[:, np.arange(len(starts)), best]


def _left_over(beat: NDArray[np.float64], terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median square of what least squares leave of a lead, mV2.

    Args:
        beat: The beat, (lead, sample).
        terms: (lead, stretch, term, sample).

    Returns:
        (lead, stretch).
    """
    beat = beat - (beat @ _DRIFT) @ _DRIFT.T
    terms = terms - (terms @ _DRIFT) @ _DRIFT.T
    squares = terms @ terms.swapaxes(-1, -2)
    scale = np.sqrt(np.einsum("lbii->lbi", squares)) + 1e-12
    squares = squares / (scale[..., :, None] * scale[..., None, :]) + 1e-6 * np.eye(terms.shape[2])
    product = (terms @ beat[:, None, :, None]) / scale[..., None]
    weights = np.linalg.solve(squares, product) / scale[..., None]
    left = beat[:, None] - (weights.swapaxes(-1, -2) @ terms)[:, :, 0]
    middle = len(_AT) // 2
    return np.asarray(np.partition(left**2, middle, axis=2)[:, :, middle] / _MEDIAN_SQUARE)
