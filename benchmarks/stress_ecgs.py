"""ECGs that are hard for a detector of beats, with the time of every beat.

Sums of Gaussian waves at known times, with the rhythms, artefacts and recorders that mislead detectors: slow rhythms
with tall T waves, pacing spikes, bigeminy, very fast rhythms, fibrillation, leads that are off, steps, pops, wander,
mains.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS
from ecg_lightning.signal.recording import Recording
from ecg_lightning.signal.resample import resample

SECONDS: Final = 10.0
_RATE: Final = 500  # Hz; other rates are made of these
_P: Final = (0.08, 0.12, 0.05, 0.06, 0.06, 0.06, 0.06, 0.06)  # mV in I II V1-V6
_R: Final = (0.60, 0.95, -0.45, -0.50, 0.35, 1.10, 1.20, 0.90)
_S: Final = (-0.12, -0.15, -0.35, -0.80, -0.70, -0.40, -0.20, -0.08)
_T: Final = (0.18, 0.25, 0.05, 0.30, 0.35, 0.32, 0.28, 0.20)
_WIDE: Final = (-1.2, 1.8, 1.6, 2.2, 2.0, -1.0, -1.4, -1.6)

Signal = NDArray[np.float64]
Wave = tuple[float, float, tuple[float, ...], float]
"""Centre (s from R), sigma (s), mV in the eight leads, factor."""


@dataclass(frozen=True)
class StressEcg:
    """A recording and where its beats are.

    Attributes:
        kind: What is hard about it.
        recording: (8, sample) mV.
        beats: (beat,) s, of R, in increasing order.
        within: s, where the recording begins and ends, but for what it was filled up with.
    """

    kind: str
    recording: Recording
    beats: NDArray[np.float64]
    within: tuple[float, float] = (0.0, SECONDS)


def narrow(size: float = 1.0, p: float = 1.0, t: float = 1.0, t_at: float = 0.28, t_width: float = 0.045) -> list[Wave]:
    """P, narrow QRS and T, factors of their usual sizes."""
    qrs = [(0.0, 0.010, _R, size), (0.026, 0.009, _S, size)]
    return [(-0.17, 0.018, _P, p), *qrs, (t_at, t_width, _T, t)]


def wide(size: float = 1.0, width: float = 0.024, t: float = 0.5) -> list[Wave]:
    """A ventricular beat: wide, of another axis, T against it."""
    return [(0.01, width, _WIDE, size), (0.27, 0.06, _WIDE, -t * size)]


def drawn(times: NDArray[np.float64], beats: list[list[Wave]], seed: int, noise: float = 0.01) -> Signal:
    """The sum of the waves of the beats at their times, (8, 5000) mV, with white noise and breathing."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(SECONDS * _RATE)) / _RATE
    signal = noise * rng.standard_normal((len(LEADS), len(time)))
    breathing = 1.0 + 0.08 * np.sin(2 * np.pi * 0.25 * times + rng.uniform(0, 6))
    for at, waves, gain in zip(times, beats, breathing, strict=True):
        for centre, sigma, leads, factor in waves:
            bump = np.exp(-0.5 * ((time - at - centre) / sigma) ** 2)
            signal += gain * factor * np.outer(leads, bump)
    return signal


def every(rate: float, seed: int, spread: float = 0.02) -> NDArray[np.float64]:
    """Times of a regular rhythm, s, from just before the recording to just behind it."""
    rng = np.random.default_rng(1000 + seed)
    rr = 60.0 / rate * (1.0 + spread * rng.standard_normal(80))
    times = np.cumsum(rr) - 1.0 - rng.uniform() * rr[0]
    return np.asarray(times[times < SECONDS + 0.6])


def _ecg(kind: str, times: NDArray[np.float64], signal: Signal) -> StressEcg:
    inside = times[(times >= 0.0) & (times < SECONDS)]
    return StressEcg(kind, Recording(signal, float(_RATE), LEADS), inside)


def _plain(kind: str, times: NDArray[np.float64], waves: list[Wave], seed: int, noise: float = 0.01) -> StressEcg:
    return _ecg(kind, times, drawn(times, [waves] * len(times), seed, noise))


def tall_t(seed: int) -> StressEcg:
    """25 to 40 a minute, T as tall as R or taller, sometimes peaked."""
    rng = np.random.default_rng(seed)
    rate, peaked = rng.uniform(25.0, 40.0), rng.uniform() < 0.5
    late, width = rng.uniform(0.30, 0.42), 0.028 if peaked else rng.uniform(0.045, 0.07)
    waves = narrow(rng.uniform(0.5, 1.0), p=rng.uniform(0.5, 2.0), t=1.0, t_at=late, t_width=width)
    waves[-1] = (late, width, _R, float(rng.uniform(0.8, 1.3)))
    return _plain("tall T, 25-40/min", every(rate, seed), waves, seed)


