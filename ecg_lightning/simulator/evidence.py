"""This module finds where the evidence for a diagnosis lies: by counterfactual twins, and by the textbook.

Twins are two ECGs that differ in one diagnosis and in nothing else. What differs between their noiseless median beats
is all that a network can go by: the *causal* mask. Textbooks name less, or other places, most of all for rhythms, where
the T wave's time and the neighbouring beats carry the rate: the *core* mask.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing

from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, LEADS, Target
from ecg_lightning.signal.beat import MedianBeat, Neighbours, median_beat
from ecg_lightning.signal.recording import RecordingError
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.kernels import MS
from ecg_lightning.simulator.recording import simulate
from ecg_lightning.simulator.repolarisation import has_strain

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

_RHYTHMS: Final = ("sinus_rhythm", "atrial_fibrillation", "sinus_bradycardia", "sinus_tachycardia")
_GAP: Final = 5  # samples; shorter gaps inside the evidence of a lead are closed
_NO_P: Final = 80  # samples


@dataclass(frozen=True)
class Twins:
    """Noiseless median beats of an ECG with a diagnosis and of its twin without.

    Attributes:
        target: The diagnosis in which the twins differ.
        present: The twin with the diagnosis.
        absent: Without it, R at the same sample.
        case: The ECG with it.
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


def twin_beats(case: Case, target: Target, *, neighbours: Neighbours = "keep") -> Twins:
    """Simulate the twins of one ECG and one of its diagnoses.

    The fiducial of a QRS complex depends on its shape, so the beat without the diagnosis is moved until its R lies
    where the other one's lies: what only stands at another place of the window is no evidence.

    Raises:
        ValueError: The ECG does not have the diagnosis.
        RecordingError: One of the twins has no median beat.
    """
    present, absent = (_noiseless(one, neighbours) for one in (case, case.without(target)))
    return _twins(case, target, present, absent)


def _twins(case: Case, target: Target, present: _Noiseless, absent: _Noiseless) -> Twins:
    places = np.arange(BEAT_SAMPLES) + (present.delay - absent.delay)
    beat = np.stack([np.interp(places, np.arange(BEAT_SAMPLES), row) for row in absent.beat.beat])
    whole = np.clip(np.rint(places).astype(np.intp), 0, BEAT_SAMPLES - 1)
    masks = {wave: mask[:, whole] for wave, mask in absent.beat.wave_masks.items()}
    return Twins(target, present.beat, replace(absent.beat, beat=beat, wave_masks=masks), case)


def causal_mask(twins: Twins) -> NDArray[np.bool_]:
    """Mark where the twins differ: by more than .02 mV, and by more than 8 % of their largest difference.

    For the rhythms it is .015 mV and 4 %. For the comparison with the largest, differences are divided by the square
    root of their lead's largest: a network reads small leads as well as large ones. Gaps of under 10 ms inside a lead
    are closed.

    The thresholds were set by grafting: moving the masked region from one twin to the other moves at least .90 (with
    the diagnosis into the twin without) and .80 (the reverse) of a network's logit (``benchmarks/graft_remove.py``).

    Returns:
        (8, 600) boolean; at most 36 % of the points.
    """
    difference = np.abs(twins.present.beat - twins.absent.beat)
    lead = np.maximum(difference.max(axis=1, keepdims=True), np.finfo(float).tiny)
    weight = difference / np.sqrt(lead)
    rhythm = twins.target in _RHYTHMS
    share = SHARE_OF_LARGEST_OF_RHYTHM if rhythm else SHARE_OF_LARGEST
    floor = max(share * float(weight.max()), float(np.quantile(weight, 1.0 - MAX_SHARE)))
    mask = np.asarray((weight > floor) & (difference > (LEAST_OF_RHYTHM if rhythm else LEAST)))
    closed = binary_closing(np.pad(mask, ((0, 0), (_GAP, _GAP))), np.ones((1, _GAP), dtype=np.bool_))[:, _GAP:-_GAP]
    return np.asarray(closed) if closed.mean() <= MAX_SHARE else mask


