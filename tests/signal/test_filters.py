import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

from ecg_lightning.signal.filters import CLEAN, QRS_BAND, SLOPE_BAND, Stage, zero_phase

SIGNAL = np.random.default_rng(0).standard_normal((3, 20_000))


def by_sosfiltfilt(signal: np.ndarray, stages: tuple[Stage, ...]) -> np.ndarray:
    for order, corners, kind in stages:
        sos = butter(order, corners[0] if len(corners) == 1 else corners, kind, fs=500, output="sos")
        signal = sosfiltfilt(sos, signal, axis=1)
    return signal


@pytest.mark.parametrize("stages", [CLEAN, QRS_BAND, SLOPE_BAND])
def test_equals_forward_and_backward_filtering_in_the_interior(stages: tuple[Stage, ...]) -> None:
    (out,) = zero_phase(SIGNAL, stages)
    np.testing.assert_allclose(out[:, 5000:-5000], by_sosfiltfilt(SIGNAL, stages)[:, 5000:-5000], atol=1e-6)


def test_several_filters_equal_one_at_a_time() -> None:
    both = zero_phase(SIGNAL, CLEAN, QRS_BAND)
    np.testing.assert_array_equal(both[0], zero_phase(SIGNAL, CLEAN)[0])
    np.testing.assert_array_equal(both[1], zero_phase(SIGNAL, QRS_BAND)[0])


def test_an_offset_vanishes_without_a_transient() -> None:
    (out,) = zero_phase(np.full((1, 997), 5.0), CLEAN)
    np.testing.assert_allclose(out, 0.0, atol=1e-12)


def test_a_symmetric_pulse_keeps_its_place() -> None:
    pulse = np.exp(-0.5 * ((np.arange(2001) - 1000) / 8.0) ** 2)[None]
    for out in zero_phase(pulse, CLEAN, QRS_BAND, SLOPE_BAND):
        np.testing.assert_allclose(out, out[:, ::-1], atol=1e-12)
        assert out[0].argmax() == 1000
