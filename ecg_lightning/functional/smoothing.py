"""The paper's smoothing of maps before they are compared: a Savitzky-Golay filter along time."""

from functools import lru_cache
from typing import Final

import numpy as np
import torch
from scipy.signal import savgol_filter
from torch import Tensor

WINDOW: Final = 31
"""Samples of the filter (62 ms at 500 Hz; paper, "Similarity")."""

ORDER: Final = 3
"""Degree of its polynomial."""


def savitzky_golay(maps: Tensor, window: int = WINDOW, order: int = ORDER) -> Tensor:
    """Smooth along the last axis, in float64.

    The filter is linear, so it is a (sample, sample) matrix: exactly ``scipy.signal.savgol_filter`` with its default
    treatment of the ends (a polynomial fitted to the last window).

    Args:
        maps: (..., sample).
        window: Samples, odd.
        order: Degree of the polynomial.

    Returns:
        (..., sample) float64, on the same device.

    Raises:
        ValueError: Fewer samples than the window.
    """
    samples = maps.shape[-1]
    if samples < window:
        raise ValueError(f"a window of {window} samples needs maps of at least as many, got {samples}")
    return maps.double() @ _matrix(samples, window, order).to(maps.device)


@lru_cache(maxsize=8)
def _matrix(samples: int, window: int, order: int) -> Tensor:
    """The filter as a matrix that maps are multiplied by from the left."""
    return torch.from_numpy(np.ascontiguousarray(savgol_filter(np.eye(samples), window, order, axis=0).T))
