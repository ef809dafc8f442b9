import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_ecg import synthetic

from ecg_lightning.signal.align import align, shifted_windows, windows
from ecg_lightning.signal.errors import FewBeatsError
from ecg_lightning.signal.filters import QRS_BAND, zero_phase

RNG = np.random.default_rng(0)


@given(st.floats(40.0, 160.0))
def test_shifted_windows_are_linear_interpolation(time: float) -> None:
    signal = RNG.standard_normal((2, 200))
    out = shifted_windows(signal, np.array([time]), 20, 30, fill=np.nan)
    at = time + np.arange(-20, 31)
    reference = np.stack([np.interp(at, np.arange(200), row) for row in signal])
    np.testing.assert_allclose(out[0], reference, atol=1e-12)


def test_shifted_windows_beyond_the_recording_are_nan() -> None:
    signal = RNG.standard_normal((1, 50))
    out = shifted_windows(signal, np.array([3.0, 46.5]), 5, 5, fill=np.nan)
    assert np.isnan(out[0, 0]).tolist() == [True] * 2 + [False] * 9
    assert np.isnan(out[1, 0]).tolist() == [False] * 8 + [True] * 3
    np.testing.assert_array_equal(out[0, 0, 2:], signal[0, :9])


def test_windows_are_slices() -> None:
    signal = RNG.standard_normal((2, 100))
    out = windows(signal, np.array([10, 98]), 4, fill=0.0)
    np.testing.assert_array_equal(out[0], signal[:, 6:15])
    np.testing.assert_array_equal(out[1], np.pad(signal[:, 94:], ((0, 0), (0, 3))))


def test_known_lags_are_recovered_to_a_tenth_of_a_sample() -> None:
    made = synthetic(67.3, noise=0.0)
    (band,) = zero_phase(made.recording.signal, QRS_BAND)
    true = made.r_times * 500
    jitter = RNG.integers(-9, 10, len(true))  # two beats of which one is the template are less than 20 apart
    found = align(band, np.rint(true).astype(np.intp) + jitter)
    error = found.times - true[found.chosen]
    assert found.chosen.all()
    assert np.ptp(error) < 0.1
    assert found.correlations.min() > 0.99  # taken at the nearest whole sample


def test_correlation_equals_a_loop_over_lags() -> None:
    (band,) = zero_phase(synthetic(noise=0.05, seed=3).recording.signal, QRS_BAND)
    peaks = np.rint(synthetic().r_times * 500).astype(np.intp)
    found = align(band, peaks)
    template = shifted_windows(band, found.times, 50, 50, fill=0.0).mean(axis=0)
    for peak, time, correlation in zip(peaks[found.chosen], found.times, found.correlations, strict=True):
        loop = [np.sum(template * band[:, peak + k - 50 : peak + k + 51]) for k in range(-20, 21)]
        norm = [np.linalg.norm(band[:, peak + k - 50 : peak + k + 51]) for k in range(-20, 21)]
        reference = np.array(loop) / norm / np.linalg.norm(template)
        # The template of the last pass differs from the one made of its result by less than a percent.
        assert correlation == pytest.approx(reference.max(), abs=0.01)
        assert time - peak == pytest.approx(reference.argmax() - 20, abs=1.0)


def test_unlike_beats_are_refused() -> None:
    noise = RNG.standard_normal((8, 5000))
    with pytest.raises(FewBeatsError, match="of 8 beats are of one shape"):
        align(noise, np.arange(500, 4500, 500))
