"""Intervals of self-consistency, on similarities whose truth is known."""

from itertools import combinations

import numpy as np
import pytest

from ecg_lightning.experiments.self_consistency.seed_pairs import (
    FEW_PATIENTS,
    OVER_BOTH,
    TWO_SEEDS,
    corrected_effect,
    interval_of,
    noise_of_pairs,
    raw_effect,
)


def similarities(patients: int, seeds: int, mean: float, seed: int) -> np.ndarray:
    """(ecg, pair), one ECG a patient, with effects of patients, seeds and pairs."""
    generator = np.random.default_rng(seed)
    of_seed = generator.normal(scale=0.05, size=seeds)
    pairs = list(combinations(range(seeds), 2))
    common = mean + generator.normal(scale=0.1, size=(patients, 1)) + [of_seed[a] + of_seed[b] for a, b in pairs]
    return common + generator.normal(scale=0.05, size=(patients, len(pairs)))


def test_without_noise_the_correction_changes_nothing() -> None:
    values, patients = similarities(30, 4, 0.4, 0), np.arange(30)
    raw, corrected = (
        raw_effect(values, patients, range(4)),
        corrected_effect(values, noise_of_pairs(None, values.shape), patients, range(4)),
    )
    assert float(raw.estimate) == pytest.approx(values.mean())
    assert interval_of(raw, 0.95) == pytest.approx(interval_of(corrected, 0.95))
    low, high, kind = interval_of(raw, 0.95)
    assert low < values.mean() < high
    assert kind == OVER_BOTH


def test_what_noise_takes_from_all_similarities_is_given_back() -> None:
    """Reliabilities of .5 and .8 halve and shrink what the correction must restore, with its interval."""
    clean, patients = similarities(40, 3, 0.5, 1), np.arange(40)
    reliability = np.stack([np.full(40, 0.5), np.full(40, 0.8), np.full(40, 0.5)])
    noise = noise_of_pairs(reliability, clean.shape)
    np.testing.assert_allclose(noise[0], [np.sqrt(0.4), 0.5, np.sqrt(0.4)])
    found = corrected_effect(clean.mean() * noise, noise, patients, range(3))
    assert float(found.estimate) == pytest.approx(clean.mean())
    assert float(found.variance) == pytest.approx(0.0, abs=1e-20)


def test_an_unknown_reliability_leaves_its_pairs_out_of_both_means() -> None:
    values, patients = similarities(25, 3, 0.5, 2), np.arange(25)
    reliability = np.full((3, 25), 0.7)
    reliability[0, :5] = np.nan
    reliability[1, 5] = 0.0
    noise = noise_of_pairs(reliability, values.shape)
    assert np.isnan(noise).sum() == 5 * 2 + 2
    expected = np.nanmean(np.where(np.isnan(noise), np.nan, values), axis=1).mean() / 0.7
    assert float(corrected_effect(values, noise, patients, range(3)).estimate) == pytest.approx(expected)


def test_two_seeds_and_few_patients_have_no_interval_and_say_why() -> None:
    two = raw_effect(similarities(30, 2, 0.5, 3), np.arange(30), range(2))
    few = raw_effect(similarities(19, 5, 0.5, 4), np.arange(19), range(5))
    assert [interval_of(one, 0.95)[2] for one in (two, few)] == [TWO_SEEDS, FEW_PATIENTS]
    assert np.isnan([interval_of(one, 0.95)[:2] for one in (two, few)]).all()


def test_ecgs_of_one_patient_count_as_one() -> None:
    """A patient whose ECG is copied a hundred times weighs what it weighed before."""
    values = similarities(24, 3, 0.5, 5)
    copies = np.r_[np.arange(24), np.zeros(100, dtype=int)]
    once, often = raw_effect(values, np.arange(24), range(3)), raw_effect(values[copies], copies, range(3))
    assert interval_of(often, 0.95) == pytest.approx(interval_of(once, 0.95))
