"""Bootstrap by patients against SciPy's bootstrap, and the coverage that it is for."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import ecg_lightning.functional.intervals as intervals
from ecg_lightning.functional.intervals import (
    patient_bootstrap,
    patient_resamples,
    percentile_interval,
    resampling_generator,
    weighted_mean,
)

ids = st.lists(st.integers(0, 9), min_size=2, max_size=30).filter(lambda p: len(set(p)) > 1)


@given(ids, st.integers(0, 99))
def test_all_ecgs_of_a_patient_are_drawn_together(patients: list[int], seed: int) -> None:
    weights = patient_resamples(patients, 7, seed)
    assert weights.shape == (7, len(patients))
    _, first, codes = np.unique(patients, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(weights, weights[:, first[codes]])
    np.testing.assert_array_equal(weights[:, first].sum(axis=1), len(first))  # as many patients as there are


@given(ids, st.integers(0, 99), st.randoms())
def test_draws_follow_the_patient_whatever_the_order_and_the_number(
    patients: list[int], seed: int, random: object
) -> None:
    weights = patient_resamples(patients, 9, seed)
    order = np.arange(len(patients))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = patient_resamples(np.array(patients)[order], 9, seed)
    np.testing.assert_array_equal(shuffled, weights[:, order])
    np.testing.assert_array_equal(patient_resamples(patients, 4, seed), weights[:4])
    np.testing.assert_array_equal(patient_resamples([f"p{p}" for p in patients], 9, seed), weights)


@settings(max_examples=20)
@given(ids, st.integers(1, 40))
def test_chunks_do_not_change_the_draws(patients: list[int], elements: int) -> None:
    whole = patient_resamples(patients, 11, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "_CHUNK_ELEMENTS", elements)
        np.testing.assert_array_equal(patient_resamples(patients, 11, 0), whole)


def test_seeds_and_the_global_generator() -> None:
    np.random.seed(0)  # noqa: NPY002
    first = patient_resamples(range(50), 3, 0)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(patient_resamples(range(50), 3, 0), first)
    assert (patient_resamples(range(50), 3, 1) != first).any()


def test_weights_are_poisson_like() -> None:
    """Each patient is drawn once on average, with variance 1 - 1/P (a binomial of P draws)."""
    weights = patient_resamples(range(400), 500, 0).astype(float)
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(1 - 1 / 400, abs=0.02)
    assert (weights == 0).mean() == pytest.approx((1 - 1 / 400) ** 400, abs=0.01)


def test_scipy_gives_the_same_replicates_and_interval() -> None:
    data = np.random.default_rng(0).gamma(2, size=30)
    reference = scipy.stats.bootstrap(
        (data,), np.mean, n_resamples=500, confidence_level=0.9, method="percentile", rng=resampling_generator(5)
    )
    patients = np.array([f"{index:03d}" for index in range(30)])
    ours = patient_bootstrap(lambda w: weighted_mean(data, w), patients, n_resamples=500, confidence=0.9, seed=5)
    np.testing.assert_allclose(ours.replicates, reference.bootstrap_distribution)
    np.testing.assert_allclose(tuple(ours.interval), tuple(reference.confidence_interval))
    assert ours.estimate == pytest.approx(data.mean())


@settings(max_examples=50)
@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(1, 9), st.integers(1, 3)), elements=st.floats(-1e3, 1e3) | st.just(np.nan)
    ),
    st.floats(0.01, 0.99),
)
def test_interval_is_nanquantile(replicates: np.ndarray, confidence: float) -> None:
    interval = percentile_interval(replicates, confidence)
    for column in range(replicates.shape[1]):
        defined = replicates[~np.isnan(replicates[:, column]), column]
        assert interval.undefined[column] == len(replicates) - len(defined)
        if len(defined):
            shares = [(1 - confidence) / 2, 1 - (1 - confidence) / 2]
            expected = np.quantile(defined, shares)
            np.testing.assert_allclose([interval.low[column], interval.high[column]], expected, atol=1e-9)
        else:
            assert np.isnan(interval.low[column])
            assert np.isnan(interval.high[column])


def test_interval_keeps_the_shape_and_unpacks() -> None:
    replicates = np.random.default_rng(0).normal(size=(100, 2, 3, 4))
    interval = percentile_interval(replicates)
    low, high = interval
    assert low.shape == high.shape == interval.undefined.shape == (2, 3, 4)
    assert (low < high).all()
    assert percentile_interval([1.0, 2.0, 3.0]).low.shape == ()


def test_bootstrap_in_chunks_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values, patients = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) // 2
    whole = patient_bootstrap(lambda w: weighted_mean(values, w), patients, n_resamples=50)
    sizes = []

    def statistic(weights: np.ndarray) -> np.ndarray:
        sizes.append(len(weights))
        return weighted_mean(values, weights)

    monkeypatch.setattr(intervals, "_CHUNK_ELEMENTS", 160)
    chunked = patient_bootstrap(statistic, patients, n_resamples=50)
    assert sizes == [1, 8, 8, 8, 8, 8, 8, 2]
    np.testing.assert_allclose(chunked.replicates, whole.replicates, rtol=1e-13)
    np.testing.assert_allclose(chunked.estimate, values.mean(axis=0))
    np.testing.assert_allclose(chunked.interval.low, np.quantile(whole.replicates, 0.025, axis=0))


def test_patients_not_ecgs_give_the_right_coverage() -> None:
    """40 patients with 1 to 8 ECGs each, nine tenths of the variance between patients; true mean 0."""
    rng = np.random.default_rng(0)
    by_patient, by_ecg = [], []
    for repetition in range(150):
        patients = np.repeat(np.arange(40), rng.integers(1, 9, size=40))
        values = rng.normal(0, 3, 40)[patients] + rng.normal(0, 1, len(patients))
        for resampled, covered in ((patients, by_patient), (np.arange(len(patients)), by_ecg)):
            low, high = patient_bootstrap(
                lambda w, v=values: weighted_mean(v, w), resampled, n_resamples=200, seed=repetition
            ).interval
            covered.append(bool(low <= 0 <= high))
    assert 0.87 < np.mean(by_patient) <= 1
    assert np.mean(by_ecg) < 0.75


@given(hnp.arrays(np.float64, (6, 2), elements=st.floats(-9, 9) | st.just(np.nan)), st.integers(0, 99))
def test_weighted_mean_is_the_nanmean_of_the_resample(values: np.ndarray, seed: int) -> None:
    weights = patient_resamples([0, 0, 1, 1, 2, 3], 4, seed)
    means = weighted_mean(values, weights)
    assert means.shape == (4, 2)
    for mean, counts in zip(means, weights, strict=True):
        for column in range(2):
            built = np.repeat(values[:, column], counts)
            built = built[~np.isnan(built)]
            expected = built.mean() if len(built) else np.nan
            assert mean[column] == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("patients", "r", "message"),
    [
        (["a", "a"], 5, "1 patient"),
        ([], 5, "0 patient"),
        ([["a", "b"]], 5, r"expected \(n,\)"),
        (["a", None], 5, "patient id is missing"),
        ([1.0, np.nan], 5, "patient id is missing"),
        (["a", "b"], 0, "n_resamples is 0"),
    ],
)
def test_bad_patients(patients: list[object], r: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        patient_resamples(patients, r, 0)


@pytest.mark.parametrize(
    ("replicates", "confidence", "message"),
    [
        ([], 0.95, r"replicates are \(0,\)"),
        (3.0, 0.95, r"replicates are \(\)"),
        ([1.0], 95, "confidence is 95"),
        ([1.0], 1.0, "confidence is 1.0"),
        ([1.0], np.nan, "confidence is nan"),
    ],
)
def test_bad_replicates(replicates: object, confidence: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        percentile_interval(replicates, confidence)


def test_bad_statistics_and_shapes() -> None:
    with pytest.raises(ValueError, match="one result per row of weights"):
        patient_bootstrap(lambda w: w.mean(), [0, 1])
    with pytest.raises(ValueError, match=r"values are \(3,\) and weights \(1, 2\)"):
        weighted_mean([1, 2, 3], [[1, 1]])


def test_weightings_are_the_estimate_and_the_resamples() -> None:
    patients = np.array(["a", "a", "b", "c"])
    found = intervals.weightings(patients, 50, seed=3)
    np.testing.assert_array_equal(found[0], 1.0)
    np.testing.assert_array_equal(found[1:], intervals.patient_resamples(patients, 50, 3))
    values = intervals.weighted_mean([1.0, 2.0, 3.0, 4.0], found)
    low, high = intervals.interval_of_weightings(values, 0.9)
    expected = intervals.percentile_interval(values[1:], 0.9)
    assert (float(low), float(high)) == (float(expected.low), float(expected.high))


def test_one_patient_has_an_estimate_and_no_interval() -> None:
    found = intervals.weightings(["a", "a"], 50, seed=3)
    assert found.shape == (1, 2)
    interval = intervals.interval_of_weightings(intervals.weighted_mean([[1.0, 2.0], [3.0, 4.0]], found), 0.9)
    assert np.isnan(interval.low).all()
    assert interval.low.shape == (2,)
