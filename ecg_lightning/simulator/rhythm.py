"""This module decides when the beats come, what kind each is, and when its P wave begins."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import gammaincinv

from ecg_lightning.simulator.diagnoses import Diagnoses, Rhythm
from ecg_lightning.simulator.streams import Streams, truncated_normal

DURATION: Final = 10_000.0
"""Length of a recording, ms."""

MIN_RR: Final = 310.0
"""Shortest RR interval in atrial fibrillation, ms."""

_MAX_BEATS: Final = 64
_BEFORE: Final = 1_100.0  # ms before the recording, from which T and U waves may reach into it
_LATEST: Final = 500.0  # ms further back a beat's waves are over
_AFTER: Final = 600.0  # ms after it, from which P waves may
_ROUNDS: Final = 3
_ECTOPIC_SHARE: Final = 0.09
P_TO_NEXT: Final = 60.0
"""The P wave begins at least this long after the beat before, ms."""


NORMAL: Final = 0
PVC: Final = 1
PAC: Final = 2


@dataclass(frozen=True)
class Beats:
    """The beats of a recording, and those before and after whose waves reach into it.

    Attributes:
        times: (beat,) ms from the recording's start, of R.
        kind: (beat,) ``NORMAL``, ``PVC`` or ``PAC``.
        qt_rr: (beat,) s, the RR interval that sets QT: .6 of the preceding and .4 of the one before it.
        pr: (beat,) ms from P onset to QRS onset; NaN in beats without a P wave.
        breath: (beat,) phase of respiration, radians.
        rate: Mean heart rate that was drawn or requested, beats per minute.
    """

    times: NDArray[np.float64]
    kind: NDArray[np.intp]
    qt_rr: NDArray[np.float64]
    pr: NDArray[np.float64]
    breath: NDArray[np.float64]
    rate: float


def draw_beats(ecg: Streams, diagnoses: Diagnoses, heart_rate: float | None, pr_interval: float | None) -> Beats:
    """Draw the rhythm of one ECG.

    Args:
        ecg: The ECG's streams.
        diagnoses: Rhythm, AV block, premature beats.
        heart_rate: Mean rate, beats per minute; None draws it.
        pr_interval: PR interval, ms; None draws it. Of no effect in a rhythm without P waves.

    Raises:
        ValueError: The requested rate or PR interval is not possible in this rhythm.
    """
    rate = draw_rate(ecg("rate"), diagnoses) if heart_rate is None else heart_rate
    breath_rate = ecg("breath").uniform(0.18, 0.35)  # Hz
    rr = draw_rr(ecg("rr"), diagnoses.rhythm, rate, breath_rate)
    start = -_BEFORE - ecg("start").uniform() * rr[0]
    times = start + np.concatenate([[0.0], np.cumsum(rr)])
    keep = (times > -_BEFORE - _LATEST) & (times < DURATION + _AFTER)
    times = times[keep]
    times, kind = _premature(ecg("ectopy"), diagnoses, times)
    before = np.diff(times, prepend=times[0] - rr[0])
    earlier = np.concatenate([before[:1], before[:-1]])
    return Beats(
        times=times,
        kind=kind,
        qt_rr=(0.6 * before + 0.4 * earlier) / 1000.0,
        pr=_draw_pr(ecg("pr"), diagnoses, rate, pr_interval, before, kind),
        breath=2.0 * np.pi * breath_rate * times / 1000.0,
        rate=rate,
    )


def draw_rate(rng: Generator, diagnoses: Diagnoses) -> float:
    """Draw the mean rate, beats per minute; always one uniform draw, so that twins take the same quantile."""
    u = float(rng.uniform(1e-6, 1.0 - 1e-6))
    normal = {
        "sinus": (74.0, 10.0, 60.7, 99.3),
        "sinus_bradycardia": (53.5, 4.5, 36.0, 59.2),
        "atrial_fibrillation": (88.0, 24.0, 45.0, 165.0),
        "ectopic_atrial": (82.0, 20.0, 45.0, 140.0),
        "junctional": (56.0, 14.0, 36.0, 110.0),
        "paced": (68.0, 8.0, 50.0, 100.0),
    }
    if diagnoses.rate_of in normal:
        return truncated_normal(u, *normal[diagnoses.rate_of])
    if diagnoses.rate_of == "sinus_tachycardia":
        return 101.0 + 10.0 * float(gammaincinv(1.6, u))
    # Flutter: 240 to 340 atrial beats a minute, every second or every fourth conducted.
    ratio, part = (2.0, u / 0.6) if u < 0.6 else (4.0, (u - 0.6) / 0.4)
    return (240.0 + 100.0 * part) / ratio


def draw_rr(rng: Generator, rhythm: Rhythm, rate: float, breath_rate: float) -> NDArray[np.float64]:
    """Draw RR intervals of the whole recording and its edges, (interval,) ms, with the mean of the rate."""
    z = rng.standard_normal(_MAX_BEATS)
    spread, irregular = rng.standard_normal(), rng.uniform(0.13, 0.30)
    mean = 60_000.0 / rate
    first = int(_BEFORE / mean) + 1
    inside = slice(
        first, first + max(int(DURATION / mean), 1)
    )  # of the recording: their mean is the rate that it shows
    if rhythm in ("atrial_fibrillation", "irregular_flutter"):
        if mean < MIN_RR:
            raise ValueError(
                f"heart_rate: {rate:g} beats per minute in {rhythm}, whose RR intervals are not under {MIN_RR:g} ms; "
                f"expected at most {int(60_000.0 / MIN_RR)}"
            )
        rr = np.exp(irregular * z)
        for _ in range(_ROUNDS):  # the shortest interval takes from the mean what the next round gives back
            rr = np.maximum(mean * rr / rr[inside].mean(), MIN_RR)
        return np.asarray(rr)
    variation = 0.025 * np.exp(0.6 * spread)
    if rhythm in ("flutter", "paced", "junctional"):
        variation = min(0.3 * variation, 0.01)
    phase = 2.0 * np.pi * breath_rate * mean / 1000.0 * np.arange(_MAX_BEATS)
    wave = np.sqrt(1.6) * np.sin(phase) + np.sqrt(0.2) * z  # variance 1, most of it from breathing
    rr = np.exp(min(variation, 0.12) * wave)
    return np.asarray(mean * rr / rr[inside].mean())


def _premature(
    rng: Generator, diagnoses: Diagnoses, times: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Some beats come early, with a full pause after them; never two in a row."""
    u, early = rng.uniform(size=_MAX_BEATS), rng.uniform(0.25, 0.42, size=_MAX_BEATS)
    kind = np.full(len(times), NORMAL)
    atrial = diagnoses.pac and diagnoses.rhythm not in ("atrial_fibrillation", "flutter", "irregular_flutter")
    share = _ECTOPIC_SHARE * (int(diagnoses.pvc) + int(atrial))
    moved = times.copy()
    for k in range(1, len(times) - 1):
        if u[k] < share and kind[k - 1] == NORMAL:
            kind[k] = PVC if diagnoses.pvc and (not atrial or u[k] < _ECTOPIC_SHARE) else PAC
            moved[k] -= early[k] * (times[k] - times[k - 1])
    return moved, kind


