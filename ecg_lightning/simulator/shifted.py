"""The same heart with one measurement shifted by one population SD: the twins of a measurement."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from ecg_lightning.ecg import LEADS, Target
from ecg_lightning.simulator.atria import P_DURATION
from ecg_lightning.simulator.case import Shift
from ecg_lightning.simulator.heart import QRS_MARGINS, AddedWave, Heart
from ecg_lightning.simulator.measured import AFTER_J, LEAD_OF, measure_heart, p_apex, r_apex, t_apex, t_times
from ecg_lightning.simulator.rhythm import NORMAL, P_TO_NEXT

POPULATION_SD: Final[Mapping[Target, float]] = {
    "pr_interval": 40.0,
    "qrs_duration": 32.0,
    "st_level": 0.12,
    "p_amplitude": 0.07,
    "r_amplitude": 0.75,
    "t_amplitude": 0.3,
}
"""SD of each measurement over 1,000 simulated ECGs, ms or mV, rounded: by so much a twin differs.

Without the heart rate: a twin of another rate has its beats at other times, so that nothing can be compared."""

_P_WIDTH: Final = 16.0  # ms, of what a larger P wave has more
_QRS_WIDTHS: Final = 12.0  # the QRS duration is so many widths of what a higher R wave has more
_ST_BEFORE: Final = 28.0  # ms; what an ST shift adds has nearly gone at J
_ST_LEAST: Final = 15.0  # ms
_ST_WIDTHS: Final = 2.2  # and at the peak of the T wave, so many widths later


def shift_of(heart: Heart, target: Target) -> Shift | None:
    """Return by how much the twin's measurement differs; None where there is nothing to shift.

    Intervals get longer, the ST level and R higher, P and T larger to the side on which they are. A PR interval gets
    shorter where a longer one would have the P wave begin in the T wave of the beat before.
    """
    amount, value = POPULATION_SD[target], measure_heart(heart)[target]
    if not np.isfinite(value):
        return None
    if target in ("p_amplitude", "t_amplitude"):
        return Shift(target, float(np.copysign(amount, value)))
    if target == "pr_interval" and not _has_room(heart, amount):
        return Shift(target, -amount) if value - amount >= P_DURATION else None
    return Shift(target, amount)


def _has_room(heart: Heart, longer: float) -> bool:
    beats = heart.beats
    too_early = beats.pr[1:] + longer > np.diff(beats.times) - P_TO_NEXT
    return not too_early[beats.kind[1:] == NORMAL].any()


def shifted_heart(heart: Heart, shift: Shift | None) -> Heart:
    """Return the same heart with one measurement shifted; RR intervals and all other waves stay.

    A voltage is shifted by the smallest heart vector that does it, along the axis of the lead in which it is measured:
    other leads change as far as they see it. QRS duration is stretched from QRS onset on, so that P and T stay.
    """
    if shift is None:
        return heart
    if shift.target == "pr_interval":
        beats = heart.beats
        return replace(heart, beats=replace(beats, pr=beats.pr + np.where(beats.kind == NORMAL, shift.amount, 0.0)))
    if shift.target == "qrs_duration":
        inside = heart.depolarisation.duration - QRS_MARGINS
        return replace(heart, stretch=(inside + shift.amount) / inside)
    matrix = heart.geometry.atrial if shift.target == "p_amplitude" else heart.geometry.ventricular
    axis = matrix[LEADS.index(LEAD_OF[shift.target])]
    wave = {"st_level": _more_st, "p_amplitude": _more_p, "r_amplitude": _more_r, "t_amplitude": _more_t}
    return replace(
        heart, added=replace(wave[shift.target](heart), amplitude=shift.amount * (matrix @ axis) / (axis @ axis))
    )


def _more_st(heart: Heart) -> AddedWave:
    room = float(t_times(heart).timing.centre[0, 0]) - heart.qrs_offset - AFTER_J
    return AddedWave("J", AFTER_J, _ST_BEFORE, max(room / _ST_WIDTHS, _ST_LEAST))


def _more_p(heart: Heart) -> AddedWave:
    return AddedWave("P", p_apex(heart)[0], _P_WIDTH, _P_WIDTH)


def _more_r(heart: Heart) -> AddedWave:
    width = heart.depolarisation.duration / _QRS_WIDTHS
    return AddedWave("R", r_apex(heart)[0], width, width)


def _more_t(heart: Heart) -> AddedWave:
    timing = t_times(heart).timing
    return AddedWave("T", t_apex(heart)[0], float(timing.before[0, 0]), float(timing.after[0, 0]))
