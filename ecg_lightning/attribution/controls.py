"""Controls are maps that know nothing of the network, and go through every experiment as if they were methods.

A method whose score is no better than theirs has shown nothing about the network (Adebayo et al. 2018, an edge detector
beside saliency maps).
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, get_args

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.ecg import MEDIAN_BEAT

ControlName = Literal["random", "smoothed_random", "absolute_input", "absolute_slope"]

CONTROLS: Final[tuple[ControlName, ...]] = get_args(ControlName)

SMOOTHING_SECONDS: Final = 0.02
"""Standard deviation of the Gaussian that smooths ``smoothed_random``: its patches are then about as wide as the
deflections of a QRS complex, as those of a plausible map are."""


def check_controls(names: Sequence[str]) -> tuple[ControlName, ...]:
    """Check the names of controls.

    Raises:
        ValueError: An unknown name, or one listed twice.
    """
    known: dict[str, ControlName] = {name: name for name in CONTROLS}
    unknown = [name for name in names if name not in known]
    if unknown or len(set(names)) < len(names):
        raise ValueError(
            f"controls are some of {', '.join(CONTROLS)}, each at most once; got {', '.join(names)}"
            + (f" (unknown: {', '.join(unknown)})" if unknown else "")
        )
    return tuple(known[name] for name in names)


def control_maps(
    names: Sequence[ControlName],
    ecg: Tensor,
    key: Callable[[str, int], RandomKey],
    sampling_rate: float = MEDIAN_BEAT.sampling_rate,
) -> dict[str, Tensor]:
    """Make maps of the controls.

    ``random``: white Gaussian noise. ``smoothed_random``: the same kind of noise smoothed along time, with a standard
    deviation of 1. ``absolute_input``: |ecg|. ``absolute_slope``: |d ecg / dt|, central differences.

    Args:
        names: Names of the controls.
        ecg: (batch, lead, sample) mV.
        key: Control and index in the batch -> what its noise is drawn by, so that a row doesn't depend on its batch.
        sampling_rate: Of the ECGs, Hz.

    Returns:
        Name -> (batch, lead, sample) on the ECGs' device; noise has no unit, the input's are mV, the slope's mV/s.
    """
    return {name: _control(name, ecg, key, sampling_rate) for name in names}


def _control(name: ControlName, ecg: Tensor, key: Callable[[str, int], RandomKey], sampling_rate: float) -> Tensor:
    if name == "absolute_input":
        return ecg.abs()
    if name == "absolute_slope":
        (slope,) = torch.gradient(ecg, spacing=1.0 / sampling_rate, dim=-1)
        return slope.abs()
    if not len(ecg):
        return torch.zeros_like(ecg)
    draws = [key(name, index).for_purpose("control").normal(*ecg.shape[1:]) for index in range(len(ecg))]
    noise = torch.stack(draws)
    return (noise if name == "random" else _smoothed(noise, SMOOTHING_SECONDS * sampling_rate)).to(ecg)


def _smoothed(noise: Tensor, sigma: float) -> Tensor:
    """White noise of unit variance -> smooth noise of unit variance (up to the edges), ``sigma`` in samples."""
    smooth = gaussian_filter1d(noise.double().numpy(), sigma, axis=-1, mode="reflect")
    # a normalised Gaussian kernel leaves a variance of 1 / (2 sqrt(pi) sigma)
    return torch.from_numpy(smooth * np.sqrt(2.0 * np.sqrt(np.pi) * sigma))
