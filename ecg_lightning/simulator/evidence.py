"""This module finds where the evidence for a target lies: by counterfactual twins, and by the textbook.

Twins are two ECGs that differ in one diagnosis, or by one population SD in one measurement, and in nothing else. What
differs between their noiseless median beats is all that a network can go by: the *causal* mask. Textbooks name less, or
other places, most of all for rhythms, where the T wave's time and the neighbouring beats carry the rate: the *core*
mask.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing

from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, SAMPLING_RATE, Target
from ecg_lightning.signal.beat import MedianBeat, Neighbours, median_beat, median_beat_at
from ecg_lightning.signal.recording import RecordingError
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.heart import draw_heart
from ecg_lightning.simulator.kernels import MS
from ecg_lightning.simulator.recording import simulate
from ecg_lightning.simulator.repolarisation import has_strain
from ecg_lightning.simulator.shifted import POPULATION_SD, shift_of
from ecg_lightning.simulator.textbook import Waves, textbook_mask

LEAST: Final = 0.02
"""A difference below this (mV) is no evidence: it drowns in the noise of a median beat."""

SHARE_OF_LARGEST: Final = 0.08
"""Nor is a difference below this share of the twins' largest one."""

LEAST_OF_RHYTHM: Final = 0.015
"""The same for the four rhythms, which show in many small differences: fibrillation waves, what moves in time."""

SHARE_OF_LARGEST_OF_RHYTHM: Final = 0.04
"""The same for the four rhythms."""

MAX_SHARE: Final = 0.36
"""No mask is larger than this share of the (lead, sample) points; the largest differences stay."""

RHYTHMS: Final = ("sinus_rhythm", "atrial_fibrillation", "sinus_bradycardia", "sinus_tachycardia")
"""Diagnoses whose twin has its beats at other times: only median beats tell their evidence, no recordings do."""

_GAP: Final = 0.01  # s; shorter gaps inside the evidence of a lead are closed


@dataclass(frozen=True)
class Twins:
    """Noiseless median beats of an ECG with a diagnosis or measurement and of its twin without, or with another one.

    Attributes:
        target: In which the twins differ.
        present: The ECG itself.
        absent: Its twin, R at the same sample.
        case: The ECG.
    """

    target: Target
    present: MedianBeat
    absent: MedianBeat
    case: Case


@dataclass(frozen=True)
class _Noiseless:
    """The median beat of a bare signal, and how long after R its fiducial lies, in samples."""

    beat: MedianBeat
    delay: float


def _noiseless(case: Case, neighbours: Neighbours) -> _Noiseless:
    ecg = simulate(case)
    beat = median_beat(ecg.recording(noise=False), neighbours=neighbours, known_beats=ecg.r_peaks)
    r = ecg.heart.beats.times * MS
    nearest = r[np.abs(beat.fiducials[:, None] - r).argmin(axis=1)]
    return _Noiseless(beat, float(np.median(beat.fiducials - nearest)))


def twin_of(case: Case, target: Target) -> Case | None:
    """Return an ECG's twin: without a diagnosis, or with a measurement shifted; None where none can be shifted.

    Raises:
        ValueError: The ECG does not have the diagnosis.
    """
    if target not in POPULATION_SD:
        return case.without(target)
    shift = shift_of(draw_heart(case), target)
    return None if shift is None else case.shifted(target, shift.amount)


def twin_beats(case: Case, target: Target, *, neighbours: Neighbours = "keep") -> Twins:
    """Simulate the twins of one ECG and one of its diagnoses or measurements.

    The fiducial of a QRS complex depends on its shape, so the twin's beat is moved until its R lies where the other
    one's lies: what only stands at another place of the window is no evidence. Twins of a measurement, whose beats come
    at the same times, are made of the same beats at the same places.

    Raises:
        ValueError: The ECG does not have the diagnosis or wave.
        RecordingError: One of the twins has no median beat.
    """
    twin = twin_of(case, target)
    if twin is None:
        raise ValueError(f"this ECG has no {target} that could be shifted: {case}")
    return _twins(case, target, _noiseless(case, neighbours), twin, neighbours)


def _twins(case: Case, target: Target, present: _Noiseless, twin: Case, neighbours: Neighbours) -> Twins:
    if target in POPULATION_SD:
        bare = simulate(twin).recording(noise=False)
        return Twins(target, present.beat, median_beat_at(bare, present.beat, neighbours=neighbours), case)
    absent = _noiseless(twin, neighbours)
    places = np.arange(BEAT_SAMPLES) + (present.delay - absent.delay)
    beat = np.stack([np.interp(places, np.arange(BEAT_SAMPLES), row) for row in absent.beat.beat])
    whole = np.clip(np.rint(places).astype(np.intp), 0, BEAT_SAMPLES - 1)
    masks = {wave: mask[:, whole] for wave, mask in absent.beat.wave_masks.items()}
    return Twins(target, present.beat, replace(absent.beat, beat=beat, wave_masks=masks), case)


