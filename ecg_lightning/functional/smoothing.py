"""Maps are smoothed along time by a Savitzky-Golay filter before they are compared, as in the paper."""

import math
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from scipy.signal import savgol_filter
from torch import Tensor

SECONDS: Final = 0.062
"""Duration of the filter: the paper's 31 samples at 500 Hz (paper, "Similarity")."""

WINDOW: Final = 31
"""Samples of the filter for median beats."""

ORDER: Final = 3
"""Degree of its polynomial."""

_LEAST_WINDOW: Final = ORDER + 2
"""Samples at least: a polynomial through as many points as it has coefficients smooths nothing."""

_BLOCK: Final = 100
"""Samples that are smoothed by one product of matrices."""

_SHORT: Final = 1024
"""Samples of a signal whose whole matrix is small: its blocks are cut from that."""


def smoothing_window(sampling_rate: float) -> int:
    """Return the samples that last as long as the paper's filter: 62 ms, the nearest odd number, 5 at least.

    Args:
        sampling_rate: Samples per second (Hz).
    """
    return max(2 * math.floor(round(SECONDS * sampling_rate, 9) / 2) + 1, _LEAST_WINDOW)


def window_setting(window: int) -> dict[str, int]:
    """Return what a store says of the filter that its rows depend on: nothing of ``WINDOW``, as it ever was.

    Args:
        window: Samples of the filter.
    """
    return {} if window == WINDOW else {"smoothing_window": window}


def savitzky_golay(maps: Tensor, window: int = WINDOW, order: int = ORDER) -> Tensor:
    """Smooth maps along time, the last axis, in float64 by a Savitzky-Golay filter.

    The filter is linear, so it is a (sample, sample) matrix: exactly ``scipy.signal.savgol_filter`` with its default
    treatment of the ends (a polynomial fitted to the last window). Away from its diagonal the matrix is zero, so that
    it is made and applied block by block. What is not finite spoils the blocks within a window of it, and not the
    whole map.

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
    blocks = []
    for first in range(0, samples, _BLOCK):
        last = min(first + _BLOCK, samples)
        # a sample near an end is made of the whole window there
        low, high = max(0, first - window), min(samples, last + window)
        # an end rounds by how many samples are filtered with it: those of a short signal all at once, as ever
        start, stop = (0, samples) if samples <= _SHORT else (low, high)
        matrix = _matrix(stop - start, window, order)[low - start : high - start, first - start : last - start]
        blocks.append((slice(first, last), slice(low, high), matrix.contiguous()))
    return tuple(blocks)


@lru_cache(maxsize=8)
def _matrix(samples: int, window: int, order: int) -> Tensor:
    """What a row of samples is multiplied by from the right, (sample, sample) float64."""
    return torch.from_numpy(savgol_filter(np.eye(samples), window, order, axis=0).T)