def blocked(seed: int) -> StressEcg:
    """Complete AV block: P waves on their own, an escape rhythm of 25 to 45."""
    rng = np.random.default_rng(seed)
    times = every(rng.uniform(25.0, 45.0), seed)
    waves = wide(rng.uniform(0.4, 1.0), t=rng.uniform(0.3, 0.7)) if seed % 2 else narrow(p=0.0, t=rng.uniform(1.0, 3.0))
    atria = every(rng.uniform(70.0, 110.0), seed + 500)
    p_only: list[Wave] = [(0.0, 0.022, _P, rng.uniform(1.0, 2.0))]
    signal = drawn(times, [waves] * len(times), seed) + drawn(atria, [p_only] * len(atria), seed, 0.0)
    return _ecg("complete AV block, 25-45/min", times, signal)


def _spike(signal: Signal, at: float, size: float, axis: Signal, samples: int) -> None:
    first = round(at * _RATE)
    if 0 <= first < signal.shape[1] - samples:
        signal[:, first : first + samples] += size * axis[:, None]


def paced(seed: int) -> StressEcg:
    """A ventricular spike of 2 to 10 mV before a wide QRS; every second one with an atrial spike too."""
    rng = np.random.default_rng(seed)
    times = every(rng.uniform(50.0, 90.0), seed, 0.003)
    signal = drawn(times, [wide(rng.uniform(0.4, 0.9), 0.028)] * len(times), seed)
    axis, other = rng.uniform(0.2, 1.0, 8) * rng.choice([-1.0, 1.0], 8), rng.uniform(0.2, 1.0, 8)
    size, samples = rng.uniform(2.0, 10.0), int(rng.integers(1, 3))
    delay = rng.uniform(0.14, 0.25)
    for at in times:
        _spike(signal, at - 0.05, size, axis, samples)
        if seed % 2:
            _spike(signal, at - 0.05 - delay, rng.uniform(0.98, 1.02) * size, other, samples)
    return _ecg("ventricular and atrial spikes" if seed % 2 else "ventricular spikes", times, signal)


