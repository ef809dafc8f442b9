from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ecg import QRS_HALF_WIDTH, Synthetic, one_beat, synthetic

from ecg_lightning.data.sources.base import Recording, RecordingError
from ecg_lightning.ecg import FIDUCIAL_SAMPLE, LEADS
from ecg_lightning.signal import beat as module
from ecg_lightning.signal import errors, landmarks
from ecg_lightning.signal.beat import MedianBeat, median_beat
from ecg_lightning.signal.filters import CLEAN, zero_phase


def with_signal(made: Synthetic, signal: np.ndarray, rate: float = 500.0) -> Recording:
    return replace(made.recording, signal=signal, sampling_rate=rate)


@settings(max_examples=12, deadline=None)
@given(rate=st.floats(42.0, 150.0), first=st.floats(0.3, 0.9))
def test_rate_and_times_are_recovered(rate: float, first: float) -> None:
    made = synthetic(rate, first_r=first)
    result = median_beat(made.recording)
    assert result.heart_rate == pytest.approx(rate, rel=0.01)
    true = made.r_times * 500
    error = result.fiducials[:, None] - true
    nearest = error[np.arange(len(error)), np.abs(error).argmin(axis=1)]
    whole = (result.fiducials > 100) & (result.fiducials < 4900)  # the edge cuts the others' templates
    assert np.ptp(nearest[whole]) < 0.25  # one constant lag, to a fraction of a sample
    assert np.abs(nearest).max() < 500 * QRS_HALF_WIDTH
    assert len(result.r_peaks) >= len(true) - 1


def test_amplitudes_and_shape_are_recovered() -> None:
    made = synthetic(62.7, noise=0.0)
    result = median_beat(made.recording)
    (clean,) = zero_phase(made.recording.signal, CLEAN)
    fiducial = result.fiducials[5]
    at = fiducial + np.arange(600) - FIDUCIAL_SAMPLE
    expected = np.stack([np.interp(at, np.arange(5000), row) for row in clean])
    expected -= (expected - result.beat).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(result.beat, expected, atol=0.03)
    lag = (fiducial - made.r_times[5] * 500) / 500
    truth = one_beat((np.arange(600) - FIDUCIAL_SAMPLE) / 500 + lag)
    window = slice(FIDUCIAL_SAMPLE - 120, FIDUCIAL_SAMPLE + 220)
    for ours, theirs in zip(result.beat[:, window], truth[:, window], strict=True):
        assert np.corrcoef(ours, theirs)[0, 1] > 0.995
        assert np.ptp(ours) == pytest.approx(np.ptp(theirs), rel=0.06)


def test_voltage_before_the_qrs_complex_is_zero() -> None:
    result = median_beat(synthetic(60.0, noise=0.0).recording)
    before = result.beat[:, FIDUCIAL_SAMPLE - 40 : FIDUCIAL_SAMPLE - 30]
    np.testing.assert_allclose(before, 0.0, atol=0.02)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 250))
def test_shift_invariance(samples: int) -> None:
    long = synthetic(75.0, seconds=12.0)
    whole = median_beat(with_signal(long, long.recording.signal[:, :5000]))
    later = median_beat(with_signal(long, long.recording.signal[:, samples : samples + 5000]))
    assert np.abs(whole.beat - later.beat).max() < 0.06  # a sub-sample shift of the steepest flank
    for one, other in zip(whole.beat, later.beat, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.998


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0, -1.0])
def test_scale_equivariance(factor: float) -> None:
    made = synthetic(80.0)
    once = median_beat(made.recording)
    scaled = median_beat(with_signal(made, factor * made.recording.signal))
    np.testing.assert_allclose(scaled.beat, factor * once.beat, atol=1e-9)
    np.testing.assert_array_equal(scaled.r_peaks, once.r_peaks)


@settings(max_examples=6, deadline=None)
@given(st.permutations(range(8)))
def test_lead_order_does_not_matter(order: list[int]) -> None:
    made = synthetic(70.0)
    shuffled = replace(made.recording, signal=made.recording.signal[order], leads=tuple(LEADS[k] for k in order))
    np.testing.assert_array_equal(median_beat(shuffled).beat, median_beat(made.recording).beat)


