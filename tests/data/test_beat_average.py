"""Maps of recordings, averaged over their beats."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecg_lightning.data.beat_average import average_over_beats
from ecg_lightning.ecg import LEADS, SignalFormat

RECORDING = SignalFormat(LEADS, 500.0, 5000)


def test_beats_that_are_the_same_are_their_average() -> None:
    beat = torch.randn(3, 400)
    peaks = np.arange(1, 9) * 400
    recording = torch.zeros(3, 5000)
    for peak in peaks:
        recording[:, peak - 150 : peak + 250] = beat
    average, known = average_over_beats(recording, peaks, RECORDING)
    inside = known.nonzero()[:, 0]
    assert inside.tolist() == list(range(240 - 159, 240 + 241))  # .6 of the RR interval are behind R, the rest before
    torch.testing.assert_close(average[:, 90:481], beat[:, :391])


@given(first=st.integers(0, 400), interval=st.integers(150, 600), count=st.integers(1, 8))
def test_no_relevance_is_lost_or_counted_twice(first: int, interval: int, count: int) -> None:
    """Every point belongs to one beat: the average over the beats times their number is what lay within reach."""
    peaks = first + interval * np.arange(count)
    peaks = peaks[peaks < 5000]
    one = torch.zeros(1, 5000)
    one[0, peaks[len(peaks) // 2]] = 3.0
    average, _ = average_over_beats(one, peaks, RECORDING)
    assert average.sum().item() == pytest.approx(3.0 / len(peaks))
    assert average[0, 240].item() == pytest.approx(3.0 / len(peaks))


def test_signs_cancel_and_leading_dimensions_stay() -> None:
    maps = torch.zeros(2, 3, 8, 5000)
    maps[..., 1000], maps[..., 2000] = 1.0, -1.0
    average, known = average_over_beats(maps, np.array([1000, 2000]), RECORDING)
    assert average.shape == (2, 3, 8, 600)
    assert not average[..., 240].any()
    assert known[240]


def test_a_recording_without_beats_has_no_average() -> None:
    average, known = average_over_beats(torch.ones(8, 5000), np.empty(0, dtype=np.int64), RECORDING)
    assert not known.any()
    assert not average.any()
    with pytest.raises(ValueError, match="expected 5000 samples, got 600"):
        average_over_beats(torch.ones(8, 600), np.array([3]), RECORDING)
