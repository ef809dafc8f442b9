"""Methods against controls: the difference, its interval and p-value."""

import numpy as np
import pytest

from ecg_lightning.functional.control_comparison import compare_with_best_control, two_sided_p


def test_p_of_symmetric_and_of_one_sided_replicates() -> None:
    generator = np.random.default_rng(0)
    assert two_sided_p(generator.normal(size=2000)) > 0.9
    assert two_sided_p(generator.normal(size=999) + 9) == pytest.approx(2 / 1000)
    assert two_sided_p(np.zeros(10)) == 1.0
    assert np.isnan(two_sided_p(np.full(5, np.nan)))


def test_the_rate_of_false_alarms_is_kept() -> None:
    """Scores that differ from the control's by noise only."""
    generator = np.random.default_rng(1)
    true = generator.normal(size=(400, 1))
    p = two_sided_p((true + generator.normal(size=(400, 500))).T)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.03)


def test_a_method_is_measured_against_the_best_control() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(scale=0.01, size=(500, 1))
    scores, controls = np.array([0.5, 0.2, np.nan]), np.array([0.1, 0.3])
    found = compare_with_best_control(scores, controls, scores + noise, controls + noise)
    np.testing.assert_allclose(found.difference, [0.2, -0.1, np.nan])
    np.testing.assert_allclose(found.low[:2], [0.2, -0.1])  # the same resamples: what is common goes out
    np.testing.assert_allclose(found.p[:2], 2 / 501)
    np.testing.assert_allclose(found.p_holm[:2], 4 / 501)
    assert np.isnan([found.p[2], found.p_holm[2], found.low[2], found.high[2]]).all()


def test_a_control_without_a_score_is_none() -> None:
    found = compare_with_best_control([0.5], [np.nan], np.full((10, 1), 0.5), np.full((10, 1), np.nan))
    assert np.isnan(found.difference).all()
    assert np.isnan(found.p).all()


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="at least one control"):
        compare_with_best_control([0.5], [], np.zeros((10, 1)), np.zeros((10, 0)))
    with pytest.raises(ValueError, match="replicates"):
        compare_with_best_control([0.5], [0.1], np.zeros((10, 2)), np.zeros((10, 1)))
