"""This module projects the heart vector on the leads of one patient."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ecg_lightning.simulator.streams import Streams

DOWER: Final = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
"""Leads I, II, V1-V6 (rows) of the heart vector X, Y, Z (Dower et al., J Electrocardiol 1980;13:245)."""

_CALIBRATION: Final = np.array([1.40, 1.0, 1.0, 1.25, 1.0, 1.0, 1.0, 1.0])  # of the prototype, on real ECGs
RESIDUAL_CENTRE: Final = 3.0
"""Mean centre (ms from R) of what no heart vector explains of a normal QRS complex."""

_LIMB: Final = 2  # leads
_ROTATION_SD: Final = np.array([12.6, 19.6, 22.4])  # degrees about X, Y, Z
_ELECTRODE_SHIFT: Final = 0.31
_MAX_SHIFT: Final = 0.7


@dataclass(frozen=True)
class Geometry:
    """The geometry says how one patient's heart projects on the leads.

    Attributes:
        ventricular: (8, 3) leads of the heart vector of QRS complex and T wave.
        atrial: (8, 3) of the P wave: smaller in the chest leads.
        qrs_centre: (16,) ms, kernels of the QRS complex that no heart vector explains, two a lead.
        qrs_width: (16,) ms, widths of these kernels.
        qrs_residual: (16, 8) mV, each kernel in its own lead.
        t_residual: (8,) mV, of the shape of the T wave.
        p_residual: (8,) mV, of the shape of the P wave.
    """

    ventricular: NDArray[np.float64]
    atrial: NDArray[np.float64]
    qrs_centre: NDArray[np.float64]
    qrs_width: NDArray[np.float64]
    qrs_residual: NDArray[np.float64]
    t_residual: NDArray[np.float64]
    p_residual: NDArray[np.float64]


@lru_cache(maxsize=1)  # all ECGs and twins of a patient come one after the other
def draw_geometry(patient: Streams) -> Geometry:
    """Draw a patient's thorax: heart axis, electrode positions, gains, and what is not dipolar."""
    rng = patient("geometry")
    matrix = DOWER * _CALIBRATION[:, None]
    matrix = matrix @ Rotation.from_euler("xyz", _ROTATION_SD * rng.standard_normal(3), degrees=True).as_matrix()
    matrix = _shift_electrodes(rng, matrix)
    matrix = matrix * np.exp(_log_gains(rng))[:, None] + 0.07 * rng.standard_normal((8, 3))
    atrial = matrix.copy()
    atrial[_LIMB:] *= rng.uniform(0.5, 0.8, size=(6, 1))
    limb = np.array([1.0] * _LIMB + [0.0] * 6, dtype=bool)
    rng = patient("residual")
    size = 0.13 * np.where(limb, 0.45, 1.0)
    lead = np.repeat(np.arange(8), 2)
    residual = np.zeros((16, 8))
    residual[np.arange(16), lead] = size[lead] * rng.standard_normal(16)
    return Geometry(
        ventricular=matrix,
        atrial=atrial,
        qrs_centre=RESIDUAL_CENTRE + 12.0 * rng.standard_normal(16),
        qrs_width=rng.uniform(5.0, 10.0, size=16),
        qrs_residual=residual,
        t_residual=0.075 * np.where(limb, 0.4, 1.0) * rng.standard_normal(8),
        p_residual=0.018 * rng.standard_normal(8),
    )


def _shift_electrodes(rng: Generator, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mix each chest lead with the next one (or the one before): electrodes out of place, partly all the same way."""
    chest = matrix[_LIMB:]
    shift = np.clip(_ELECTRODE_SHIFT * (rng.standard_normal(6) + rng.standard_normal()), -_MAX_SHIFT, _MAX_SHIFT)
    neighbour = np.clip(np.arange(6) + np.where(shift > 0.0, 1, -1), 0, 5)
    weight = np.abs(shift)[:, None]
    return np.vstack([matrix[:_LIMB], (1.0 - weight) * chest + weight * chest[neighbour]])


def _log_gains(rng: Generator) -> NDArray[np.float64]:
    """Logarithm of each lead's gain, (8,): body, limb leads, chest wall, each chest electrode."""
    gains = np.full(8, 0.18 * rng.standard_normal())
    gains[:_LIMB] += 0.14 * rng.standard_normal()
    gains[_LIMB:] += 0.11 * rng.standard_normal() + 0.18 * rng.standard_normal(6)
    return gains
