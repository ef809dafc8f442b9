import numpy as np
import pytest
from synthetic_ecg import synthetic

from ecg_lightning.signal import errors, plausibility

GOOD = synthetic().recording.signal


def test_a_good_recording_passes() -> None:
    plausibility.check_rate(500.0)
    plausibility.check_length(5000, 500.0)
    plausibility.check_signal(GOOD)


@pytest.mark.parametrize("rate", [0.0, -500.0, 99.0, 1e6, np.nan, np.inf])
def test_absurd_rates(rate: float) -> None:
    with pytest.raises(errors.SamplingRateError, match="100 to 16000 Hz"):
        plausibility.check_rate(rate)


@pytest.mark.parametrize("samples", [0, 1, 1499])
def test_short_recordings(samples: int) -> None:
    with pytest.raises(errors.TooShortError, match="at least 3 s"):
        plausibility.check_length(samples, 500.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_names_the_lead_and_counts(value: float) -> None:
    signal = GOOD.copy()
    signal[2, [5, 9]] = value
    with pytest.raises(errors.NotFiniteError, match=r"lead V1 \(2\) of 5000"):
        plausibility.check_signal(signal)


@pytest.mark.parametrize("sign", [1, -1])
def test_microvolts_are_taken_for_a_wrong_unit(sign: int) -> None:
    with pytest.raises(errors.VoltageError, match=r"V4 \(.*unit is not mV"):
        plausibility.check_signal(sign * 1000 * GOOD)


def test_twenty_millivolts_is_the_limit() -> None:
    signal = GOOD.copy()
    signal[0, 0] = 20.0
    plausibility.check_signal(signal)
    signal[0, 0] = 20.01
    with pytest.raises(errors.VoltageError, match="lead I "):
        plausibility.check_signal(signal)


def test_flat_leads() -> None:
    signal = GOOD.copy()
    signal[4] = 0.3  # constant
    signal[6] = 1e-3 * np.sin(np.arange(5000))  # near-constant
    signal[7] = 0.0
    signal[7, ::500] = 1.0  # dead but for spikes
    with pytest.raises(errors.FlatLeadError, match="lead V3, V5, V6 is flat"):
        plausibility.check_signal(signal)


def test_volts_look_flat() -> None:
    with pytest.raises(errors.FlatLeadError, match="unit is V"):
        plausibility.check_signal(GOOD / 1000)


def test_a_small_and_slow_lead_is_not_flat() -> None:
    signal = synthetic(40.0, noise=0.0).recording.signal
    signal[0] *= 0.05  # R of 30 uV at 40 a minute, no noise at all
    plausibility.check_signal(signal)
