"""Scores of predicted measurements: against torchmetrics and SciPy, resample by resample, and their intervals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ecg_lightning.functional.intervals import patient_resamples
from ecg_lightning.functional.regression import (
    METRICS,
    r2_of_columns,
    regression_metrics,
    regression_metrics_with_intervals,
)
from ecg_lightning.models.regression_scores import regression_scores


def ecgs(seed: int, n: int = 40, *, ties: bool = False) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    label = 60.0 + 15.0 * rng.standard_normal(n)
    prediction = 0.6 * label + 24.0 + 8.0 * rng.standard_normal(n)
    return (np.round(prediction / 10), np.round(label / 10)) if ties else (prediction, label)


@given(st.integers(0, 1000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_every_score_is_that_of_the_built_resample(seed: int, ties: bool) -> None:
    prediction, label = ecgs(seed, ties=ties)
    weights = patient_resamples([f"p{k // 2}" for k in range(40)], 3, seed)
    found = regression_metrics(prediction, label, weights)
    for place, weight in enumerate(weights):
        rows = np.repeat(np.arange(40), weight)
        p, y = prediction[rows], label[rows]
        expected = {
            "mae": np.abs(p - y).mean(),
            "rmse": np.sqrt(((p - y) ** 2).mean()),
            "r2": 1 - ((p - y) ** 2).sum() / ((y - y.mean()) ** 2).sum(),
            "pearson": stats.pearsonr(p, y).statistic,
            "spearman": stats.spearmanr(p, y).statistic,
        }
        for name, value in expected.items():
            assert found[name][place] == pytest.approx(value, rel=1e-9), name


def test_the_scores_of_a_test_are_those_that_its_module_logs() -> None:
    prediction, label = ecgs(0)
    label[3] = np.nan
    logged = regression_scores(torch.from_numpy(prediction), torch.from_numpy(label))
    found = regression_metrics(prediction, label)
    assert list(logged) == list(found) == list(METRICS)
    for name, value in logged.items():
        assert found[name].item() == pytest.approx(value, rel=1e-6)


def test_what_is_undefined_is_nan_and_not_a_score() -> None:
    alike = regression_metrics([1.0, 2.0, 3.0], [61.7, 61.7, 61.7])
    assert [bool(np.isnan(alike[name][0])) for name in METRICS] == [False, False, True, True, True]
    constant = regression_metrics([61.7, 61.7, 61.7], [1.0, 2.0, 3.0])
    assert [bool(np.isnan(constant[name][0])) for name in METRICS] == [False, False, False, True, True]
    nobody = regression_metrics([1.0], [np.nan])
    assert all(np.isnan(value[0]) for value in nobody.values())
    same = regression_scores(torch.tensor([1.0, 2.0, 3.0]), torch.full((3,), 61.7))
    assert [bool(np.isnan(same[name])) for name in METRICS] == [False, False, True, True, True]
    with pytest.raises(ValueError, match="1 of 2 predictions are NaN"):
        regression_metrics([np.nan, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"expected \(n,\)"):
        regression_metrics([1.0, 2.0], [1.0])


def test_a_column_leaves_out_what_it_does_not_know() -> None:
    prediction, label = ecgs(1)
    columns = np.stack([prediction, prediction], axis=1)
    columns[:7, 1] = np.nan
    found = r2_of_columns(columns, label, np.ones((1, 40)))[0]
    for column, rows in enumerate((slice(0, None), slice(7, None))):
        expected = 1 - ((prediction - label)[rows] ** 2).sum() / ((label[rows] - label[rows].mean()) ** 2).sum()
        assert found[column] == pytest.approx(expected, rel=1e-12)


def test_intervals_hold_their_level_over_patients() -> None:
    """Of 200 studies of 60 patients with one to three ECGs, 95 % intervals of R2 hold the truth in about 95 %."""
    hits, studies, truth = 0, 200, 0.5
    for study in range(studies):
        rng = np.random.default_rng(study)
        patients = np.repeat(np.arange(60), rng.integers(1, 4, 60))
        person, error = rng.standard_normal((2, 60))
        label, noise = person[patients], error[patients]  # a patient's ECGs are one fact
        found = regression_metrics_with_intervals(label + noise * np.sqrt(truth), label, patients, n_resamples=300)[
            "r2"
        ]
        hits += found["low"] <= truth <= found["high"]
    assert 0.86 <= hits / studies <= 0.99  # percentile intervals of a skewed score are a little short


def test_one_patient_has_no_interval() -> None:
    found = regression_metrics_with_intervals([1.0, 2.0, 4.0], [1.0, 2.0, 3.0], ["a", "a", "a"], n_resamples=10)
    assert set(found) == set(METRICS)
    assert found["mae"]["value"] == pytest.approx(1 / 3)
    assert np.isnan(found["mae"]["low"])
    assert found["mae"]["undefined"] == 10
