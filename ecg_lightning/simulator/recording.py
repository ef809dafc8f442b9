"""This module makes one simulated recording: 10 s, 8 leads, 500 Hz, with the position of every wave."""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS, SAMPLING_RATE
from ecg_lightning.signal.recording import Recording
from ecg_lightning.simulator.atria import P_DURATION, fibrillation_waves, flutter_waves
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.heart import AddedWave, Heart, draw_heart
from ecg_lightning.simulator.kernels import MS, OFFSET_WIDTHS, T_OFFSET_LAG, Timing, add_waves
from ecg_lightning.simulator.qrs import left_bundle_branch_block
from ecg_lightning.simulator.recording_noise import draw_noise, record
from ecg_lightning.simulator.repolarisation import RepolarisationTimes, repolarisation_times, size_by_rate
from ecg_lightning.simulator.rhythm import DURATION, NORMAL, PAC, PVC, amplitude_variation, draw_respiratory_gain
from ecg_lightning.simulator.shifted import shifted_heart

SAMPLES: Final = int(DURATION * MS)
_EDGE: Final = 1500  # samples before and after the recording, for waves that reach into it
_ROTATION_SD: Final = np.deg2rad(2.6) / np.sqrt(3.0)  # of the loop in each beat, about each axis


@dataclass(frozen=True)
class SimulatedEcg:
    """A simulated ECG without noise, and where its waves lie.

    Attributes:
        case: What was simulated.
        heart: The parameters it was made of.
        signal: (8, 5000) mV, without noise.
        p: (beat, 2) ms, onset and offset of P; NaN in beats without.
        qrs: (beat, 2) ms.
        t: (beat, 2) ms.
    """

    case: Case
    heart: Heart
    signal: NDArray[np.float64]
    p: NDArray[np.float64]
    qrs: NDArray[np.float64]
    t: NDArray[np.float64]

    @cached_property
    def r_peaks(self) -> NDArray[np.intp]:
        """Return the samples of R of the beats inside the recording, (beat,)."""
        at = np.rint(self.heart.beats.times * MS).astype(np.intp)
        return at[(at >= 0) & (at < SAMPLES)]

    def wave_masks(self) -> dict[str, NDArray[np.bool_]]:
        """Mark where the waves ``P``, ``QRS`` and ``T`` lie, each (8, 5000) and the same in all leads."""
        return {name: _mask(intervals) for name, intervals in (("P", self.p), ("QRS", self.qrs), ("T", self.t))}

    def recording(self, *, noise: bool = True) -> Recording:
        """Return the recording as an electrocardiograph gives it: noise, filter, steps; or the bare signal."""
        signal = self.signal
        if noise:
            added = self.case.noise * draw_noise(self.case.patient_streams, self.case.ecg_streams, SAMPLES)
            signal = record(self.case.patient_streams, signal + added)
        return Recording(signal, float(SAMPLING_RATE), LEADS, self.wave_masks())


@lru_cache(maxsize=1)
def simulate(case: Case) -> SimulatedEcg:
    """Simulate one ECG; the same case gives the same ECG.

    The last one is cached, since its recording and its evidence are requested one after the other; its arrays are
    read-only.

    Raises:
        ValueError: The rhythm can't have the requested rate or PR interval.
    """
    heart = shifted_heart(draw_heart(case), case.shift)
    canvas = np.zeros((len(LEADS), SAMPLES + 2 * _EDGE))
    times = heart.beats.times
    t_times = repolarisation_times(heart.repolarisation, heart.depolarisation, heart.beats.qt_rr)
    ventricular = heart.beats.kind == PVC
    qrs, t = _ventricles(canvas, case, heart, t_times, ~ventricular)
    if ventricular.any():
        qrs[ventricular], t[ventricular] = _premature_ventricular(canvas, case, heart, ventricular)
    p = _atria(canvas, case, heart)
    if heart.added is not None:
        _add_wave(canvas, heart, heart.added, t_times)
    signal = np.ascontiguousarray(canvas[:, _EDGE:-_EDGE])
    _atrial_rhythm(signal, case, heart)
    ecg = SimulatedEcg(case, heart, signal, p, qrs + times[:, None], t + times[:, None])
    for kept in (ecg.signal, ecg.p, ecg.qrs, ecg.t):
        kept.flags.writeable = False  # the next call may return the same arrays
    return ecg


