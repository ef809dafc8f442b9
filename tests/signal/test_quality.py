"""A median beat looks like its own recording, or there is none."""

from collections.abc import Callable

import numpy as np
import pytest
from synthetic_ecg import synthetic

from ecg_lightning.ecg import LEADS
from ecg_lightning.signal import errors, plausibility, quality
from ecg_lightning.signal.beat import median_beat
from ecg_lightning.signal.fillings import bridge_fillings
from ecg_lightning.signal.recording import Recording

RNG = np.random.default_rng(0)
TIME = np.arange(5000) / 500
CLEAN = synthetic(72.0, noise=0.005).recording.signal
TRUE = median_beat(Recording(CLEAN, 500.0, LEADS)).beat


def beat_of(signal: np.ndarray) -> np.ndarray:
    return median_beat(Recording(signal, 500.0, LEADS)).beat


@pytest.mark.parametrize(
    ("lead", "off", "value"),
    [(0, slice(0, 3000), -2.0), (7, slice(1000, 4000), 0.0), (2, slice(2800, 5000), 5.0), (4, slice(0, 2600), 0.0)],
)
def test_a_lead_that_is_off_for_half_keeps_its_beat(lead: int, off: slice, value: float) -> None:
    signal = CLEAN.copy()
    signal[lead, off] = value
    result = median_beat(Recording(signal, 500.0, LEADS))
    middle = slice(180, 420)
    np.testing.assert_allclose(result.beat[lead, middle], TRUE[lead, middle], atol=0.05)
    others = [k for k in range(8) if k != lead]
    np.testing.assert_allclose(result.beat[others], TRUE[others], atol=1e-2)


def test_two_leads_may_be_off() -> None:
    signal = CLEAN.copy()
    signal[1, :2400] = 0.0
    signal[7, :2700] = 1.0
    np.testing.assert_allclose(beat_of(signal)[:, 180:420], TRUE[:, 180:420], atol=0.05)


