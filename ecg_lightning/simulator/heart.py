"""This module draws what all beats of one ECG are made of."""

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS
from ecg_lightning.simulator.atria import PWave, draw_p_wave
from ecg_lightning.simulator.case import Case
from ecg_lightning.simulator.geometry import RESIDUAL_CENTRE, Geometry, draw_geometry
from ecg_lightning.simulator.kernels import MS, OFFSET_LAG, ONSET_LEAD, evaluate
from ecg_lightning.simulator.qrs import NORMAL_DURATION, Depolarisation, draw_depolarisation
from ecg_lightning.simulator.repolarisation import RepolarisationShape, draw_repolarisation, repolarisation_times
from ecg_lightning.simulator.rhythm import Beats, draw_beats
from ecg_lightning.simulator.voltage import QrsGain, draw_gain

QRS_MARGINS: Final = ONSET_LEAD + OFFSET_LAG
"""What a cardiologist's marks add to the QRS complex, ms; a stretched complex has the same."""


Anchor = Literal["R", "J", "P", "T"]
"""What a wave's time is counted from: R, the end of the QRS complex, P onset, the centre of T's main kernel."""


@dataclass(frozen=True)
class AddedWave:
    """An added wave raises every beat of the heart's own by the same Gaussian; only twins of a measurement have one.

    Attributes:
        anchor: What its centre is counted from.
        centre: ms from the anchor.
        before: Width up to the centre, ms.
        after: Width from the centre on, ms.
        amplitude: (8,) mV at the centre.
    """

    anchor: Anchor
    centre: float
    before: float
    after: float
    amplitude: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(LEADS)))


@dataclass(frozen=True)
class Heart:
    """A heart holds all that one ECG's beats are made of.

    Attributes:
        geometry: How the heart vector shows in the leads.
        beats: When the beats come.
        p_wave: Depolarisation of the atria.
        depolarisation: Of the ventricles.
        repolarisation: Of the ventricles.
        gain: Of QRS complex and T wave.
        stretch: Factor by which the QRS complex lasts longer; its onset, P and T stay. 1 but in twins.
        added: What a twin has more; None in other ECGs.
    """

    geometry: Geometry
    beats: Beats
    p_wave: PWave
    depolarisation: Depolarisation
    repolarisation: RepolarisationShape
    gain: QrsGain
    stretch: float = 1.0
    added: AddedWave | None = None

    @property
    def qrs_offset(self) -> float:
        """Return where a cardiologist marks the end of the QRS complex, J, ms from R."""
        loop = self.depolarisation.loop
        if self.stretch == 1.0:
            return loop.offset
        return loop.onset + QRS_MARGINS + self.stretch * (self.depolarisation.duration - QRS_MARGINS)

    def qrs_kernels(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return centres and widths before and after of the loop's kernels, then of its residual's, ms from R."""
        loop = self.depolarisation.loop
        residual_centre, residual_width = residual_kernels(self.geometry, self.depolarisation)
        centre = np.concatenate([loop.centre, residual_centre])
        before, after = (np.concatenate([width, residual_width]) for width in (loop.before, loop.after))
        if self.stretch == 1.0:
            return centre, before, after
        start = loop.onset + ONSET_LEAD
        return start + self.stretch * (centre - start), self.stretch * before, self.stretch * after

    def st_t_vectors(self) -> NDArray[np.float64]:
        """Return T, ramp, ST and U in the leads at the rate at which they have their drawn size, (4, 8) mV."""
        leads = self.gain.t * _t_vectors(self.repolarisation, self.geometry)
        leads[0] += self.geometry.t_residual
        return leads

    def p_vectors(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a P wave's two kernels, (..., 2, 3) mV, in the leads, (..., 2, 8) mV."""
        leads = vector @ self.geometry.atrial.T
        leads[..., 1, :] += self.geometry.p_residual
        return np.asarray(leads)


def draw_heart(case: Case) -> Heart:
    """Draw the parameters of one ECG."""
    patient, diagnoses = case.patient_streams, case.diagnoses
    geometry = draw_geometry(patient)
    depolarisation = draw_depolarisation(patient, diagnoses)
    repolarisation = draw_repolarisation(patient, diagnoses, depolarisation)
    beats = draw_beats(case.ecg_streams, diagnoses, case.heart_rate, case.pr_interval)
    gain = draw_gain(patient, diagnoses, *_reference_beat(geometry, depolarisation, repolarisation, beats))
    return Heart(geometry, beats, draw_p_wave(patient, diagnoses), depolarisation, repolarisation, gain)


def _reference_beat(
    geometry: Geometry, depolarisation: Depolarisation, shape: RepolarisationShape, beats: Beats
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """QRS complex, what overlaps it unscaled, and ST-T, from QRS onset to offset at the mean rate, (8, sample) mV."""
    loop = depolarisation.loop
    time = np.arange(loop.onset, loop.offset, 1.0 / MS)
    qrs = (loop.vector @ geometry.ventricular.T).T @ evaluate(time, loop.centre, loop.before, loop.after)
    centre, width = residual_kernels(geometry, depolarisation)
    qrs += geometry.qrs_residual.T @ evaluate(time, centre, width, width)
    times = repolarisation_times(shape, depolarisation, np.array([60.0 / beats.rate]))
    waves = evaluate(time, times.timing.centre[0], times.timing.before[0], times.timing.after[0])
    rest = np.outer(geometry.t_residual, waves[0])
    return qrs, rest, _t_vectors(shape, geometry).T @ waves


def residual_kernels(
    geometry: Geometry, depolarisation: Depolarisation
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return centres and widths of what no heart vector explains of the QRS complex, (16,) ms each.

    Near R in a normal complex; spread over the whole of it where the left ventricle is late.
    """
    if not depolarisation.slow:
        return geometry.qrs_centre, geometry.qrs_width
    middle = 0.5 * (depolarisation.loop.onset + depolarisation.loop.offset)
    stretch = depolarisation.duration / NORMAL_DURATION
    return middle + stretch * (geometry.qrs_centre - RESIDUAL_CENTRE), stretch * geometry.qrs_width


def _t_vectors(shape: RepolarisationShape, geometry: Geometry) -> NDArray[np.float64]:
    """T, ramp, ST and U in the leads, (4, 8) mV."""
    return np.asarray(np.stack([shape.t, shape.ramp, shape.st, shape.u]) @ geometry.ventricular.T)