def _ventricles(
    canvas: NDArray[np.float64], case: Case, heart: Heart, t_times: RepolarisationTimes, chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add QRS complexes and T waves of the chosen beats; onsets and offsets of all, (beat, 2) ms from R."""
    streams, beats, geometry, loop = case.ecg_streams, heart.beats, heart.geometry, heart.depolarisation.loop
    n = len(beats.times)
    breathing = draw_respiratory_gain(streams("respiratory_gain"), beats.breath)
    turn = _ROTATION_SD * streams("rotation").standard_normal((64, 3))[:n]
    vectors = loop.vector + np.cross(turn[:, None], loop.vector)  # (beat, kernel, 3)
    leads = np.concatenate(
        [vectors @ geometry.ventricular.T, np.broadcast_to(geometry.qrs_residual, (n, 16, 8))], axis=1
    )
    amplitude = heart.gain.qrs * breathing[:, None, None] * leads
    _add(canvas, beats.times, Timing.same(n, *heart.qrs_kernels()), amplitude, chosen)
    amplitude = np.broadcast_to(heart.st_t_vectors(), (n, 4, 8)).copy()
    size = size_by_rate(beats.qt_rr) * amplitude_variation(streams("t_variation"), n, 0.05)
    amplitude *= size[:, None, None]
    _add(canvas, beats.times, t_times.timing, amplitude, chosen)
    qrs = np.broadcast_to(np.array([loop.onset, heart.qrs_offset]), (n, 2)).copy()
    return qrs, np.stack([t_times.onset, t_times.offset], axis=1)


def _premature_ventricular(
    canvas: NDArray[np.float64], case: Case, heart: Heart, chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add the premature ventricular complexes, all of one focus: wide, turned, with an opposite T wave."""
    rng = case.patient_streams("ventricular_focus")
    loop = left_bundle_branch_block(rng, 1.1, paced=True).loop
    sign = np.where(rng.uniform(size=3) < 0.5, -1.0, 1.0)
    t_vector = -1.1 * np.linalg.norm(loop.area) / 0.06 * loop.area / np.linalg.norm(loop.area)
    n = len(heart.beats.times)
    centre = np.append(loop.centre, loop.offset + 145.0)
    before, after = np.append(loop.before, 55.0), np.append(loop.after, 45.0)
    vectors = sign * np.concatenate([loop.vector, 0.5 * t_vector[None]])
    amplitude = np.broadcast_to(vectors @ heart.geometry.ventricular.T, (n, len(centre), 8))
    _add(canvas, heart.beats.times, Timing.same(n, centre, before, after), amplitude, chosen)
    t = centre[-1] + np.array([-2.2 * 55.0, OFFSET_WIDTHS * 45.0 + T_OFFSET_LAG])
    return np.array([loop.onset, loop.offset]), t


def _atria(canvas: NDArray[np.float64], case: Case, heart: Heart) -> NDArray[np.float64]:
    """Add the P waves; onset and offset in each beat, (beat, 2) ms from the recording's start, NaN without P."""
    beats, kernels = heart.beats, heart.p_wave.kernels
    onset = beats.times + heart.depolarisation.loop.onset - beats.pr
    there = np.isfinite(onset)
    n = len(onset)
    vectors = np.where((beats.kind == PAC)[:, None, None], heart.p_wave.premature, kernels.vector)
    amplitude = heart.p_vectors(vectors) * amplitude_variation(case.ecg_streams("p_variation"), n, 0.06)[:, None, None]
    if there.any():
        timing = Timing.same(n, kernels.centre, kernels.before, kernels.after)
        _add(canvas, np.where(there, onset, 0.0), timing, amplitude, there)
    return np.stack([onset, onset + P_DURATION], axis=1)


def _add_wave(canvas: NDArray[np.float64], heart: Heart, wave: AddedWave, t_times: RepolarisationTimes) -> None:
    """Add what a twin has more, to all beats that are not premature."""
    beats = heart.beats
    qrs_onset = heart.depolarisation.loop.onset
    here = np.zeros(len(beats.times))
    anchors = {"R": here, "J": here + heart.qrs_offset, "P": qrs_onset - beats.pr, "T": t_times.timing.centre[:, 0]}
    times = beats.times + anchors[wave.anchor]
    chosen = (beats.kind == NORMAL) & np.isfinite(times)
    n = len(times)
    timing = Timing.same(n, *(np.array([value]) for value in (wave.centre, wave.before, wave.after)))
    if chosen.any():
        _add(canvas, times, timing, np.broadcast_to(wave.amplitude, (n, 1, len(LEADS))), chosen)


def _atrial_rhythm(signal: NDArray[np.float64], case: Case, heart: Heart) -> None:
    """Add the waves of fibrillating or fluttering atria, in place."""
    if case.diagnoses.rhythm == "atrial_fibrillation":
        signal += heart.geometry.atrial @ fibrillation_waves(case.ecg_streams, SAMPLES)
    elif case.diagnoses.rhythm in ("flutter", "irregular_flutter"):
        signal += heart.geometry.atrial @ flutter_waves(case.ecg_streams, SAMPLES, heart.beats.rate)


def _add(
    canvas: NDArray[np.float64],
    times: NDArray[np.float64],
    timing: Timing,
    amplitude: NDArray[np.float64],
    chosen: NDArray[np.bool_],
) -> None:
    """Add the chosen beats' waves."""
    add_waves(canvas, -_EDGE / MS, times[chosen], timing.of(chosen), amplitude[chosen])


def _mask(intervals: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(8, 5000) true from each onset to each offset."""
    edges = np.zeros(SAMPLES + 1, dtype=np.int64)
    known = intervals[np.isfinite(intervals[:, 0])] * MS
    ends = np.clip(np.rint(known).astype(np.intp), 0, SAMPLES)
    np.add.at(edges, ends[:, 0], 1)
    np.add.at(edges, ends[:, 1], -1)
    return np.broadcast_to(np.cumsum(edges[:-1]) > 0, (len(LEADS), SAMPLES))
