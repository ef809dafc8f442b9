import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from ecg_lightning.data.augmentation import DRIFT_HZ, Augmentation

OFF: dict[str, Any] = {"gain": 0, "lead_gain": 0, "lead_drop": 0, "shift": 0, "drift": 0, "noise": (0, 0)}
"""Nothing is changed; a test turns one part on."""
CONFIG = Path(__file__).parents[2] / "configs/data/augmented.yaml"


def augmented(ecg: Tensor, seed: int = 0, **parts: Any) -> Tensor:
    return Augmentation(**(OFF | parts))(ecg, torch.Generator().manual_seed(seed))


def ones(batch: int = 2000, leads: int = 8, samples: int = 20) -> Tensor:
    return torch.ones(batch, leads, samples, dtype=torch.float64)


def ramps(batch: int = 500) -> Tensor:
    """Every ECG rises by 1 mV a sample, so that a value tells its place."""
    return torch.arange(600.0).expand(batch, 8, 600)


def correlation_of_neighbours(signal: Tensor) -> float:
    return float(stats.pearsonr(signal[..., 1:].flatten(), signal[..., :-1].flatten()).statistic)


# --- each part by itself -----------------------------------------------------------------------------------------


def test_without_parts_the_ecgs_stay_as_they_are() -> None:
    ecg = torch.randn(5, 8, 600)
    changed = augmented(ecg)
    assert torch.equal(changed, ecg)
    assert changed.data_ptr() != ecg.data_ptr()


def test_the_gain_of_an_ecg_is_log_normal_and_shared_by_its_leads() -> None:
    log = augmented(ones(), gain=0.05).log()
    assert torch.equal(log, log[:, :1, :1].expand_as(log))
    assert stats.kstest(log[:, 0, 0], "norm", args=(0, 0.05)).pvalue > 1e-3


def test_the_gain_of_a_lead_is_its_own() -> None:
    log = augmented(ones(), lead_gain=0.12).log()
    assert torch.equal(log, log[:, :, :1].expand_as(log))
    assert stats.kstest(log[:, :, 0].flatten(), "norm", args=(0, 0.12)).pvalue > 1e-3
    between = np.corrcoef(log[:, :, 0].T) - np.eye(8)
    assert np.abs(between).max() < 5 / math.sqrt(2000)


def test_both_gains_multiply() -> None:
    both, one, other = (
        augmented(ones(), **parts) for parts in ({"gain": 0.05, "lead_gain": 0.12}, {"gain": 0.05}, {"lead_gain": 0.12})
    )
    torch.testing.assert_close(both, one * other, rtol=1e-6, atol=0)