def _draw_pr(
    rng: Generator,
    diagnoses: Diagnoses,
    rate: float,
    pr_interval: float | None,
    rr: NDArray[np.float64],
    kind: NDArray[np.intp],
) -> NDArray[np.float64]:
    """PR interval of each beat, ms; NaN without P wave."""
    u, variation = float(rng.uniform(1e-6, 1.0 - 1e-6)), rng.standard_normal(_MAX_BEATS)[: len(rr)]
    with_p = diagnoses.rhythm not in ("atrial_fibrillation", "flutter", "irregular_flutter", "junctional")
    if diagnoses.rhythm == "paced":
        with_p = bool(rng.uniform() < 0.5)
    if not with_p:
        return np.full(len(rr), np.nan)
    pr = pr_interval if pr_interval is not None else _mean_pr(u, diagnoses, rate)
    room = 60_000.0 / rate - P_TO_NEXT
    if pr_interval is not None and pr_interval > room:
        raise ValueError(_too_long(pr_interval, rate, room))
    each = min(pr, room) + 3.0 * np.clip(variation, -1.5, 1.5)
    if not diagnoses.av_block and pr_interval is None:
        each = np.minimum(each, 199.0)
    each = np.minimum(each, rr - P_TO_NEXT)
    return np.where(kind == PVC, np.nan, each)


def _too_long(pr_interval: float, rate: float, room: float) -> str:
    return (
        f"pr_interval: {pr_interval:g} ms at {rate:.0f} beats per minute: the P wave would begin less than "
        f"{P_TO_NEXT:g} ms after the beat before; expected at most {int(room)} ms, or a lower rate"
    )


def _mean_pr(u: float, diagnoses: Diagnoses, rate: float) -> float:
    """Mean PR interval, ms: above 200 ms is a first-degree block."""
    if diagnoses.av_block:
        return 207.0 + 24.0 * float(gammaincinv(1.7, u))
    mean = {"ectopic_atrial": 135.0, "paced": 165.0}.get(diagnoses.rhythm, 158.0)
    return truncated_normal(u, mean - 0.18 * (rate - 72.0), 20.0, 100.0, 194.0)


def draw_respiratory_gain(rng: Generator, breath: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw the gain of the QRS complex in each beat, (beat,): 3.5 % with respiration and 1.5 % at random."""
    phase = rng.uniform(0.0, 2.0 * np.pi)
    return np.asarray(
        (1.0 + 0.035 * np.sin(breath + phase)) * np.exp(0.015 * rng.standard_normal(_MAX_BEATS)[: len(breath)])
    )


def amplitude_variation(rng: Generator, beats: int, log_sd: float) -> NDArray[np.float64]:
    """Draw the log-normal gain of a wave in each beat, (beat,)."""
    return np.asarray(np.exp(log_sd * rng.standard_normal(_MAX_BEATS)[:beats]))
