"""Weighted sums of AUROCs against loops over all pairs, a closed form and simulated nulls."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from ecg_lightning.functional.classification import auroc
from ecg_lightning.statistics.auroc_area import auroc_effect
from ecg_lightning.statistics.effect import degrees_of_freedom

WEIGHTS = np.array([0.5, 0.25, -0.5, -0.25])


def slow_effect(
    logits: np.ndarray, weights: np.ndarray, label: np.ndarray, patients: np.ndarray
) -> tuple[float, float, float]:
    """Estimate, variance and the sum of cubed contributions, by DeLong's and Obuchowski's sums over all pairs."""
    kernel = np.array([[[
        [0.5 * (1 + np.sign(logits[s, i, k] - logits[s, j, k])) for k in range(len(weights))]
        for j in np.flatnonzero(label == 0)] for i in np.flatnonzero(label == 1)] for s in range(len(logits))
    ])  # fmt: skip
    of_seeds = [float((kernel[s].mean(axis=(0, 1)) * weights).sum()) for s in range(len(logits))]
    mean = np.mean(of_seeds)
    v10 = (kernel @ weights).mean(axis=(0, 2))
    v01 = (kernel @ weights).mean(axis=(0, 1))
    own, others = patients[label == 1], patients[label == 0]
    p, q = len(set(own)), len(set(others))
    variance, third = 0.0, 0.0
    for patient in set(patients):
        c, d = (v10[own == patient] - mean).sum() / len(v10), (v01[others == patient] - mean).sum() / len(v01)
        variance += p / (p - 1) * c**2 + q / (q - 1) * d**2 + 2 * np.sqrt(p * q / (p - 1) / (q - 1)) * c * d
        third += (c + d) ** 3
    seeds = len(logits)
    return float(mean), variance + (np.var(of_seeds, ddof=1) / seeds if seeds > 1 else 0.0), third


@pytest.mark.parametrize(("seeds", "mixed"), list(product([1, 3], [False, True])))
def test_against_all_pairs(seeds: int, mixed: bool) -> None:
    generator = np.random.default_rng(seeds)
    patients = generator.integers(0, 25, 60)
    label = (generator.random(60) < 0.4).astype(float) if mixed else (patients < 10).astype(float)
    logits = np.round(generator.normal(size=(seeds, 60, 4)) + label[:, None], 1)  # with ties
    found = auroc_effect(logits, WEIGHTS, label, patients)
    estimate, variance, third = slow_effect(logits, WEIGHTS, label, patients)
    np.testing.assert_allclose([found.estimate, found.variance], [estimate, variance])
    np.testing.assert_allclose(found.skewness, third / variance**1.5)
    by_hand = np.mean([sum(w * auroc(x[:, k], label)[0] for k, w in enumerate(WEIGHTS)) for x in logits])
    assert float(found.estimate) == pytest.approx(by_hand)
    assert 1 <= found.df <= len(set(patients)) + seeds - 2


def test_one_auroc_of_two_groups_has_the_placements_variance_and_df() -> None:
    generator = np.random.default_rng(0)
    label = np.repeat([1.0, 0.0], [12, 30])
    logits = generator.normal(size=42) + label
    found = auroc_effect(logits[None, :, None], [1.0], label, np.arange(42))
    below = (logits[label == 1][:, None] > logits[label == 0]).astype(float)
    a, b = below.mean(axis=1).var(ddof=1) / 12, below.mean(axis=0).var(ddof=1) / 30  # DeLong
    assert float(found.variance) == pytest.approx(a + b)
    assert float(found.df) == pytest.approx(float(degrees_of_freedom([a, b], [11, 29])))
    assert float(found.estimate) == pytest.approx(
        stats.mannwhitneyu(logits[label == 1], logits[label == 0]).statistic / 360
    )


def test_ecgs_without_a_value_are_left_out_and_counted() -> None:
    generator = np.random.default_rng(1)
    label = np.repeat([1.0, 0.0], [20, 20])
    logits, patients = generator.normal(size=(2, 40, 4)), np.arange(40) // 2
    whole = auroc_effect(logits[:, 2:-2], WEIGHTS, label[2:-2], patients[2:-2])
    logits[1, 0, 2] = np.nan
    logits[0, 1, 0] = np.nan
    label[-2:] = np.nan
    found = auroc_effect(logits, WEIGHTS, label, patients)
    assert found.estimate == whole.estimate
    assert found.variance == whole.variance
    assert (int(found.n_patients), int(found.n_left_out)) == (18, 2)


def test_what_is_unknown_is_nan() -> None:
    logits = np.random.default_rng(2).normal(size=(2, 10, 1))
    assert np.isnan(auroc_effect(logits, [1.0], np.ones(10), np.arange(10)).estimate)
    one = auroc_effect(logits, [1.0], np.eye(10)[0], np.arange(10))
    assert np.isfinite(one.estimate)
    assert float(one.p_above(0.0)) == 1.0
    with pytest.raises(ValueError, match="labels 1, 0 or NaN"):
        auroc_effect(logits, [1.0], np.arange(10), np.arange(10))
    with pytest.raises(ValueError, match=r"\(seed, ecg, term\)"):
        auroc_effect(logits[0], [1.0], np.ones(10), np.arange(10))


def test_the_same_curves_differ_by_nothing() -> None:
    logits = np.random.default_rng(3).normal(size=(3, 50, 2))
    label = np.repeat([1.0, 0.0], 25)
    found = auroc_effect(np.concatenate([logits, logits], axis=2), WEIGHTS * [1, 1, 1, 1], label, np.arange(50))
    assert found.variance == 0
    assert abs(found.estimate) < 1e-15


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_level_is_kept_with_several_ecgs_a_patient(seeds: int) -> None:
    """Two curves that differ by noise of the patients and of their ECGs."""
    generator, studies, patients = np.random.default_rng(4), 800, np.repeat(np.arange(60), 2)
    label = (patients < 25).astype(float)
    p = []
    for _ in range(studies):
        common = generator.normal(size=(1, 120, 1)) + 1.5 * label[:, None]
        own = generator.normal(size=(1, 60, 4))[:, patients] + 0.3 * generator.normal(size=(seeds, 120, 4))
        found = auroc_effect(common + own, WEIGHTS, label, patients)
        p += [found.p_above(0.0), found.p_below(0.0)]
    assert np.mean(np.array(p) <= 0.025) <= 0.025 + 4 * np.sqrt(0.025 * 0.975 / len(p))
