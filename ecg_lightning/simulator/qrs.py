"""Depolarisation of the ventricles: the QRS loop of each kind of conduction.

Centres and widths in ms from R, vectors in mV, axes left, down, back.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ecg_lightning.simulator.diagnoses import Conduction, Diagnoses
from ecg_lightning.simulator.kernels import OFFSET_LAG, ONSET_LEAD, Kernels
from ecg_lightning.simulator.streams import Streams, jittered, log_normal, unit

WIDE: Final = 120.0
"""QRS duration (ms) from which a bundle branch block is complete."""

NORMAL_DURATION: Final = 99.0
"""Duration of a normal QRS complex, ms."""

_LATER: Final = np.array([-0.2, 0.0, 0.3])
_TRIES: Final = 50


@dataclass(frozen=True)
class Depolarisation:
    """The QRS complex, and what it does to the repolarisation.

    Attributes:
        loop: The QRS loop.
        t_change: (3,) mV, added to the T vector.
        t_gain: The T vector's factor, before the addition.
        st_change: (3,) mV, added to the ST vector.
        t_width: Factor of the T wave's ascending width.
        ramp: Factor of the T wave's ramp.
        qtc: ms, added to the corrected QT interval.
        slow: Whether the left ventricle is reached late, from cell to cell.
    """

    loop: Kernels
    t_change: NDArray[np.float64]
    t_gain: float = 1.0
    st_change: NDArray[np.float64] | None = None
    t_width: float = 1.0
    ramp: float = 1.0
    qtc: float = 0.0
    slow: bool = False

    @property
    def duration(self) -> float:
        """Return the QRS duration in ms."""
        return self.loop.offset - self.loop.onset


def draw_depolarisation(patient: Streams, diagnoses: Diagnoses) -> Depolarisation:
    """Draw a patient's QRS complex.

    Every stream is drawn from the start whatever the diagnoses, so twins share the normal loop.
    """
    size = log_normal(patient("qrs_size"), 1.0, 0.22)
    if diagnoses.rhythm == "paced":
        return left_bundle_branch_block(patient("pacing"), size, paced=True)
    if diagnoses.conduction == "left_bundle_branch_block":
        return left_bundle_branch_block(patient("left_bundle"), size, paced=False)
    loop = normal_loop(patient("qrs"), size)
    fascicle: Conduction = "left_anterior_block" if diagnoses.bifascicular else diagnoses.conduction
    loop = _other_conduction(patient("fascicle"), loop, fascicle, size)
    loop = _infarct(patient("infarct"), loop, diagnoses)
    if diagnoses.voltage == "left_ventricular_hypertrophy":
        loop = _hypertrophy(patient("hypertrophy"), loop)
    if diagnoses.conduction == "right_bundle_branch_block":
        return right_bundle_branch_block(patient("right_bundle"), loop, complete=True)
    if diagnoses.conduction == "incomplete_right_bundle_branch_block":
        return right_bundle_branch_block(patient("right_bundle"), loop, complete=False)
    return Depolarisation(loop, np.zeros(3))


def normal_loop(rng: Generator, size: float) -> Kernels:
    """Make the normal loop: septum (Q), free wall (R), posterior wall (RP), base (S)."""
    w = float(np.clip(1.0 + 0.13 * rng.standard_normal(), 0.75, 1.28))
    q, rp, s = 0.24 * log_normal(rng, 1, 0.35), 0.62 * log_normal(rng, 1, 0.35), 0.26 * log_normal(rng, 1, 0.35)
    return Kernels.of(
        (-19.0 * w, 6.2 * w, 7.2 * w, size * q * jittered(rng, (-0.30, -0.05, -0.85), 0.22)),
        (0.0, 8.5 * w, 8.5 * w, size * 1.18 * jittered(rng, (0.85, 0.48, -0.10), 0.14)),
        (14.0 * w, 8.0 * w, 9.0 * w, size * rp * jittered(rng, (0.12, 0.12, 0.95), 0.20)),
        (27.0 * w, 7.5 * w, 10.0 * w, size * s * jittered(rng, (-0.55, -0.35, 0.55), 0.35)),
    )


def right_bundle_branch_block(rng: Generator, loop: Kernels, *, complete: bool) -> Depolarisation:
    """Make the late forces of the right ventricle, to the right and front; complete from 120 ms on, else below."""
    late_loss = rng.uniform(0.05, 1.0)
    for _ in range(_TRIES):
        t0, s, a = rng.uniform(40, 66), rng.uniform(9, 19), log_normal(rng, 0.90, 0.33)
        u = unit(np.array([-rng.uniform(0.30, 0.75), 0.27 * rng.standard_normal(), -rng.uniform(0.65, 0.95)]))
        gap, share = rng.uniform(0, 16), rng.uniform(0.15, 0.60)
        if not complete:  # later and smaller than normal, but not wide
            t0, s, a, gap = 0.62 * t0, 0.62 * s, 0.42 * a, 0.4 * gap
        faded = loop.vector * np.array([1.0, 1.0, late_loss, late_loss])[:, None] if complete else loop.vector
        right = Kernels.of(
            (t0 - 12.0 * (1.0 if complete else 0.6), 11.0 if complete else 7.0, s, 0.75 * a * u),
            (t0 + (14.0 + gap) * (1.0 if complete else 0.6), s, 1.25 * s, 0.45 * a * unit(u + _LATER)),
        )
        block = Depolarisation(replace(loop, vector=faded) + right, -share * 0.8 * a * u * [0.6, 0.6, 1.0])
        if complete == (block.duration >= WIDE):
            return replace(block, qtc=18.0) if complete else block
    return _stretched(block, complete=complete)


def left_bundle_branch_block(rng: Generator, size: float, *, paced: bool) -> Depolarisation:
    """Make the loop of a left ventricle that is reached late and from the right; T opposite to QRS.

    Pacing from the right ventricle's apex is the same with the loop turned upwards.
    """
    for _ in range(_TRIES):
        w, b, h = rng.uniform(0.76, 1.40), size * rng.uniform(0.85, 1.80), rng.uniform()
        up = rng.uniform(0.5, 1.3) if paced else 0.0
        l1 = (0.15 + 0.45 * h, rng.uniform(-0.2, 0.35) - up, 0.9)
        l2 = (0.15 + 0.75 * h, rng.uniform(-0.5, 0.15) - up, 0.9)
        l3 = (rng.uniform(0.2, 0.9), rng.uniform(-0.6, 0.2) - 0.6 * up, rng.uniform(0.3, 0.8))
        rows = (
            (-26 * w, 8.0, 9.0, 0.22 * b * rng.uniform(0.3, 1.3), (0.25, 0.2, rng.uniform(-0.7, 0.5)), 0.14),
            (0.0, 10.5 * w, 16 * w, b, l1, 0.14),
            (28 * w, 14.5 * w, 17 * w, b * rng.uniform(0.7, 1.1), l2, 0.25),
            (60 * w, 15 * w, 18 * w, b * rng.uniform(0.4, 0.9), l3, 0.30),
        )
        loop = Kernels.of(*((c, a, e, size_ * jittered(rng, d, j)) for c, a, e, size_, d, j in rows))
        if loop.offset - loop.onset >= WIDE:
            break
    else:
        loop = _stretched(Depolarisation(loop, np.zeros(3)), complete=True).loop
    magnitude = float(np.linalg.norm(loop.area)) / 0.06
    opposite = -unit(loop.area) * [0.65, 0.8, 1.1]
    return Depolarisation(
        loop=loop,
        t_gain=0.45,
        t_change=_discordance(rng) * magnitude * opposite,
        st_change=rng.uniform(0.07, 0.21) * magnitude * opposite,
        t_width=1.35,
        ramp=1.6,
        qtc=30.0,
        slow=True,
    )


def _discordance(rng: Generator) -> float:
    """How far T is turned against QRS: fully in most, hardly in some."""
    strength, weak = rng.uniform(0.22, 0.58), rng.uniform() < 0.15
    return float(strength * (rng.uniform(0.0, 0.5) if weak else 1.0))


def _stretched(block: Depolarisation, *, complete: bool) -> Depolarisation:
    """The complex brought to the right side of 120 ms by stretching its time."""
    margins = ONSET_LEAD + OFFSET_LAG  # they don't stretch
    factor = ((WIDE + 4.0 if complete else WIDE - 6.0) - margins) / (block.duration - margins)
    loop = block.loop
    stretched = Kernels(factor * loop.centre, factor * loop.before, factor * loop.after, loop.vector)
    return replace(block, loop=stretched, qtc=18.0 if complete else 0.0)


def _other_conduction(rng: Generator, loop: Kernels, conduction: Conduction, size: float) -> Kernels:
    """Fascicular blocks, delay without a bundle branch block's shape, and right ventricular hypertrophy."""
    tilt, stretch = rng.uniform(), rng.uniform(1.10, 1.22)
    q, r, rp, s = loop.vector
    if conduction == "left_anterior_block":  # first down and right, then up and left
        q = 0.24 * size * jittered(rng, (-0.35, 0.75, -0.5), 0.15)
        r = 1.10 * size * jittered(rng, (0.72, -0.45 - 0.4 * tilt, 0.05), 0.12)
        s = 0.35 * size * jittered(rng, (0.25, -0.85, 0.35), 0.2)
    elif conduction == "left_posterior_block":  # first up and left, then down and right
        q = 0.24 * size * jittered(rng, (0.45, -0.7, -0.5), 0.15)
        r = 1.10 * size * jittered(rng, (0.15 - 0.3 * tilt, 0.95, 0.0), 0.12)
    elif conduction == "intraventricular_delay":
        stretch = rng.uniform(1.32, 1.6)
    elif conduction == "right_ventricular_hypertrophy":  # to the right and the front
        r = 1.0 * size * jittered(rng, (-0.30 - 0.4 * tilt, 0.55, -0.55), 0.12)
        rp = 0.35 * size * jittered(rng, (-0.55, 0.1, 0.3), 0.2)
        s = 0.45 * size * jittered(rng, (-0.85, -0.15, 0.2), 0.2)
    else:
        return loop
    return Kernels(
        stretch * loop.centre,
        stretch * loop.before,
        stretch * loop.after,
        np.array([q, r, rp, s]),
    )


def _infarct(rng: Generator, loop: Kernels, diagnoses: Diagnoses) -> Kernels:
    """An infarct takes the first forces away from its wall."""
    loss, size = rng.uniform(0.5, 1.0), rng.uniform(0.25, 0.6)
    if diagnoses.repolarisation == "anterior_infarct":  # no R in V1-V3
        away = size * jittered(rng, (-0.15, 0.0, 0.95), 0.15)
    elif diagnoses.repolarisation == "inferior_infarct":  # Q in II, III, aVF
        away = size * jittered(rng, (0.1, -0.9, 0.1), 0.15)
    else:
        return loop
    vector = loop.vector.copy()
    vector[0] = (1.0 - loss) * vector[0] + away
    return replace(loop, vector=vector)


def _hypertrophy(rng: Generator, loop: Kernels) -> Kernels:
    """More and later forces of the free and the posterior wall of the left ventricle."""
    gain, back, stretch = rng.uniform(1.35, 2.3), rng.uniform(1.2, 1.9), rng.uniform(1.02, 1.22)
    vector = loop.vector.copy()
    vector[1:3] *= gain
    vector[2, 2] *= back
    return Kernels(stretch * loop.centre, stretch * loop.before, stretch * loop.after, vector)