def test_offsets_and_slow_drift_do_not_matter() -> None:
    made = synthetic(70.0)
    time = np.arange(5000) / 500
    drift = 0.5 + 0.4 * np.sin(2 * np.pi * 0.08 * time + np.arange(8)[:, None])
    beat = median_beat(with_signal(made, made.recording.signal + drift)).beat
    assert np.abs(beat - median_beat(made.recording).beat).max() < 0.03


def test_the_same_recording_gives_the_same_beat() -> None:
    recording = synthetic(90.0, noise=0.02).recording
    before = recording.signal.copy()
    first, second = median_beat(recording), median_beat(recording)
    np.testing.assert_array_equal(first.beat, second.beat)
    np.testing.assert_array_equal(recording.signal, before)


@pytest.mark.parametrize("rate", [250.0, 257.0, 360.0, 1000.0])
def test_other_rates_agree_with_500_hz(rate: float) -> None:
    reference = median_beat(synthetic(66.0, noise=0.0).recording)
    other = median_beat(synthetic(66.0, rate=rate, noise=0.0).recording)
    for one, two in zip(reference.beat, other.beat, strict=True):
        assert np.corrcoef(one, two)[0, 1] > 0.995
    assert other.heart_rate == pytest.approx(reference.heart_rate, rel=2e-3)


def test_noise_is_averaged_away() -> None:
    clean, noisy = (median_beat(synthetic(75.0, noise=n).recording).beat for n in (0.0, 0.04))
    assert np.std(noisy - clean) < 0.04 / 2  # 12 beats, and only what is under 100 Hz


def ectopic(made: Synthetic, which: list[int]) -> Recording:
    """Replace some beats by wide ones of another axis."""
    signal = made.recording.signal.copy()
    time = np.arange(signal.shape[1]) / 500
    for r in made.r_times[which]:
        signal -= one_beat(time - r)
        wide = np.exp(-0.5 * ((time - r) / 0.022) ** 2) - 0.5 * np.exp(-0.5 * ((time - r - 0.2) / 0.06) ** 2)
        signal += np.array([-1.2, 1.8, 1.6, 2.2, 2.0, -1.0, -1.4, -1.6])[:, None] * wide
    return with_signal(made, signal)


def test_ectopic_beats_count_for_the_rate_and_not_for_the_beat() -> None:
    made = synthetic(72.0)
    regular, mixed = median_beat(made.recording), median_beat(ectopic(made, [3, 7]))
    assert len(mixed.r_peaks) == len(regular.r_peaks)
    assert mixed.n_beats_kept == regular.n_beats_kept - 2
    assert np.abs(mixed.beat - regular.beat)[:, 150:450].max() < 0.06
    assert mixed.heart_rate == pytest.approx(72.0, rel=0.02)


def test_wave_masks_follow_the_beats() -> None:
    made = synthetic(68.0, with_masks=True)
    result = median_beat(made.recording)
    mask = result.wave_masks["QRS"]
    assert mask.shape == (8, 600)
    inside = np.flatnonzero(mask[0, 100:400]) + 100
    error = result.fiducials[:, None] - made.r_times * 500
    r_sample = FIDUCIAL_SAMPLE - error[np.arange(len(error)), np.abs(error).argmin(axis=1)].mean()
    assert inside[0] == pytest.approx(r_sample - 500 * QRS_HALF_WIDTH, abs=1.5)
    assert inside[-1] == pytest.approx(r_sample + 500 * QRS_HALF_WIDTH, abs=1.5)
    assert mask[0, inside[0] : inside[-1] + 1].all()
    assert (mask == mask[0]).all()


def test_wave_masks_at_another_rate_agree() -> None:
    slow = median_beat(synthetic(68.0, rate=250.0, with_masks=True).recording).wave_masks["QRS"]
    fast = median_beat(synthetic(68.0, with_masks=True).recording).wave_masks["QRS"]
    assert (slow != fast).sum() <= 8 * 8  # a few samples at the mask's edges


def test_a_wave_in_the_minority_of_beats_is_not_in_the_mask() -> None:
    made = synthetic(60.0, with_masks=True)
    time = np.arange(5000) / 500
    for share, expected in ((0.3, False), (0.7, True)):
        last = made.r_times[int(share * len(made.r_times))]
        mask = made.recording.wave_masks["QRS"] & (time < last - 0.3)
        result = median_beat(replace(made.recording, wave_masks={"QRS": mask}))
        assert bool(result.wave_masks["QRS"][0, FIDUCIAL_SAMPLE]) is expected