def core_mask(twins: Twins) -> NDArray[np.bool_]:
    """Mark where the textbook looks for the diagnosis.

    Sinus rhythm, atrial fibrillation, AV block: from P onset (or where P would begin) to QRS onset, all leads. Right
    bundle branch block: the last 40 % of the QRS complex in V1, V2, I, V5, V6. Left bundle branch block: QRS and ST-T,
    all leads. Low voltage: QRS, all leads. Hypertrophy: QRS in V1, V2, V5, V6, and ST-T in I, V5, V6 with strain.
    Bradycardia: T wave and what follows. Tachycardia: T wave and both ends, where the neighbouring beats come in.

    Returns:
        (8, 600) boolean.
    """
    waves = _waves(twins)
    time = np.arange(BEAT_SAMPLES)
    qrs = (time >= waves.qrs[0]) & (time < waves.qrs[1])
    st_t = (time >= waves.qrs[1]) & (time < waves.t[1])
    before = (time >= waves.p_onset) & (time < waves.qrs[0])
    late = qrs & (time >= waves.qrs[1] - 0.4 * (waves.qrs[1] - waves.qrs[0]))
    tail = time >= waves.t[0]
    strain = st_t & has_strain(twins.case.patient_streams)
    return {
        "sinus_rhythm": _in(before),
        "atrial_fibrillation": _in(before),
        "first_degree_av_block": _in(before),
        "sinus_bradycardia": _in(tail),
        "sinus_tachycardia": _in(tail | (time < waves.p_onset)),
        "right_bundle_branch_block": _in(late, "V1", "V2", "I", "V5", "V6"),
        "left_bundle_branch_block": _in(qrs | st_t),
        "low_qrs_voltage": _in(qrs),
        "left_ventricular_hypertrophy": _in(qrs, "V1", "V2", "V5", "V6") | _in(strain, "I", "V5", "V6"),
    }[twins.target]


def evidence_masks(
    case: Case, targets: tuple[Target, ...], *, neighbours: Neighbours = "keep"
) -> Mapping[str, NDArray[np.bool_]]:
    """Find the causal and core masks of several diagnoses of one ECG.

    Args:
        case: The case of the ECG.
        targets: Diagnoses that it has.
        neighbours: What is done with neighbouring beats when the beats are made.

    Returns:
        ``causal/<target>`` and ``core/<target>`` -> (8, 600) boolean. Where the ECG or a twin has no median beat
        without noise (too many ectopic beats, say), what would need it is left out.
    """
    masks: dict[str, NDArray[np.bool_]] = {}
    if not targets:
        return masks
    try:
        present = _noiseless(case, neighbours)
    except RecordingError:
        return masks
    for target in targets:
        try:
            absent = _noiseless(case.without(target), neighbours)
        except RecordingError:
            continue
        twins = _twins(case, target, present, absent)
        masks |= {f"causal/{target}": causal_mask(twins), f"core/{target}": core_mask(twins)}
    return masks


@dataclass(frozen=True)
class _Waves:
    """Samples of the beat where its own waves begin and end."""

    p_onset: int
    qrs: tuple[int, int]
    t: tuple[int, int]


def _waves(twins: Twins) -> _Waves:
    """The beat's own waves, from the masks that were carried through its median.

    P of the other twin where the beat has none, and 160 ms before the QRS complex where neither has.
    """
    qrs = min(_runs(twins.present, "QRS"), key=lambda run: abs(sum(run) / 2 - FIDUCIAL_SAMPLE))
    t = next((run for run in _runs(twins.present, "T") if run[1] > qrs[1]), (qrs[1], qrs[1] + 1))
    for beat in (twins.present, twins.absent):
        if before := [run[0] for run in _runs(beat, "P") if run[0] < qrs[0]]:
            return _Waves(before[-1], qrs, t)
    return _Waves(qrs[0] - _NO_P, qrs, t)


def _runs(beat: MedianBeat, wave: str) -> list[tuple[int, int]]:
    """First sample and end of every stretch of a wave, in order; waves of the simulator are the same in all leads."""
    edges = np.flatnonzero(np.diff(np.pad(beat.wave_masks[wave][0].astype(np.int8), 1)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _in(time: NDArray[np.bool_], *leads: str) -> NDArray[np.bool_]:
    """The mask of these samples in these leads, all where none is named, (8, 600)."""
    chosen = np.array([not leads or lead in leads for lead in LEADS])
    return chosen[:, None] & time
