"""This module says where a textbook looks for a diagnosis or a measurement, beat by beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS, Target
from ecg_lightning.simulator.kernels import MS
from ecg_lightning.simulator.measured import AFTER_J, LEAD_OF
from ecg_lightning.simulator.recording import SimulatedEcg
from ecg_lightning.simulator.rhythm import PVC

_NO_P: Final = 80  # samples


@dataclass(frozen=True)
class Waves:
    """The first sample and the end of each wave of one beat; P where it would be in a beat without."""

    p: tuple[int, int]
    qrs: tuple[int, int]
    t: tuple[int, int]

    @classmethod
    def without_p(cls, qrs: tuple[int, int], t: tuple[int, int]) -> "Waves":
        """Return the waves of a beat without P, which would begin 160 ms before the QRS complex."""
        return cls((qrs[0] - _NO_P, qrs[0]), qrs, t)


def waves_of(ecg: SimulatedEcg) -> list[Waves]:
    """Return the waves of every beat but premature ventricular ones, in samples of the recording."""
    found = []
    for beat in np.flatnonzero(ecg.heart.beats.kind != PVC).tolist():
        qrs, t = (_samples(wave[beat]) for wave in (ecg.qrs, ecg.t))
        has_p = bool(np.isfinite(ecg.p[beat, 0]))
        found.append(Waves(_samples(ecg.p[beat]), qrs, t) if has_p else Waves.without_p(qrs, t))
    return found


def _samples(wave: NDArray[np.float64]) -> tuple[int, int]:
    start, end = np.rint(wave * MS).astype(int).tolist()
    return start, end


def textbook_mask(target: Target, beats: Sequence[Waves], samples: int, *, strain: bool) -> NDArray[np.bool_]:
    """Mark where the textbook looks for the diagnosis, or measures.

    Sinus rhythm, atrial fibrillation, AV block, PR interval: from P onset (or where P would begin) to QRS onset, all
    leads. Right bundle branch block: the last 40 % of the QRS complex in V1, V2, I, V5, V6. Left bundle branch block:
    QRS and ST-T, all leads. Low voltage, QRS duration: QRS, all leads. Hypertrophy: QRS in V1, V2, V5, V6, and ST-T in
    I, V5, V6 with strain. Bradycardia: T wave and what follows. Tachycardia: T wave and both ends, where the
    neighbouring beats come in. Amplitudes: the wave in the lead in which it is measured. ST level: in its lead, from
    the end of the QRS complex to T, 60 ms at least.

    Args:
        target: A diagnosis, or a measurement with evidence.
        beats: One for a median beat.
        samples: Of the signal, at 500 Hz.
        strain: Whether a hypertrophied ventricle has the strain pattern.

    Returns:
        (8, sample) boolean.
    """
    time = np.arange(samples)
    masks = [_of_beat(target, waves, time, strain) for waves in beats]
    return np.asarray(np.any(masks, axis=0)) if masks else np.zeros((len(LEADS), samples), dtype=np.bool_)


def _of_beat(target: Target, waves: Waves, time: NDArray[np.intp], strain: bool) -> NDArray[np.bool_]:
    onset, offset = waves.qrs
    qrs = (time >= onset) & (time < offset)
    st_t = (time >= offset) & (time < waves.t[1])
    before = (time >= waves.p[0]) & (time < onset)
    late = qrs & (time >= offset - 0.4 * (offset - onset))
    tail = time >= waves.t[0]
    wave = {
        "st_level": (time >= offset) & (time < max(waves.t[0], offset + round(AFTER_J * MS))),
        "p_amplitude": (time >= waves.p[0]) & (time < waves.p[1]),
        "r_amplitude": qrs,
        "t_amplitude": (time >= waves.t[0]) & (time < waves.t[1]),
    }
    if target in wave:
        return _in(wave[target], LEAD_OF[target])
    return {
        "sinus_rhythm": _in(before),
        "atrial_fibrillation": _in(before),
        "first_degree_av_block": _in(before),
        "pr_interval": _in(before),
        "sinus_bradycardia": _in(tail),
        "sinus_tachycardia": _in(tail | (time < waves.p[0])),
        "right_bundle_branch_block": _in(late, "V1", "V2", "I", "V5", "V6"),
        "left_bundle_branch_block": _in(qrs | st_t),
        "low_qrs_voltage": _in(qrs),
        "qrs_duration": _in(qrs),
        "left_ventricular_hypertrophy": _in(qrs, "V1", "V2", "V5", "V6") | _in(st_t & strain, "I", "V5", "V6"),
    }[target]


def _in(time: NDArray[np.bool_], *leads: str) -> NDArray[np.bool_]:
    """The mask of these samples in these leads, all where none is named, (8, sample)."""
    chosen = np.array([not leads or lead in leads for lead in LEADS])
    return chosen[:, None] & time
