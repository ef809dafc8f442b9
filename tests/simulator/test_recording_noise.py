"""Noise of electrodes and recorder."""

import numpy as np
import pytest
from scipy.signal import welch

from ecg_lightning.signal.leads import LIMB_LEADS
from ecg_lightning.simulator.recording_noise import LEADS_OF_ELECTRODES, STEP, draw_noise, record
from ecg_lightning.simulator.streams import Streams

N = 5000


def noise(patient: int, ecg: int = 0) -> np.ndarray:
    return draw_noise(Streams(f"0/{patient}"), Streams(f"0/{patient}/{ecg}"), N)


def test_leads_are_differences_of_potentials() -> None:
    """A potential that all electrodes share is in no lead, and the left arm alone is in I, not in II."""
    np.testing.assert_allclose(LEADS_OF_ELECTRODES @ np.ones(9), 0.0, atol=1e-15)
    assert LEADS_OF_ELECTRODES[0, 1] == 1.0
    assert LEADS_OF_ELECTRODES[1, 1] == 0.0
    assert LEADS_OF_ELECTRODES[2, 1] == pytest.approx(-1 / 3)


def test_limb_leads_share_noise() -> None:
    """I and II have the right arm in common: a correlation near one half, where electrodes are equally noisy."""
    leads = np.stack([noise(patient) for patient in range(40)])
    correlation = [np.corrcoef(np.diff(one[:2], axis=1))[0, 1] for one in leads]
    assert np.mean(correlation) == pytest.approx(0.5, abs=0.1)
    limb = np.array(list(LIMB_LEADS.values())) @ leads[0, :2]
    np.testing.assert_allclose(limb[0] + limb[2] - limb[1], 0.0, atol=1e-12)


def test_the_same_stream_gives_the_same_noise_and_other_ecgs_another() -> None:
    np.testing.assert_array_equal(noise(1), noise(1))
    assert not np.array_equal(noise(1, 0), noise(1, 1))


def test_spectrum_has_drift_mains_and_muscle() -> None:
    frequency, power = welch(np.stack([noise(patient) for patient in range(60)]), fs=500, nperseg=2500)
    median = np.median(power, axis=(0, 1))

    def at(hz: float) -> float:
        return float(median[np.abs(frequency - hz).argmin()])

    assert at(0.2) > 1e3 * at(5.0)  # drift
    assert at(120.0) > 1.5 * at(10.0)  # muscle, high-passed
    mains = power[:, :, np.abs(frequency - 50).argmin()] > 5 * power[:, :, np.abs(frequency - 47).argmin()]
    other = power[:, :, np.abs(frequency - 60).argmin()] > 5 * power[:, :, np.abs(frequency - 57).argmin()]
    assert mains.any(axis=1).mean() > 1.3 * other.any(axis=1).mean()


def test_the_recorder_rounds_to_steps_and_passes_what_is_slow() -> None:
    signal = np.sin(2 * np.pi * 5.0 * np.arange(N) / 500)[None] * np.ones((8, 1))
    for patient in range(6):
        recorded = record(Streams(f"0/{patient}"), signal)
        np.testing.assert_allclose(recorded / STEP, np.rint(recorded / STEP), atol=1e-9)
        np.testing.assert_allclose(recorded[:, 50:-50], signal[:, 50:-50], atol=STEP)  # the mirror bends the ends


def test_recorders_differ_in_their_low_pass() -> None:
    fast = np.sin(2 * np.pi * 120.0 * np.arange(N) / 500)[None] * np.ones((8, 1))
    left = [float(record(Streams(f"0/{patient}"), fast).std() / fast.std()) for patient in range(200)]
    assert np.mean(np.array(left) < 0.1) == pytest.approx(0.20, abs=0.1)  # 40 Hz
    assert np.mean(np.array(left) > 0.95) == pytest.approx(0.15, abs=0.1)  # none
