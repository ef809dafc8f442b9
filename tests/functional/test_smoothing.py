"""The smoothing filter: as long in time at any rate, as scipy's on signals of any length, in words."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from ecg_lightning.functional.smoothing import WINDOW, savitzky_golay, smoothing_window, smoothing_words


def test_words_name_the_filter() -> None:
    assert smoothing_words() == "smoothed by Savitzky-Golay 31/3"
    assert smoothing_words(15, 2) == "smoothed by Savitzky-Golay 15/2"
    assert smoothing_words(None) == "not smoothed"


@pytest.mark.parametrize(
    ("rate", "samples"), [(500, 31), (500.0, WINDOW), (1000, 63), (400, 25), (250, 15), (128, 7), (100, 7), (50, 5)]
)
def test_window_lasts_as_long_at_any_rate(rate: float, samples: int) -> None:
    assert smoothing_window(rate) == samples


@given(st.integers(80, 2000))
def test_window_is_the_nearest_odd_number(rate: int) -> None:
    window = smoothing_window(rate)
    assert window % 2 == 1
    assert abs(window - 0.062 * rate) <= 1.0 + 1e-9 or window == 5


@settings(max_examples=40, deadline=None)
@given(st.integers(31, 6000), st.sampled_from([(31, 3), (63, 3), (15, 2), (7, 3), (5, 3)]), st.integers(0, 2**31))
def test_blocks_are_scipys_filter(samples: int, filter_: tuple[int, int], seed: int) -> None:
    samples = max(samples, filter_[0])
    signal = np.random.default_rng(seed).normal(size=(2, samples))
    found = savitzky_golay(torch.from_numpy(signal), *filter_)
    np.testing.assert_allclose(found, savgol_filter(signal, *filter_), rtol=0, atol=1e-12)


def test_median_beats_are_smoothed_by_the_whole_matrix_to_the_bit() -> None:
    matrix = torch.from_numpy(savgol_filter(np.eye(600), 31, 3, axis=0).T)
    beats = torch.randn(3, 8, 600, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parts = []
    for first in range(0, 600, 100):
        read = slice(max(0, first - 31), first + 131)
        parts.append(beats[..., read] @ matrix[read, first : first + 100].contiguous())
    torch.testing.assert_close(savitzky_golay(beats), torch.cat(parts, -1), rtol=0, atol=0)
