from pathlib import Path

import numpy as np
import pytest
from sleepecg import detect_heartbeats
from synthetic_ecg import synthetic

from ecg_lightning.data.sources import PtbXl
from ecg_lightning.signal.errors import FewBeatsError
from ecg_lightning.signal.filters import QRS_BAND, zero_phase
from ecg_lightning.signal.peaks import detect_all, find_r_peaks, refine_r_peaks, velocity_energy


def band_of(signal: np.ndarray) -> np.ndarray:
    return zero_phase(signal, QRS_BAND)[0]


@pytest.mark.parametrize("rate", [40.0, 60.0, 95.5, 140.0, 180.0])
def test_every_beat_is_found_once(rate: float) -> None:
    made = synthetic(rate, noise=0.01)
    peaks = find_r_peaks(band_of(made.recording.signal))
    true = made.r_times[(made.r_times > 0.1) & (made.r_times < 9.9)] * 500
    distance = np.abs(peaks[:, None] - true)
    assert (distance.min(axis=0) < 20).all()
    assert (distance.min(axis=1) < 20).all() or len(peaks) == len(true) + 1


def test_an_artefact_on_three_leads_is_outvoted() -> None:
    made = synthetic(60.0, noise=0.005)
    signal = made.recording.signal.copy()
    time = np.arange(5000) / 500
    spike = 0.3 * np.exp(-0.5 * ((time - 3.1) / 0.01) ** 2)
    signal[[0, 1, 2]] += spike
    assert not (np.abs(find_r_peaks(band_of(signal)) - 3.1 * 500) < 30).any()


def test_energy_equals_a_loop() -> None:
    band = np.random.default_rng(0).standard_normal((8, 400))
    slope = np.gradient(band, axis=1)
    power = (slope**2).sum(axis=0)
    energy = velocity_energy(band)
    for k in (100, 200, 300):
        assert energy[k] == pytest.approx(power[k - 15 : k + 16].mean())


@pytest.mark.parametrize("rate", [5.0, 10.0])
def test_fewer_than_three_beats(rate: float) -> None:
    with pytest.raises(FewBeatsError, match=r"\d heart beats found in 10.0 s, at least 3"):
        find_r_peaks(band_of(synthetic(rate, first_r=4.0, noise=0.0).recording.signal))


def test_all_channels_at_once_are_sleepecg_on_each(data_root: Path) -> None:
    """On real recordings, and on a channel that begins flat."""
    source = PtbXl(data_root / "ptbxl")
    for entry in source.entries()[:20]:
        channels = source.read(entry).signal[:, ::2].copy()
        channels[3, :40] = channels[3, 0]
        for found, channel in zip(detect_all(channels, 250.0), channels, strict=True):
            np.testing.assert_array_equal(found, detect_heartbeats(channel, 250.0))


def test_known_beats_are_refined_to_the_strongest_sample() -> None:
    made = synthetic(70.0, noise=0.005)
    band = band_of(made.recording.signal)
    found = find_r_peaks(band)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(refine_r_peaks(band, found + rng.integers(-15, 16, len(found))), found)
    with pytest.raises(FewBeatsError, match="0 heart beats"):
        refine_r_peaks(band, np.array([], dtype=np.intp))