def printout(signal: np.ndarray) -> np.ndarray:
    """2.5 s a lead, zeros elsewhere."""
    out = np.zeros_like(signal)
    for lead in range(8):
        part = slice(1250 * (lead // 2), 1250 * (lead // 2 + 1))
        out[lead, part] = signal[lead, part]
    return out


def printout_with_rhythm(signal: np.ndarray) -> np.ndarray:
    out = printout(signal)
    out[1] = signal[1]
    return out


def drifting(signal: np.ndarray) -> np.ndarray:
    """An electrode that came off and drifts to the rail."""
    signal[5, 900:] = 3.0 * (1.0 - np.exp(-(TIME[900:] - TIME[900]) / 3.0))
    return signal


def off_but_for_a_second(signal: np.ndarray) -> np.ndarray:
    signal[3, 600:] = 0.0
    return signal


@pytest.mark.parametrize("change", [printout, printout_with_rhythm, drifting, off_but_for_a_second])
def test_a_lead_that_is_hardly_there_is_flat(change: Callable[[np.ndarray], np.ndarray]) -> None:
    with pytest.raises(errors.FlatLeadError, match=r"lead .*(V1|V2|V4).*\d.*at least 3"):
        beat_of(change(CLEAN.copy()))


def sine(frequency: float, millivolt: float) -> np.ndarray:
    return millivolt * np.sin(2 * np.pi * frequency * TIME + 0.5 * np.arange(8)[:, None])


@pytest.mark.parametrize(
    "noise",
    [sine(60.0, 1.0), sine(50.0, 4.0), sine(49.7, 0.8), sine(16.7, 4.0), 2.0 * RNG.standard_normal((8, 5000))],
    ids=["60 Hz", "50 Hz", "a generator's 49.7 Hz", "railway", "white"],
)
def test_noise_larger_than_the_ecg_gives_no_beat(noise: np.ndarray) -> None:
    with pytest.raises((errors.NoisyError, errors.FewBeatsError), match=r"\d"):
        beat_of(CLEAN + noise)


@pytest.mark.parametrize("noise", [sine(60.0, 0.05), sine(50.0, 0.05), 0.05 * RNG.standard_normal((8, 5000))])
def test_ordinary_noise_is_accepted(noise: np.ndarray) -> None:
    assert np.corrcoef(beat_of(CLEAN + noise).ravel(), TRUE.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("frequency", [49.5, 50.0, 59.7])
def test_mains_do_not_move_the_fiducial_of_small_complexes(frequency: float) -> None:
    small = 0.35 * CLEAN
    moved = beat_of(small + sine(frequency, 0.025))
    assert np.corrcoef(moved.ravel(), beat_of(small).ravel())[0, 1] > 0.93


def test_mains_in_one_lead_are_named() -> None:
    signal = CLEAN.copy()
    signal[2] += sine(50.0, 2.0)[0]
    with pytest.raises(errors.NoisyError, match=r"lead V1 \(\d+%\)"):
        beat_of(signal)


@pytest.mark.parametrize("share", [0.8, 0.9, 0.95])
def test_a_lead_that_is_noise_for_most_of_the_time_is_named(share: float) -> None:
    signal = CLEAN.copy()
    cut = int(share * 5000)
    signal[5, :cut] = np.random.default_rng(3).standard_normal(cut)
    with pytest.raises(errors.NoisyError, match=r"lead V4 (it is|\()"):
        beat_of(signal)


def test_a_small_lead_in_noise_is_not_noisy() -> None:
    """An isoelectric lead has beats that disagree; they are small."""
    signal = CLEAN.copy()
    signal[0] *= 0.02
    assert np.isfinite(beat_of(signal + 0.02 * RNG.standard_normal(signal.shape))).all()


def test_pacing_spikes_are_no_noise() -> None:
    made = synthetic(70.0, noise=0.005)
    signal = made.recording.signal.copy()
    at = np.rint(500 * (made.r_times - 0.06)).astype(int)
    signal[:, at[at >= 0]] += 8.0
    assert quality.fast_shares(beat_of(signal))[0] > quality.MAX_FAST  # it is the spikes that pass


def test_alive_seconds() -> None:
    plausibility.check_alive(CLEAN, 500.0)
    signal = CLEAN.copy()
    signal[3, 1400:] = 0.0
    with pytest.raises(errors.FlatLeadError, match=r"lead V2 \(2\.[789] s\)"):
        plausibility.check_alive(signal, 500.0)
    signal[3, :2000] = CLEAN[3, :2000]
    plausibility.check_alive(signal, 500.0)


def test_a_noiseless_slow_ecg_is_alive() -> None:
    plausibility.check_alive(synthetic(26.0, noise=0.0).recording.signal, 500.0)


def test_only_a_filling_is_bridged() -> None:
    base = CLEAN + 0.4
    signal = base.copy()
    assert bridge_fillings(signal, 500.0) == (signal, None)
    signal[:, 4500:] = 0.0
    signal[:, :700] = 0.0
    signal[:, 2000:2300] = -1.0
    bridged, filled = bridge_fillings(signal, 500.0)
    assert filled is not None
    np.testing.assert_array_equal(np.flatnonzero(np.diff(filled)), [699, 1999, 2299, 4499])
    np.testing.assert_array_equal(bridged[:, ~filled], base[:, ~filled])
    np.testing.assert_array_equal(bridged[:, 4500:], np.tile(base[:, 4499:4500], 500))
    np.testing.assert_array_equal(bridged[:, :700], np.tile(base[:, 700:701], 700))
    np.testing.assert_allclose(bridged[:, 2150], base[:, [1999, 2300]].mean(axis=1), atol=0.01)
    repeated = base.copy()
    repeated[:, 4900:] = repeated[:, 4899:4900]  # an archive's own way to fill up
    assert bridge_fillings(repeated, 500.0) == (repeated, None)


@pytest.mark.parametrize(("start", "stop", "value"), [(1200, 2600, 0.0), (2000, 2400, -1.5), (600, 3000, 3.0)])
def test_a_gap_in_all_leads_counts_neither_for_peaks_nor_for_the_rate(start: int, stop: int, value: float) -> None:
    signal = CLEAN + 0.4
    signal[:, start:stop] = value
    result = median_beat(Recording(signal, 500.0, LEADS))
    assert not ((result.r_peaks > start - 5) & (result.r_peaks < stop + 5)).any()
    assert result.heart_rate == pytest.approx(72.0, abs=0.5)
