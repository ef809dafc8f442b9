"""Reliability of Monte-Carlo maps."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

from ecg_lightning.functional.reliability import (
    split_reliability,
    stopping_reliability,
)
from ecg_lightning.functional.smoothing import savitzky_golay


def maps(groups: int, noise: float, seed: int = 0) -> torch.Tensor:
    """Group means of one smooth map with white noise, (group, 8, 600)."""
    rng = np.random.default_rng(seed)
    truth = np.cumsum(rng.normal(size=(8, 600)), axis=1)
    truth -= truth.mean()
    truth /= truth.std()
    return torch.from_numpy(truth + noise * rng.normal(size=(groups, 8, 600)))


def test_smoothing_is_scipys_filter() -> None:
    signal = torch.randn(3, 2, 100, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(savitzky_golay(signal), savgol_filter(signal.double().numpy(), 31, 3), atol=1e-12)
    np.testing.assert_allclose(savitzky_golay(signal, 5, 2), savgol_filter(signal.double().numpy(), 5, 2), atol=1e-12)
    with pytest.raises(ValueError, match="a window of 31 samples needs maps of at least as many, got 30"):
        savitzky_golay(torch.zeros(2, 30))


@settings(max_examples=40, deadline=None)
@given(st.integers(31, 420), st.sampled_from([(31, 3), (31, 2), (11, 3), (5, 1)]), st.integers(0, 2**31))
def test_smoothing_is_scipys_filter_at_any_length(samples: int, filter_: tuple[int, int], seed: int) -> None:
    signal = np.random.default_rng(seed).normal(size=(2, samples)).cumsum(axis=1)
    expected = savgol_filter(signal, *filter_)
    np.testing.assert_allclose(savitzky_golay(torch.from_numpy(signal), *filter_), expected, atol=1e-11)


def halves(means: np.ndarray, weights: np.ndarray) -> float:
    """The same by a loop: Horst's formula for every split, from the correlation of the halves' weighted means."""
    smooth = savgol_filter(means, 31, 3).reshape(len(means), -1)
    found = []
    for chosen in combinations(range(len(means)), len(means) // 2):
        first = np.isin(np.arange(len(means)), chosen)
        r = np.corrcoef(*(np.average(smooth[half], axis=0, weights=weights[half]) for half in (first, ~first)))[0, 1]
        p = weights[first].sum() / weights.sum()
        between = 4 * p * (1 - p) * (1 - r**2)
        found.append(2 * r * (np.sqrt(r**2 + between) - r) / between)
    return float(np.mean(found))


@pytest.mark.parametrize("groups", [2, 3, 4, 7])
def test_it_is_horsts_formula_over_all_halves(groups: int) -> None:
    means, weights = maps(groups, 3.0), np.linspace(0.5, 3.0, groups)
    expected = halves(means.numpy(), weights)
    assert float(split_reliability(means, torch.from_numpy(weights))) == pytest.approx(expected, abs=1e-12)


def test_two_groups_are_the_split_half_formula() -> None:
    groups = maps(2, 3.0)
    r = np.corrcoef(savgol_filter(groups.numpy(), 31, 3).reshape(2, -1))[0, 1]
    assert float(split_reliability(groups)) == pytest.approx(2 * r / (1 + r))


def test_groups_of_unequal_weight_predict_what_fresh_means_correlate() -> None:
    """Noise in proportion to 1 / weight: five groups of which one makes half of the mean, two unequal ones, four."""
    rng, truth = np.random.default_rng(0), maps(1, 0.0)[0].numpy()
    for weights in (np.array([8.0, 1, 1, 3, 3]), np.array([1.0, 4.0]), np.ones(4)):
        noise = rng.normal(size=(24, len(weights), 8, 600)) / np.sqrt(weights / weights.sum())[:, None, None]
        replicates = truth + noise  # that of each mean has a variance of 1
        means = np.einsum("rgls,g->rls", replicates, weights / weights.sum())
        actual = np.corrcoef(savgol_filter(means, 31, 3).reshape(24, -1))[np.triu_indices(24, 1)].mean()
        predicted = split_reliability(torch.from_numpy(replicates), torch.from_numpy(weights))
        assert 0.5 < actual < 0.98
        assert float(predicted.mean()) == pytest.approx(actual, abs=0.005)


@pytest.mark.parametrize("noise", [0.5, 2.0, 6.0])
def test_it_predicts_how_far_the_mean_is_from_the_truth(noise: float) -> None:
    """Against the truth that the maps were made of, over independent repetitions."""
    errors = []
    for seed in range(12):
        groups = maps(8, noise, seed)
        truth = savitzky_golay(maps(1, 0.0, seed)[0]).flatten()
        mean = savitzky_golay(groups.mean(0)).flatten()
        true = np.corrcoef(truth, mean)[0, 1]
        errors.append(float(split_reliability(groups).clamp(min=0.0).sqrt()) - true)
    assert abs(np.mean(errors)) < 0.002 * noise
    assert np.sqrt(np.mean(np.square(errors))) < 0.006 * noise


def test_batches_are_their_single_maps() -> None:
    both = torch.stack([maps(8, 1.0, 0), maps(8, 3.0, 1)])
    torch.testing.assert_close(split_reliability(both), torch.stack([split_reliability(one) for one in both]))


def test_constant_groups_have_none_and_disagreement_has_zero() -> None:
    groups = maps(8, 1.0)
    groups[3] = torch.nan
    assert split_reliability(groups).isnan()
    assert split_reliability(torch.full((8, 8, 600), 0.25)).isnan()
    one = maps(1, 0.0)[0]
    assert split_reliability(torch.stack([one, torch.full_like(one, 0.25)])).isnan()
    assert float(split_reliability(torch.stack([one, -one]))) == 0.0
    with pytest.raises(ValueError, match="two groups or more, got 1"):
        split_reliability(one[None])


@given(st.floats(0.01, 0.999))
def test_stopping_is_above_the_target(target: float) -> None:
    assert target < stopping_reliability(target) ** 0.5 < 1.0


def test_stopping_at_99_is_at_993() -> None:
    assert stopping_reliability(0.99) ** 0.5 == pytest.approx(0.993)
    for wrong in (0.0, 1.0, 1.5):
        with pytest.raises(ValueError, match="between 0 and 1"):
            stopping_reliability(wrong)
