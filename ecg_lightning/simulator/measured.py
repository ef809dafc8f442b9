"""Measurements of a simulated heart, exactly as the simulator put them in.

All are of the ECG's own beats (premature ones are left out), without noise and without the small variation from beat to
beat; voltages are against the isoelectric line, and each is of what the ventricles, or the atria, add to the lead.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS, Target
from ecg_lightning.simulator.atria import P_DURATION
from ecg_lightning.simulator.heart import Anchor, Heart
from ecg_lightning.simulator.kernels import Timing, evaluate
from ecg_lightning.simulator.repolarisation import RepolarisationTimes, repolarisation_times, size_by_rate
from ecg_lightning.simulator.rhythm import DURATION, NORMAL

LEAD_OF: Final[Mapping[Target, str]] = {
    "st_level": "V5",
    "p_amplitude": "II",
    "r_amplitude": "V5",
    "t_amplitude": "V5",
}
"""The lead in which each voltage is measured."""

MEASURED: Final[tuple[Target, ...]] = ("pr_interval", "qrs_duration", *LEAD_OF, "heart_rate")
"""What is measured: ms, mV, beats per minute."""

AFTER_J: Final = 60.0
"""So long after the end of the QRS complex the ST level is measured, ms."""


def measure_heart(heart: Heart) -> dict[Target, float]:
    """Measure all of ``MEASURED``; NaN where there is nothing to measure, such as a P wave in fibrillation."""
    beats = heart.beats
    own, whole = own_beats(heart), beats.times[_whole(heart)]
    pr = beats.pr[own & np.isfinite(beats.pr)]
    j = np.array([heart.qrs_offset + AFTER_J])
    return {
        "pr_interval": float(np.median(pr)) if len(pr) else float("nan"),
        "qrs_duration": heart.qrs_offset - heart.depolarisation.loop.onset,
        "st_level": float((_qrs(heart, j) + _st_t(heart, j) + _added(heart, j, "J"))[0]),
        "p_amplitude": p_apex(heart)[1] if len(pr) else float("nan"),
        "r_amplitude": r_apex(heart)[1],
        "t_amplitude": t_apex(heart)[1],
        "heart_rate": 60_000.0 / float(np.diff(whole).mean()) if len(whole) > 1 else float("nan"),
    }


def own_beats(heart: Heart) -> NDArray[np.bool_]:
    """Return which beats are not premature and lie in the recording with their whole QRS complex, (beat,)."""
    return np.asarray(_whole(heart) & (heart.beats.kind == NORMAL))


def _whole(heart: Heart) -> NDArray[np.bool_]:
    times, loop = heart.beats.times, heart.depolarisation.loop  # as drawn: twins are measured over the same beats
    return np.asarray((times + loop.onset > 0.0) & (times + loop.offset < DURATION))


def p_apex(heart: Heart) -> tuple[float, float]:
    """Return when P is farthest from 0 mV in lead II, ms from its onset, and its voltage there."""
    kernels, time = heart.p_wave.kernels, np.arange(0.0, P_DURATION)
    waves = evaluate(time, kernels.centre, kernels.before, kernels.after)
    row = heart.p_vectors(kernels.vector)[:, LEADS.index(LEAD_OF["p_amplitude"])]
    return _farthest(time, row @ waves + _added(heart, time, "P"))


def r_apex(heart: Heart) -> tuple[float, float]:
    """Return when the QRS complex is highest in V5, ms from R, and its voltage there."""
    time = np.arange(heart.depolarisation.loop.onset, heart.qrs_offset)
    voltage = _qrs(heart, time) + _added(heart, time, "R")
    place = int(voltage.argmax())
    return float(time[place]), float(voltage[place])


def t_apex(heart: Heart) -> tuple[float, float]:
    """Return when T is farthest from 0 mV in V5, ms from the centre of its main kernel, and its voltage there."""
    times = t_times(heart)
    centre = float(times.timing.centre[0, 0])
    time = np.arange(times.onset[0] - centre, times.offset[0] - centre)
    return _farthest(time, _st_t(heart, time + centre) + _added(heart, time, "T"))


def _farthest(time: NDArray[np.float64], voltage: NDArray[np.float64]) -> tuple[float, float]:
    place = int(np.abs(voltage).argmax())
    return float(time[place]), float(voltage[place])


def t_times(heart: Heart) -> RepolarisationTimes:
    """Return when ST, T and U come in a beat of the median RR interval; all arrays are of this one beat."""
    return repolarisation_times(heart.repolarisation, heart.depolarisation, np.array([_rr(heart)]))


def _rr(heart: Heart) -> float:
    own = own_beats(heart)
    return float(np.median(heart.beats.qt_rr[own if own.any() else slice(None)]))


def _qrs(heart: Heart, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """(sample,) mV of the QRS complex in V5, ``time`` ms after R."""
    place, geometry = LEADS.index("V5"), heart.geometry
    row = [heart.depolarisation.loop.vector @ geometry.ventricular[place], geometry.qrs_residual[:, place]]
    return np.asarray(heart.gain.qrs * (np.concatenate(row) @ evaluate(time, *heart.qrs_kernels())))


def _st_t(heart: Heart, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """(sample,) mV of ST segment, T and U in V5, ``time`` ms after R, in a beat of the median RR interval."""
    timing: Timing = t_times(heart).timing
    waves = evaluate(time, timing.centre[0], timing.before[0], timing.after[0])
    size = float(size_by_rate(np.array([_rr(heart)]))[0])
    return np.asarray(size * (heart.st_t_vectors()[:, LEADS.index("V5")] @ waves))


def _added(heart: Heart, time: NDArray[np.float64], anchor: Anchor) -> NDArray[np.float64]:
    """(sample,) mV of what a twin has more in the lead of its measurement, ``time`` after the anchor, J: after R."""
    wave = heart.added
    if wave is None or wave.anchor != anchor:
        return np.zeros_like(time)
    centre = wave.centre + (heart.qrs_offset if anchor == "J" else 0.0)
    lead = LEADS.index(LEAD_OF["p_amplitude" if anchor == "P" else "r_amplitude"])
    shape = evaluate(time, np.array([centre]), np.array([wave.before]), np.array([wave.after]))[0]
    return np.asarray(wave.amplitude[lead] * shape)