def atrial_paced(seed: int) -> StressEcg:
    """Atrial spikes, then P and a narrow QRS; some spikes are not followed."""
    rng = np.random.default_rng(seed)
    times = every(rng.uniform(50.0, 90.0), seed, 0.003)
    signal = drawn(times, [narrow(rng.uniform(0.4, 1.0))] * len(times), seed)
    axis, size = rng.uniform(0.2, 1.0, 8) * rng.choice([-1.0, 1.0], 8), rng.uniform(2.0, 10.0)
    for at in times:
        _spike(signal, at - 0.2, size, axis, 1 + seed % 2)
    _spike(signal, float(times[len(times) // 2]) + 0.25, size, axis, 1 + seed % 2)
    return _ecg("atrial spikes", times, signal)


def bigeminy(seed: int) -> StressEcg:
    """Tall wide beats alternate with small narrow ones."""
    rng = np.random.default_rng(seed)
    normal = every(rng.uniform(32.0, 48.0), seed)
    early = normal + rng.uniform(0.42, 0.58)
    small, tall = narrow(rng.uniform(0.3, 0.8), t=0.5), wide(rng.uniform(0.8, 1.4), t=rng.uniform(0.3, 0.5))
    times = np.concatenate([normal, early])
    beats = [small] * len(normal) + [tall] * len(early)
    order = np.argsort(times)
    return _ecg("bigeminy", times[order], drawn(times[order], [beats[k] for k in order], seed))


def ectopic(seed: int) -> StressEcg:
    """One to three early wide beats, with a pause after each."""
    rng = np.random.default_rng(seed)
    times = every(rng.uniform(55.0, 90.0), seed)
    beats = [narrow(rng.uniform(0.5, 1.0))] * len(times)
    for k in rng.choice(np.arange(3, len(times) - 3), int(rng.integers(1, 4)), replace=False):
        times[k] -= 0.3 * (times[k] - times[k - 1])
        beats[k] = wide(rng.uniform(0.6, 1.2))
    order = np.argsort(times)
    return _ecg("ectopic beats", times[order], drawn(times[order], [beats[k] for k in order], seed))


def fast(seed: int) -> StressEcg:
    """180 to 250 a minute, narrow or wide."""
    rng = np.random.default_rng(seed)
    rate = 216.0 if seed == 0 else rng.uniform(180.0, 250.0)
    rr = 60.0 / rate
    t_wave: Wave = (0.5 * rr, 0.03, _T, 0.7)
    waves = wide(0.7, 0.018, t=0.0) if seed % 2 else [*narrow(p=0.0, t=0.0), t_wave]
    return _plain("180-250/min", every(rate, seed, 0.005), waves, seed)


def fibrillation(seed: int) -> StressEcg:
    """Atrial fibrillation, 40 to 180 a minute, f waves up to coarse ones."""
    rng = np.random.default_rng(seed)
    mean = 60.0 / rng.uniform(40.0, 180.0)
    times = np.cumsum(np.maximum(mean * np.exp(0.2 * rng.standard_normal(80)), 0.3)) - 1.0
    times = times[times < SECONDS + 0.6]
    signal = drawn(times, [narrow(rng.uniform(0.4, 1.0), p=0.0, t=min(1.0, mean))] * len(times), seed)
    time = np.arange(signal.shape[1]) / _RATE
    phase = 2 * np.pi * np.cumsum(6.0 + 0.6 * np.sin(2 * np.pi * 0.3 * time)) / _RATE
    return _ecg("atrial fibrillation, 40-180/min", times, signal + rng.uniform(0.3, 1.2) * np.outer(_P, np.sin(phase)))


def low_voltage(seed: int) -> StressEcg:
    """QRS complexes of a fifth of their size in ordinary noise."""
    rng = np.random.default_rng(seed)
    waves = narrow(rng.uniform(0.15, 0.3), p=0.4, t=rng.uniform(0.2, 0.5))
    return _plain("low voltage", every(rng.uniform(45.0, 110.0), seed), waves, seed, 0.008)


def _ordinary(kind: str, seed: int, change: Callable[[np.random.Generator, Signal], None]) -> StressEcg:
    rng = np.random.default_rng(seed)
    made = _plain(kind, every(rng.uniform(35.0, 130.0), seed), narrow(rng.uniform(0.5, 1.2)), seed)
    change(rng, np.asarray(made.recording.signal))
    return made


def _dead(rng: np.random.Generator, signal: Signal) -> None:
    for lead in rng.choice(8, int(rng.integers(1, 5)), replace=False):
        first = int(rng.integers(0, 4000))
        signal[lead, first : first + int(rng.integers(1000, 4000))] = rng.choice([0.0, 3.3, -2.0])


def _step(rng: np.random.Generator, signal: Signal) -> None:
    at, size = int(rng.integers(500, 4500)), rng.uniform(0.5, 4.0)
    signal[rng.choice(8, int(rng.integers(1, 4)), replace=False), at:] += size


def _wander(rng: np.random.Generator, signal: Signal) -> None:
    time = np.arange(signal.shape[1]) / _RATE
    phase, rate = rng.uniform(0, 6, (8, 1)), rng.uniform(0.1, 0.6)
    signal += rng.uniform(0.5, 2.0) * np.sin(2 * np.pi * rate * time + phase)


def _pop(rng: np.random.Generator, signal: Signal) -> None:
    leads = rng.choice(8, int(rng.integers(1, 4)), replace=False)
    for at in rng.integers(300, 4700, int(rng.integers(1, 4))):
        fall = np.exp(-np.arange(signal.shape[1] - at) / rng.uniform(20.0, 200.0))
        signal[leads, at:] += rng.uniform(2.0, 8.0) * fall


def _mains(rng: np.random.Generator, signal: Signal) -> None:
    time = np.arange(signal.shape[1]) / _RATE
    size = rng.uniform(0.05, 0.3, (8, 1))
    signal += size * np.sin(2 * np.pi * rng.choice([50.0, 60.0]) * time + rng.uniform(0, 6, (8, 1)))


def _padded(rng: np.random.Generator, signal: Signal) -> None:
    signal[:, -int(rng.integers(500, 4000)) :] = 0.0
    if rng.uniform() < 0.5:
        signal[:, : int(rng.integers(100, 900))] = 0.0


_CHANGES: Final[dict[str, Callable[[np.random.Generator, Signal], None]]] = {
    "leads off for a while": _dead,
    "steps": _step,
    "baseline wander": _wander,
    "electrode pops": _pop,
    "mains": _mains,
}
_KINDS: Final = (tall_t, blocked, paced, atrial_paced, bigeminy, ectopic, fast, fibrillation, low_voltage)


def padded(seed: int) -> StressEcg:
    """Zeros behind, and sometimes before, at least three beats."""
    made = _ordinary("zeros before and behind", seed, _padded)
    alive = np.flatnonzero(made.recording.signal.any(axis=0)) / _RATE
    beats = made.beats[(made.beats >= alive[0]) & (made.beats <= alive[-1])]
    return StressEcg(made.kind, made.recording, beats, (float(alive[0]), float(alive[-1])))


def cut_in_qrs(seed: int) -> StressEcg:
    """The recording begins or ends within 30 ms of R."""
    rng = np.random.default_rng(seed)
    times = every(rng.uniform(50.0, 120.0), seed, 0.01)
    edge = 0.0 if seed % 2 else SECONDS
    times += edge - times[np.abs(times - edge).argmin()] + rng.uniform(-0.03, 0.03)
    return _plain("cut in a QRS complex", times, narrow(rng.uniform(0.5, 1.2)), seed)


def other_rate(seed: int) -> StressEcg:
    """An ordinary ECG at 250, 257, 360 or 1000 Hz."""
    made = _ordinary("250-1000 Hz", seed, lambda _rng, _signal: None)
    rate = (250.0, 257.0, 360.0, 1000.0)[seed % 4]
    signal = resample(np.asarray(made.recording.signal), _RATE * _RATE / rate)
    return StressEcg(made.kind, Recording(signal, rate, LEADS), made.beats)


def stress_ecgs(count: int) -> Iterator[StressEcg]:
    """``count`` ECGs of every kind, the same on every call."""
    for seed in range(count):
        for make in (*_KINDS, padded, cut_in_qrs, other_rate):
            yield make(seed)
        for kind, change in _CHANGES.items():
            yield _ordinary(kind, seed, change)
