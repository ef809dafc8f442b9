"""Means over ECGs with intervals that resample patients."""

import numpy as np
import pytest
from scipy.stats import norm

from ecg_lightning.functional.ecg_means import mean_over_ecgs
from ecg_lightning.functional.intervals import patient_resamples


def test_means_deviations_and_counts_leave_nan_out() -> None:
    values = np.random.default_rng(0).normal(size=(12, 2, 3))
    values[[1, 4], 0, 2] = np.nan
    values[1:, 1, 0] = np.nan
    values[:, 1, 1] = np.nan
    found = mean_over_ecgs(values, np.arange(12))
    np.testing.assert_allclose(found.mean[0], np.nanmean(values[:, 0], axis=0))
    np.testing.assert_allclose(found.sd[0], np.nanstd(values[:, 0], axis=0, ddof=1))
    assert found.defined.tolist() == [[12, 12, 10], [1, 0, 12]]
    assert found.mean[1, 0] == values[0, 1, 0]
    assert np.isnan([found.sd[1, 0], found.sd[1, 1], found.mean[1, 1], found.low[1, 1], found.high[1, 1]]).all()


def test_the_interval_is_the_slow_bootstrap() -> None:
    rng = np.random.default_rng(1)
    values, patients = rng.normal(size=30), rng.integers(0, 9, size=30)
    found = mean_over_ecgs(values, patients, n_resamples=200, confidence=0.9, seed=3)
    means = [np.repeat(values, weights).mean() for weights in patient_resamples(patients, 200, 3)]
    np.testing.assert_allclose([found.low, found.high], np.quantile(means, [0.05, 0.95]))


def test_many_ecgs_of_a_patient_do_not_narrow_the_interval() -> None:
    """As wide as theory says for as many independent patients, whatever each one's number of ECGs."""
    levels = np.random.default_rng(2).normal(size=200)
    found = mean_over_ecgs(np.repeat(levels, 10), np.repeat(np.arange(200), 10))
    expected = 2 * norm.ppf(0.975) * levels.std() / np.sqrt(200)
    assert float(found.high - found.low) == pytest.approx(expected, rel=0.15)


def test_one_patient_has_a_mean_but_no_interval() -> None:
    found = mean_over_ecgs([[1.0], [3.0]], ["a", "a"])
    assert (found.mean, found.sd) == (2.0, pytest.approx(np.sqrt(2)))
    assert np.isnan([found.low, found.high]).all()


def test_ids_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"values are \(3, 2\) and patient_ids \(2,\)"):
        mean_over_ecgs(np.zeros((3, 2)), ["a", "b"])