def test_leads_are_lost_as_often_as_asked() -> None:
    lost = (augmented(ones(5000), lead_drop=0.04) == 0).all(dim=2)
    assert stats.binomtest(int(lost.sum()), lost.numel(), 0.04).pvalue > 1e-3
    assert (lost.double().mean(dim=0) > 0.02).all()
    # whole leads or none
    assert set(augmented(ones(5000), lead_drop=0.04).unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("probability", [0.5, 0.999999])
def test_one_lead_always_stays(probability: float) -> None:
    kept = (augmented(ones(), lead_drop=probability) != 0).all(dim=2)
    assert (kept.sum(dim=1) >= 1).all()
    if probability > 0.9:
        assert (kept.sum(dim=1) == 1).double().mean() > 0.99
        assert (kept.double().mean(dim=0) > 0.05).all()  # and not always the same one


def test_a_single_lead_is_never_lost() -> None:
    assert (augmented(ones(leads=1), lead_drop=0.9) == 1).all()


def test_a_lost_lead_is_exactly_zero_whatever_else_is_on() -> None:
    changed = Augmentation(lead_drop=0.5)(torch.randn(50, 8, 600), torch.Generator().manual_seed(0))
    empty = (changed == 0).all(dim=2)
    assert 0.4 < empty.double().mean() < 0.6
    assert ((changed == 0).any(dim=2) == empty).all()


def test_shifts_are_whole_uniform_and_common_to_all_leads() -> None:
    shift = 300 - augmented(ramps(), shift=5)[:, :, 300]
    assert torch.equal(shift, shift[:, :1].expand_as(shift))
    counts = [int((shift[:, 0] == k).sum()) for k in range(-5, 6)]
    assert sum(counts) == 500
    assert stats.chisquare(counts).pvalue > 1e-3


@settings(max_examples=20, deadline=None)
@given(largest=st.integers(0, 20), seed=st.integers(0, 99))
def test_a_shift_holds_the_edge(largest: int, seed: int) -> None:
    ecg = torch.randn(4, 2, 21, generator=torch.Generator().manual_seed(seed))
    moved = augmented(ecg, seed, shift=largest)
    for before, after in zip(ecg, moved, strict=True):
        padded = np.pad(before, ((0, 0), (largest, largest)), mode="edge")
        places = [k for k in range(2 * largest + 1) if np.array_equal(padded[:, k : k + 21], after)]
        assert places  # one of the allowed shifts, none that goes round


def test_the_drift_is_one_slow_sinusoid_a_lead() -> None:
    drift = augmented(torch.zeros(300, 8, 600, dtype=torch.float64), drift=25.0).numpy()
    # of a sinusoid, and of nothing else, x(t + d) + x(t - d) = 2 cos(w d) x(t) at all times, whatever phase and size
    d = 150  # 0.3 s: w d stays under pi
    middle, sides = drift[:, :, d:-d], drift[:, :, 2 * d :] + drift[:, :, : -2 * d]
    twice_cosine = (sides * middle).sum(axis=(1, 2)) / (middle**2).sum(axis=(1, 2))
    left = sides - twice_cosine[:, None, None] * middle
    assert np.abs(left).max() < 1e-7  # mV
    hertz = np.arccos(twice_cosine / 2) / (2 * np.pi * d / 500)
    low, high = DRIFT_HZ
    assert stats.kstest(hertz, "uniform", args=(low, high - low)).pvalue > 1e-3


def test_the_drift_has_the_same_frequencies_at_any_rate() -> None:
    change = Augmentation(**(OFF | {"drift": 25.0}))
    fast = change(torch.zeros(20, 12, 5000, dtype=torch.float64), torch.Generator().manual_seed(0), 500)
    slow = change(torch.zeros(20, 12, 1000, dtype=torch.float64), torch.Generator().manual_seed(0), 100)
    torch.testing.assert_close(slow, fast[..., ::5], atol=1e-6, rtol=0)


def test_the_drift_is_as_large_as_asked() -> None:
    drift = augmented(torch.zeros(3000, 8, 600, dtype=torch.float64), drift=25.0)
    # a sinusoid of amplitude N(0, s) at a random phase has mean square s^2 / 2 at every sample
    assert torch.allclose(
        drift.square().mean(dim=(0, 1)).sqrt(), torch.tensor(0.025 / math.sqrt(2)).double(), rtol=0.05
    )
    leads = drift[:, :, 300]
    assert np.abs(np.corrcoef(leads.T) - np.eye(8)).max() < 5 / math.sqrt(3000)


def test_the_noise_is_white_normal_and_between_its_bounds() -> None:
    noise = augmented(torch.zeros(400, 8, 600, dtype=torch.float64), noise=(8.0, 16.0))
    sigma = 1000 * noise.std(dim=(1, 2))  # uV; its own error is 1 %
    assert stats.kstest(sigma, "uniform", args=(8, 8)).pvalue > 1e-3
    assert sigma.min() > 8 * 0.95
    assert sigma.max() < 16 * 1.05
    assert abs(correlation_of_neighbours(noise)) < 5 / math.sqrt(noise.numel())
    standard = (noise / noise.std(dim=(1, 2), keepdim=True))[:20].flatten()
    assert stats.kstest(standard, "norm").pvalue > 1e-3
    between = np.corrcoef(noise[:50, 0])  # of ECGs
    assert np.abs(between - np.eye(50)).max() < 6 / math.sqrt(600)


def test_noise_of_one_size() -> None:
    noise = augmented(torch.zeros(50, 8, 600), noise=(12.0, 12.0))
    assert torch.allclose(1000 * noise.std(dim=(1, 2)), torch.tensor(12.0), rtol=0.06)


# --- together ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", OFF)
def test_turning_one_part_off_leaves_the_draws_of_the_others(part: str) -> None:
    everything: dict[str, Any] = {
        "gain": 0.05, "lead_gain": 0.12, "lead_drop": 0.04, "shift": 5, "drift": 25.0, "noise": (8.0, 16.0)
    }  # fmt: skip
    ecg = torch.randn(64, 8, 600, dtype=torch.float64)
    whole = augmented(ecg, **everything)
    without = augmented(ecg, **(everything | {part: OFF[part]}))
    assert not torch.equal(whole, without)
    difference = whole - without
    dropped = (whole == 0).all(dim=2)
    if part == "noise":
        assert abs(correlation_of_neighbours(difference[~dropped])) < 0.02
    elif part == "drift":
        roughness = (difference.diff(n=2, dim=2).abs().amax()) / difference.abs().amax()
        assert roughness < (2 * math.pi * DRIFT_HZ[1] / 500) ** 2 * 1.01  # the second difference of 1 Hz
    elif part == "lead_drop":
        assert torch.equal(difference[~dropped], torch.zeros_like(difference[~dropped]))
    elif part in ("gain", "lead_gain"):  # what is left is a multiple of the ECG without drift and noise
        clean = augmented(ecg, **(everything | {part: OFF[part], "drift": 0, "noise": (0, 0)}))
        share = (difference * clean).sum(dim=2) / clean.square().sum(dim=2).clamp(min=1e-9)
        torch.testing.assert_close(difference, share[..., None] * clean, atol=1e-6, rtol=0)


def test_a_batch_is_a_function_of_its_generator() -> None:
    ecg = torch.randn(6, 8, 600)
    before = ecg.clone()
    states = torch.get_rng_state()
    first, again, other = (Augmentation()(ecg, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(ecg, before)
    assert torch.equal(torch.get_rng_state(), states)  # the global generator is left alone


def test_precisions_see_the_same_draws() -> None:
    ecg = torch.randn(6, 8, 600, dtype=torch.float64)
    double = augmented(ecg, gain=0.1, drift=25, noise=(8, 16), shift=3)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 0.1)):
        single = augmented(ecg.to(dtype), gain=0.1, drift=25, noise=(8, 16), shift=3)
        assert single.dtype == dtype
        torch.testing.assert_close(single.double(), double, atol=tolerance, rtol=0)


@pytest.mark.parametrize("shape", [(1, 8, 600), (0, 8, 600), (3, 1, 50), (2, 12, 5000)])
def test_other_shapes(shape: tuple[int, int, int]) -> None:
    ecg = torch.randn(shape)
    changed = Augmentation()(ecg, torch.Generator().manual_seed(0))
    assert changed.shape == shape
    assert torch.isfinite(changed).all()


def test_gradients_do_not_reach_into_the_shared_noise() -> None:
    ecg = torch.randn(2, 8, 600, requires_grad=True)
    Augmentation()(ecg, torch.Generator().manual_seed(0)).sum().backward()
    assert ecg.grad is not None
    first = augmented(torch.zeros(2, 8, 600), noise=(8, 16))
    assert torch.equal(first, augmented(torch.zeros(2, 8, 600), noise=(8, 16)))


def test_the_shipped_configuration_is_the_specification_s() -> None:
    shipped = yaml.safe_load(CONFIG.read_text())["data"]["augmentation"]
    assert shipped["class_path"] == f"{Augmentation.__module__}.{Augmentation.__name__}"
    arguments = shipped["init_args"]
    assert Augmentation(**(arguments | {"noise": tuple(arguments["noise"])})) == Augmentation()


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gain": -0.1}, "gain is a standard deviation, expected 0 or more, got -0.1"),
        ({"lead_gain": math.inf}, "lead_gain is a standard deviation, .* got inf"),
        ({"drift": math.nan}, "drift is a standard deviation, .* got nan"),
        ({"lead_drop": 1.0}, "lead_drop is a probability under 1, got 1.0"),
        ({"lead_drop": -0.1}, "lead_drop is a probability under 1"),
        ({"shift": -1}, "shift must be a whole number of samples, 0 or more, got -1"),
        ({"shift": 1.5}, "shift must be a whole number"),
        ({"noise": (16.0, 8.0)}, r"noise must be the smallest and the largest .* got \[16.0, 8.0\]"),
        ({"noise": (-1.0, 8.0)}, "noise must be the smallest"),
        ({"noise": (8.0,)}, "noise must be the smallest"),
        ({"noise": (0.0, math.nan)}, "noise must be the smallest"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"augmentation: {message}"):
        Augmentation(**arguments)


@pytest.mark.parametrize(
    ("ecg", "message"),
    [
        (torch.zeros(8, 600), r"expects \(batch, lead, sample\) mV in a floating type, got \(8, 600\) torch.float32"),
        (torch.zeros(1, 8, 600, dtype=torch.int16), r"got \(1, 8, 600\) torch.int16"),
        (torch.zeros(1, 8, 5), "shifts by up to 5 samples, the ECGs have 5: lower `shift`"),
    ],
)
def test_bad_ecgs(ecg: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Augmentation()(ecg, torch.Generator())
