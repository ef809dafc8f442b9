"""Means over patients and seeds against slow references, closed forms and simulated nulls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ecg_lightning.statistics.effect import Effect, degrees_of_freedom, mean_effect, patient_means

STUDIES = 4000
BOUND = 4 * np.sqrt(0.025 * 0.975 / STUDIES)  # of a share of false alarms of .025


def slow_effect(values: np.ndarray) -> tuple[float, float, float, float]:
    """Estimate, variance, degrees of freedom and skewness of (patient, seed) values, by loops over the definitions."""
    rows = [row for row in values.tolist() if not any(np.isnan(row))]
    n, seeds = len(rows), len(rows[0])
    of_patients = [sum(row) / seeds for row in rows]
    of_seeds = [sum(row[k] for row in rows) / n for k in range(seeds)]
    mean = sum(of_patients) / n
    a = sum((x - mean) ** 2 for x in of_patients) / (n - 1) / n
    b = sum((x - mean) ** 2 for x in of_seeds) / (seeds - 1) / seeds if seeds > 1 else 0.0
    v = a + b
    inverse = [(part / v) ** (2 - part / v) / k for part, k in ((a, n - 1), (b, seeds - 1)) if k]
    df = 1 / sum(inverse)
    return mean, v, df, sum((x - mean) ** 3 for x in of_patients) / n**3 / v**1.5


@pytest.mark.parametrize("seeds", [1, 2, 3, 10])
def test_against_loops_over_the_definition(seeds: int) -> None:
    values = np.random.default_rng(seeds).gamma(2.0, size=(23, seeds, 4))
    values[3, 0, 1] = np.nan
    values[5:9, seeds - 1, 2] = np.nan
    found = mean_effect(values)
    for column in range(4):
        expected = slow_effect(values[:, :, column])
        np.testing.assert_allclose(
            [found.estimate[column], found.variance[column], found.df[column], found.skewness[column]], expected
        )
    assert found.n_patients.tolist() == [23, 22, 19, 23]
    assert found.n_left_out.tolist() == [0, 1, 4, 0]


def test_one_seed_is_students_t_test() -> None:
    values = np.random.default_rng(0).normal(0.3, size=30)
    found = mean_effect(values[:, None])
    reference = stats.ttest_1samp(values, 0.1)
    low, high = found.interval()
    np.testing.assert_allclose([low, high], stats.ttest_1samp(values, 0.0).confidence_interval())
    assert float(found.p_above(0.1)) >= stats.ttest_1samp(values, 0.1, alternative="greater").pvalue
    assert float(found.df) == pytest.approx(reference.df)


def test_a_difference_that_is_the_same_for_all_has_no_variance_and_no_test() -> None:
    for constant in (0.0, 0.1, 1 / 3, 1e6 / 7):
        found = mean_effect(np.full((25, 3), constant))
        assert found.variance == 0
        assert found.p_above(-1.0) == found.p_below(constant + 1) == 1.0
    own = np.random.default_rng(0).normal(size=(25, 1, 7))
    rounded = own.mean(axis=2) - np.add.reduce(own / 7, axis=2)  # 0 but for rounding
    assert mean_effect(rounded).variance == 0


def test_what_is_unknown_is_nan() -> None:
    found = mean_effect(np.array([[0.5, 0.7], [np.nan, 0.1]]))
    assert float(found.estimate) == pytest.approx(0.6)
    assert np.isnan(found.variance)
    assert float(found.p_above(0.0)) == 1.0
    assert np.isnan(mean_effect(np.full((3, 2), np.nan)).estimate)
    with pytest.raises(ValueError, match="patient, seed"):
        mean_effect([1.0, 2.0])


def test_each_patient_counts_once() -> None:
    means, patients = patient_means([1.0, 3.0, np.nan, 5.0, np.nan], ["b", "b", "b", "a", "c"])
    assert patients.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(means, [5.0, 2.0, np.nan])
    with pytest.raises(ValueError, match="patient ids"):
        patient_means([1.0], ["a", "b"])


@given(st.floats(-1, 1), st.floats(0.001, 1), st.floats(-0.99, 0.99), st.floats(0, 3))
def test_p_falls_as_the_effect_rises(estimate: float, variance: float, skewness: float, more: float) -> None:
    one = Effect(*(np.array(x) for x in (estimate, variance, 19.0, skewness)), np.array(20), np.array(0), 3)
    other = Effect(*(np.array(x) for x in (estimate + more, variance, 19.0, skewness)), np.array(20), np.array(0), 3)
    assert other.p_above(0.0) <= one.p_above(0.0) + 1e-12
    assert other.p_below(0.0) >= one.p_below(0.0) - 1e-12
    assert one.p_above(0.0) + one.p_below(0.0) >= 1 - 1e-9  # never both
    mirrored = Effect(*(np.array(x) for x in (-estimate, variance, 19.0, -skewness)), np.array(20), np.array(0), 3)
    np.testing.assert_allclose(mirrored.p_below(0.0), one.p_above(0.0))


@given(st.floats(0, 1), st.integers(1, 200), st.integers(1, 200))
def test_degrees_of_freedom_lie_between_the_least_and_satterthwaites(share: float, one: int, other: int) -> None:
    found = float(degrees_of_freedom([share, 1 - share], [one, other]))
    assert found <= 1 / (share**2 / one + (1 - share) ** 2 / other) + 1e-9
    assert found >= min(one, other) - 1e-9


def test_degrees_of_freedom_of_one_part_and_of_none() -> None:
    assert degrees_of_freedom([1.0, 0.0], [7, 3]) == pytest.approx(7)
    assert degrees_of_freedom([0.0, 0.0], [7, 3]) == 10
    assert degrees_of_freedom([1e-200, 0.0], [7, 3]) == pytest.approx(7)  # no underflow
    assert np.isnan(degrees_of_freedom([np.nan, 1.0], [7, 3]))


@pytest.mark.parametrize(("patients", "seeds", "of_seeds"), [(20, 1, 0.0), (24, 3, 0.3), (250, 3, 0.25), (50, 5, 1.0)])
def test_the_level_of_symmetric_data_is_kept(patients: int, seeds: int, of_seeds: float) -> None:
    generator = np.random.default_rng(patients)
    values = generator.normal(size=(patients, seeds, STUDIES)) + generator.normal(size=(patients, 1, STUDIES))
    values += generator.normal(scale=of_seeds, size=(1, seeds, STUDIES))
    found = mean_effect(values)
    assert (found.p_above(0.0) <= 0.025).mean() <= 0.025 + BOUND
    assert (found.p_below(0.0) <= 0.025).mean() <= 0.025 + BOUND
    low, high = found.interval()
    assert ((low < 0) & (high > 0)).mean() >= 0.95 - 2 * BOUND


def test_skewed_data_exceed_the_level_less_than_students_t() -> None:
    values = 1 - np.random.default_rng(0).exponential(size=(24, 1, STUDIES))  # a long tail to the left, mean 0
    found = mean_effect(values)
    plain = stats.t.sf(found.estimate / np.sqrt(found.variance), found.df)
    rate = (found.p_above(0.0) <= 0.025).mean()
    assert rate <= 0.038 + BOUND  # VERDICTS, section 3
    assert rate < (plain <= 0.025).mean() - 0.01
