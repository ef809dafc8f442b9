import numpy as np
import pytest
from synthetic_ecg import synthetic

from ecg_lightning.signal.filters import QRS_BAND, zero_phase
from ecg_lightning.signal.peaks import detect_all, velocity_energy
from ecg_lightning.signal.spikes import without_spikes
from ecg_lightning.signal.strength import STEP, qrs_strength

CLEAN = synthetic(70.0, noise=0.005).recording.signal


@pytest.mark.parametrize(("width", "size"), [(1, 0.5), (2, -3.0), (3, 10.0)])
def test_spikes_are_replaced_by_a_line(width: int, size: float) -> None:
    signal = CLEAN.copy()
    for at in (120, 1000, 3333):
        signal[2:5, at : at + width] += size
    out = without_spikes(signal)
    assert np.abs(out - CLEAN).max() < 0.06
    np.testing.assert_array_equal(out[:, 500:900], signal[:, 500:900])


def test_an_ecg_without_spikes_is_returned_itself() -> None:
    assert without_spikes(CLEAN) is CLEAN
    tall = 4.0 * CLEAN
    assert without_spikes(tall) is tall


def test_noise_everywhere_is_not_spikes() -> None:
    signal = CLEAN.copy()
    signal[:, ::25] += 5.0
    assert without_spikes(signal) is signal


def test_strength_is_one_at_usual_beats_and_none_where_every_lead_is_flat() -> None:
    made = synthetic(60.0, noise=0.005)
    strength = qrs_strength(zero_phase(made.recording.signal, QRS_BAND)[0])
    at = np.rint(500 * made.r_times / STEP).astype(int)
    assert np.abs(strength[at[1:-1]] - 1.0).max() < 0.2
    assert (strength[at[1:-1] + 50] < 0.05).all()
    assert not qrs_strength(np.zeros((8, 5000))).any()


@pytest.mark.parametrize("leads", [1, 2, 3])
def test_what_few_leads_show_counts_for_nothing(leads: int) -> None:
    signal = CLEAN.copy()
    signal[:leads, 2222:] += 8.0 * np.exp(-np.arange(5000 - 2222) / 30.0)
    before, after = (qrs_strength(zero_phase(s, QRS_BAND)[0]) for s in (CLEAN, signal))
    assert after[2222 // STEP] < 0.1
    far = np.abs(np.arange(1000) - 2222 // STEP) > 60
    assert np.abs(after - before)[far].max() < 0.35


def test_a_lead_that_is_off_does_not_weaken_the_others() -> None:
    signal = CLEAN.copy()
    signal[:6, 2500:] = 0.0
    strength = qrs_strength(zero_phase(signal, QRS_BAND)[0])
    assert strength[650:950].max() > 0.7


@pytest.mark.parametrize("behind", [400, 2500, 4000])
def test_zeros_behind_silence_no_detector(behind: int) -> None:
    signal = np.concatenate([CLEAN, np.zeros((8, behind))], axis=1)
    energy = velocity_energy(zero_phase(signal, QRS_BAND)[0])
    assert energy.min() >= 0.0
    assert len(detect_all(np.sqrt(energy)[None, ::2], 250.0)[0]) >= 10
