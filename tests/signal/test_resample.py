import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import interp1d

from ecg_lightning.signal.errors import SamplingRateError
from ecg_lightning.signal.resample import resample, resample_mask

RNG = np.random.default_rng(0)


def test_500_hz_is_untouched() -> None:
    signal = RNG.standard_normal((2, 100))
    np.testing.assert_array_equal(resample(signal, 500.0), signal)


def test_250_hz_is_linear_interpolation() -> None:
    signal = RNG.standard_normal((3, 77))
    out = resample(signal, 250.0)
    assert out.shape == (3, 154)
    at = np.arange(153) / 2
    np.testing.assert_allclose(out[:, :153], interp1d(np.arange(77), signal, axis=1)(at), atol=1e-12)
    np.testing.assert_array_equal(out[:, 153], signal[:, -1])


@pytest.mark.parametrize("rate", [100.0, 128.0, 257.0, 360.0, 400.0, 977.0, 1000.0, 2000.0, 499.5, 16000.0])
def test_a_sine_below_both_band_limits_is_recovered(rate: float) -> None:
    seconds = 4
    time = np.arange(round(rate * seconds)) / rate
    out = resample(np.sin(2 * np.pi * 10.0 * time)[None], rate)
    expected = np.sin(2 * np.pi * 10.0 * np.arange(out.shape[1]) / 500.0)
    assert abs(out.shape[1] - 500 * seconds) <= 1
    np.testing.assert_allclose(out[0, 100:-100], expected[100:-100], atol=5e-3)


@pytest.mark.parametrize("rate", [250.0, 257.0, 1000.0])
def test_a_constant_does_not_ring_at_the_edges(rate: float) -> None:
    np.testing.assert_allclose(resample(np.full((1, 2000), 7.0), rate), 7.0, rtol=2e-3)


@given(rate=st.sampled_from([125.0, 250.0, 257.0, 360.0, 500.0, 1000.0]), samples=st.integers(500, 700))
def test_mask_and_signal_have_one_length(rate: float, samples: int) -> None:
    mask = np.zeros((1, samples), dtype=np.bool_)
    assert resample_mask(mask, rate).shape == resample(np.ones((1, samples)), rate).shape


@pytest.mark.parametrize("rate", [250.0, 257.0, 500.0, 1000.0])
def test_a_mask_keeps_its_place(rate: float) -> None:
    time = np.arange(round(4 * rate)) / rate
    out = resample_mask(((time >= 1.0) & (time <= 1.5))[None], rate)
    inside = np.flatnonzero(out[0]) / 500
    assert inside[0] == pytest.approx(1.0, abs=0.5 / rate + 0.001)
    assert inside[-1] == pytest.approx(1.5, abs=1.0 / rate + 0.001)


def test_a_rate_without_a_small_ratio_is_refused() -> None:
    with pytest.raises(SamplingRateError, match="nominal rate"):
        resample(np.ones((1, 100)), 499.98765)