def causal_mask(twins: Twins) -> NDArray[np.bool_]:
    """Mark where the twins differ, (8, 600) boolean: see :func:`difference_mask`."""
    return difference_mask(twins.present.beat - twins.absent.beat, twins.target)


def difference_mask(
    difference: NDArray[np.float64], target: Target, sampling_rate: float = SAMPLING_RATE
) -> NDArray[np.bool_]:
    """Mark where twins differ: by more than .02 mV, and by more than 8 % of their largest difference.

    For the rhythms it is .015 mV and 4 %. For the comparison with the largest, differences are divided by the square
    root of their lead's largest: a network reads small leads as well as large ones. Gaps of under 10 ms inside a lead
    are closed.

    The thresholds were set by grafting: moving the masked region from one twin to the other moves at least .90 (with
    the diagnosis into the twin without) and .80 (the reverse) of a network's logit (``benchmarks/graft_remove.py``).

    Args:
        difference: (lead, sample) mV between the twins.
        target: In which they differ.
        sampling_rate: Hz.

    Returns:
        (lead, sample) boolean; at most 36 % of the points.
    """
    size = np.abs(difference)
    lead = np.maximum(size.max(axis=1, keepdims=True), np.finfo(float).tiny)
    weight = size / np.sqrt(lead)
    rhythm = target in RHYTHMS
    share = SHARE_OF_LARGEST_OF_RHYTHM if rhythm else SHARE_OF_LARGEST
    floor = max(share * float(weight.max()), float(np.quantile(weight, 1.0 - MAX_SHARE)))
    mask = np.asarray((weight > floor) & (size > (LEAST_OF_RHYTHM if rhythm else LEAST)))
    gap = max(round(_GAP * sampling_rate), 1)
    padded = np.pad(mask, ((0, 0), (gap, gap)))
    closed = binary_closing(padded, np.ones((1, gap), dtype=np.bool_))[:, gap:-gap]
    return np.asarray(closed) if closed.mean() <= MAX_SHARE else mask


def core_mask(twins: Twins) -> NDArray[np.bool_]:
    """Mark where the textbook looks: see :func:`ecg_lightning.simulator.textbook.textbook_mask`, (8, 600) boolean."""
    strain = has_strain(twins.case.patient_streams)
    return textbook_mask(twins.target, [_waves(twins)], BEAT_SAMPLES, strain=strain)


def evidence_masks(
    case: Case, targets: tuple[Target, ...], *, neighbours: Neighbours = "keep"
) -> Mapping[str, NDArray[np.bool_]]:
    """Find the causal and core masks of several targets of one ECG.

    Args:
        case: The case of the ECG.
        targets: Diagnoses that it has, and measurements.
        neighbours: What is done with neighbouring beats when the beats are made.

    Returns:
        ``causal/<target>`` and ``core/<target>`` -> (8, 600) boolean. Where the ECG or a twin has no median beat
        without noise (too many ectopic beats, say), or nothing can be shifted, what would need it is left out.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    cases = {target: twin for target in targets if (twin := twin_of(case, target)) is not None}
    if not cases:
        return masks
    try:
        present = _noiseless(case, neighbours)
    except RecordingError:
        return masks
    for target, twin in cases.items():
        try:
            twins = _twins(case, target, present, twin, neighbours)
        except RecordingError:
            continue
        masks |= {f"causal/{target}": causal_mask(twins), f"core/{target}": core_mask(twins)}
    return masks


def _waves(twins: Twins) -> Waves:
    """The beat's own waves, from the masks that were carried through its median.

    P of the other twin where the beat has none.
    """
    qrs = min(_runs(twins.present, "QRS"), key=lambda run: abs(sum(run) / 2 - FIDUCIAL_SAMPLE))
    t = next((run for run in _runs(twins.present, "T") if run[1] > qrs[1]), (qrs[1], qrs[1] + 1))
    for beat in (twins.present, twins.absent):
        if before := [run for run in _runs(beat, "P") if run[0] < qrs[0]]:
            return Waves(before[-1], qrs, t)
    return Waves.without_p(qrs, t)


def _runs(beat: MedianBeat, wave: str) -> list[tuple[int, int]]:
    """First sample and end of every stretch of a wave, in order; waves of the simulator are the same in all leads."""
    edges = np.flatnonzero(np.diff(np.pad(beat.wave_masks[wave][0].astype(np.int8), 1)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
