"""Maps are smoothed along time by a Savitzky-Golay filter before they are compared, as in the paper."""

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

_BLOCK: Final = 100
"""Samples that are smoothed by one product of matrices."""


def savitzky_golay(maps: Tensor, window: int = WINDOW, order: int = ORDER) -> Tensor:
    """Smooth maps along time, the last axis, in float64 by a Savitzky-Golay filter.

    The filter is linear, so it is a (sample, sample) matrix: exactly ``scipy.signal.savgol_filter`` with its default
    treatment of the ends (a polynomial fitted to the last window). Away from its diagonal the matrix is zero, so that
    it is applied block by block. What is not finite spoils the blocks within a window of it, and not the whole map.

    Args:
        maps: Maps, (..., sample).
        window: Window in samples, odd.
        order: Degree of the polynomial.

    Returns:
        (..., sample) float64, on the same device.

    Raises:
        ValueError: Fewer samples than the window.
    """
    samples = maps.shape[-1]
    if samples < window:
        raise ValueError(f"a window of {window} samples needs maps of at least as many, got {samples}")
    maps = maps.double()
    smooth = torch.empty_like(maps, memory_format=torch.contiguous_format)
    for target, source, matrix in _blocks(samples, window, order):
        smooth[..., target] = maps[..., source] @ matrix.to(maps.device)
    return smooth


def smoothing_words(window: int | None = WINDOW, order: int = ORDER) -> str:
    """Say how maps were smoothed, for a caption: ``smoothed by Savitzky-Golay 31/3``.

    Args:
        window: Samples of the filter; None: no smoothing.
        order: Degree of its polynomial.
    """
    return "not smoothed" if window is None else f"smoothed by Savitzky-Golay {window}/{order}"


@lru_cache(maxsize=8)
def _blocks(samples: int, window: int, order: int) -> tuple[tuple[slice, slice, Tensor], ...]:
    """Smoothed samples, the samples that they are made of, and the matrix that the latter are multiplied by."""
    matrix = torch.from_numpy(savgol_filter(np.eye(samples), window, order, axis=0).T)
    blocks = []
    for first in range(0, samples, _BLOCK):
        target = slice(first, min(first + _BLOCK, samples))
        # a sample near an end is made of the whole window there
        low, high = max(0, target.start - window), min(samples, target.stop + window)
        blocks.append((target, slice(low, high), matrix[low:high, target].contiguous()))
    return tuple(blocks)