def test_a_mask_of_another_length_is_an_error() -> None:
    recording = replace(synthetic().recording, wave_masks={"P": np.zeros((8, 4999), dtype=np.bool_)})
    with pytest.raises(ValueError, match=r"wave mask 'P' has the shape \(8, 4999\)"):
        median_beat(recording)


def test_blank_takes_the_neighbours_away_and_nothing_of_the_beat() -> None:
    recording = synthetic(110.0, noise=0.0).recording  # RR 545 ms: the next QRS complex is at sample 513
    kept, blanked = median_beat(recording), median_beat(recording, neighbours="blank")
    assert np.abs(kept.beat[:, 480:]).max() > 0.8
    own = np.flatnonzero(blanked.beat.any(axis=0))
    assert (own[0], own[-1]) == (pytest.approx(240 - 109, abs=10), pytest.approx(240 + 164, abs=10))
    np.testing.assert_allclose(blanked.beat[:, own[0] : own[-1] + 1], kept.beat[:, own[0] : own[-1] + 1], atol=0.03)


def test_blank_at_a_very_high_rate_stays_finite() -> None:
    result = median_beat(synthetic(190.0, noise=0.0).recording, neighbours="blank")
    assert np.isfinite(result.beat).all()


def test_an_unknown_neighbours_is_refused() -> None:
    with pytest.raises(ValueError, match="neighbours: expected one of"):
        median_beat(synthetic().recording, neighbours="remove")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recording", "error"),
    [
        (synthetic(70.0, seconds=2.5).recording, errors.TooShortError),
        (synthetic(20.0, seconds=6.0, first_r=0.9).recording, errors.FewBeatsError),
        (Recording(np.random.default_rng(0).standard_normal((8, 5000)), 500.0, LEADS), errors.FewBeatsError),
        (Recording(np.zeros((8, 5000)), 500.0, LEADS), errors.FlatLeadError),
        (Recording(np.zeros((8, 0)), 500.0, LEADS), errors.TooShortError),
        (replace(synthetic().recording, sampling_rate=5.0), errors.SamplingRateError),
        (replace(synthetic().recording, leads=(*LEADS[:7], "V7")), errors.MissingLeadError),
        (replace(synthetic().recording, signal=1e3 * synthetic().recording.signal), errors.VoltageError),
    ],
)
def test_unusable_recordings(recording: Recording, error: type[RecordingError]) -> None:
    with pytest.raises(error):
        median_beat(recording)


def test_every_reason_is_a_recording_error_with_its_own_kind() -> None:
    reasons = [c for c in vars(errors).values() if isinstance(c, type) and c is not RecordingError]
    assert all(issubclass(c, RecordingError) for c in reasons)
    kinds = {vars(c)["kind"] for c in reasons}
    assert len(kinds) == len(reasons) >= 7


def test_median_equals_numpy_with_missing_ends() -> None:
    beats = np.random.default_rng(2).standard_normal((7, 3, 40))
    beats[0, :, :10] = np.nan
    beats[1, :, :5] = np.nan
    beats[6, :, 30:] = np.nan
    np.testing.assert_array_equal(module._nan_median(beats), np.nanmedian(beats, axis=0))
    beats[:, :, 0] = np.nan
    assert np.isnan(module._nan_median(beats)[:, 0]).all()


def test_onset_is_the_end_of_the_last_quiet_stretch() -> None:
    slope = np.full(600, 0.5)
    slope[225:] = 1.0
    slope[180:200] = 0.01
    slope[210:213] = 0.01  # too short
    assert landmarks.qrs_onset(slope) == 200


def test_onset_without_a_quiet_stretch_is_after_the_quietest() -> None:
    slope = np.full(600, 0.5)
    slope[190:194] = 0.2
    assert landmarks.qrs_onset(slope) == 194


def test_kept_beats_are_the_fiducials() -> None:
    result = median_beat(synthetic().recording)
    assert isinstance(result, MedianBeat)
    assert result.n_beats_kept == len(result.fiducials)
    assert result.beat.shape == (8, 600)
    assert result.beat.dtype == np.float64
