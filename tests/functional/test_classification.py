"""Weighted metrics against torchmetrics and SciPy on resamples that are really built."""

import numpy as np
import pytest
import scipy.stats
import torch
import torchmetrics.functional.classification as tm
from hypothesis import given, settings
from hypothesis import strategies as st

import ecg_lightning.functional.classification as classification
from ecg_lightning.functional.classification import (
    METRICS,
    auroc,
    binary_metrics,
    binary_metrics_with_intervals,
    ranking_scores,
)
from ecg_lightning.functional.intervals import patient_bootstrap, patient_resamples, percentile_interval


def example(seed: int, n: int = 60, levels: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities with many ties, and labels that they say something about."""
    rng = np.random.default_rng(seed)
    label = rng.random(n) < 0.3
    probability = np.round(np.clip(rng.normal(0.4 + 0.2 * label, 0.2), 0, 1) * levels) / levels
    return probability, label.astype(float)


def by_torchmetrics(probability: np.ndarray, label: np.ndarray, threshold: float) -> dict[str, float]:
    """Every metric of a set of ECGs that is really there."""
    # called by our own rule: torchmetrics calls positive where probability > threshold
    called = torch.tensor(probability >= threshold).int()
    scores, truth = torch.tensor(probability), torch.tensor(label).int()
    values = {
        "auroc": tm.binary_auroc(scores, truth),
        "auprc": tm.binary_average_precision(scores, truth),
        "precision": tm.binary_precision(called, truth),
        "recall": tm.binary_recall(called, truth),
        "specificity": tm.binary_specificity(called, truth),
        "accuracy": tm.binary_accuracy(called, truth),
        "f1": tm.binary_f1_score(called, truth),
        "f1_micro": tm.multiclass_f1_score(called, truth, num_classes=2, average="micro"),
    }
    return {name: float(value) for name, value in values.items()}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.25, 0.5])
def test_every_metric_is_that_of_the_resample_in_full(seed: int, threshold: float) -> None:
    probability, label = example(seed)
    weights = patient_resamples(np.arange(60) // 2, 5, seed)
    ours = binary_metrics(probability, label, threshold, weights)
    assert tuple(ours) == METRICS
    for resample, counts in enumerate(weights):
        built = np.repeat(np.arange(60), counts)
        reference = by_torchmetrics(probability[built], label[built], threshold)
        for name in METRICS:
            assert ours[name][resample] == pytest.approx(reference[name], abs=2e-6), name


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_auroc_is_the_mann_whitney_statistic(positives: list[int], negatives: list[int]) -> None:
    reference = scipy.stats.mannwhitneyu(positives, negatives).statistic / (len(positives) * len(negatives))
    label = [1] * len(positives) + [0] * len(negatives)
    assert auroc(positives + negatives, label)[0] == pytest.approx(reference, abs=1e-12)


@given(st.integers(0, 2**20))
def test_identities(seed: int) -> None:
    probability, label = example(seed, n=25)
    logit = np.log((probability + 1e-3) / (1 - probability + 1e-3))
    if not 0 < label.sum() < 25:
        return
    area = auroc(probability, label)
    np.testing.assert_allclose(auroc(logit, label), area)  # ranks only
    np.testing.assert_allclose(auroc(-logit, label), 1 - area)
    np.testing.assert_allclose(auroc(logit, 1 - label), 1 - area)
    np.testing.assert_allclose(ranking_scores(np.zeros(25), label)[1], label.mean())  # no skill
    np.testing.assert_allclose(ranking_scores(label, label)[1], 1)
    weights = np.random.default_rng(seed).random((3, 25))
    np.testing.assert_allclose(auroc(logit, label, 7 * weights), auroc(logit, label, weights))
    metrics = binary_metrics(probability, label, 0.5, weights)
    np.testing.assert_allclose(metrics["f1_micro"], metrics["accuracy"])
    harmonic = 2 / (1 / metrics["precision"] + 1 / metrics["recall"])
    defined = np.isfinite(harmonic)
    np.testing.assert_allclose(metrics["f1"][defined], harmonic[defined])


@settings(max_examples=25)
@given(st.integers(0, 2**20), st.integers(1, 400))
def test_chunks_do_not_change_results(seed: int, elements: int) -> None:
    probability, label = example(seed)
    weights = patient_resamples(np.arange(60) // 3, 9, seed)
    whole = binary_metrics(probability, label, 0.5, weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classification, "_CHUNK_ELEMENTS", elements)
        chunked = binary_metrics(probability, label, 0.5, weights)
    for name in METRICS:
        np.testing.assert_allclose(chunked[name], whole[name], rtol=1e-13)


def test_missing_labels_are_left_out_with_their_weights() -> None:
    probability, label = example(0)
    weights = patient_resamples(np.arange(60) // 2, 6, 0)
    kept = np.arange(60) % 7 != 0
    label[~kept] = np.nan
    probability[~kept] = np.nan
    whole = binary_metrics(probability, label, 0.5, weights)
    cut = binary_metrics(probability[kept], label[kept], 0.5, weights[:, kept])
    for name in METRICS:
        np.testing.assert_array_equal(whole[name], cut[name])


def test_what_is_undefined_is_nan() -> None:
    weights = np.array([[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]])
    metrics = binary_metrics([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1], 0.5, weights)
    nan = np.nan
    expected = {
        #            positives only, negatives only, nothing called, nothing at all
        "auroc": [nan, nan, 1, nan],
        "auprc": [nan, nan, 1, nan],
        "precision": [1, nan, nan, nan],
        "recall": [0.5, nan, 0, nan],
        "specificity": [nan, 1, 1, nan],
        "accuracy": [0.5, 1, 0.5, nan],
        "f1": [2 / 3, nan, 0, nan],
        "f1_micro": [0.5, 1, 0.5, nan],
    }
    for name in METRICS:
        np.testing.assert_allclose(metrics[name], expected[name], err_msg=name)


def test_without_a_labelled_ecg_everything_is_nan() -> None:
    metrics = binary_metrics([0.5, 0.5], [np.nan, np.nan], 0.5)
    assert all(np.isnan(value).tolist() == [True] for value in metrics.values())


def test_the_threshold_itself_is_positive() -> None:
    assert binary_metrics([0.5, 0.4], [1, 0], 0.5)["accuracy"][0] == 1


def test_infinite_logits_tie() -> None:
    assert auroc([np.inf, np.inf, -np.inf], [1, 0, 0])[0] == 0.75


def test_intervals_are_those_of_the_bootstrap() -> None:
    probability, label = example(1)
    patients = np.arange(60) // 2
    summary = binary_metrics_with_intervals(probability, label, 0.5, patients, n_resamples=200, seed=4)
    assert tuple(summary) == METRICS
    bootstrap = patient_bootstrap(lambda w: ranking_scores(probability, label, w)[1], patients, n_resamples=200, seed=4)
    assert summary["auprc"]["value"] == pytest.approx(float(bootstrap.estimate))
    low, high = bootstrap.interval
    assert (summary["auprc"]["low"], summary["auprc"]["high"]) == pytest.approx((float(low), float(high)))
    assert summary["auprc"]["low"] < summary["auprc"]["value"] < summary["auprc"]["high"]


def test_undefined_resamples_are_counted() -> None:
    probability, label = np.linspace(0, 1, 8), np.array([0, 0, 0, 0, 0, 0, 0, 1])
    summary = binary_metrics_with_intervals(probability, label, 0.5, np.arange(8), n_resamples=300)
    without_positive = (patient_resamples(np.arange(8), 300, 0)[:, 7] == 0).sum()
    assert 0 < without_positive < 300
    assert summary["recall"]["undefined"] == without_positive
    assert summary["accuracy"]["undefined"] == 0


def test_one_patient_has_no_interval() -> None:
    summary = binary_metrics_with_intervals([0.1, 0.9], [0, 1], 0.5, ["p", "p"])
    assert summary["auroc"]["value"] == 1
    assert np.isnan(summary["auroc"]["low"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": [0.1, 2.0]}, "not logits"),
        ({"probability": [0.1, np.nan]}, "scores are NaN"),
        ({"label": [0, 0.5]}, "a label is 0.5"),
        ({"label": [0]}, "expected"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": np.nan}, "threshold is nan"),
        ({"weights": [1, 1]}, r"weights are \(2,\), expected \(resamples, 2\)"),
        ({"weights": [[1, 1, 1]]}, r"weights are \(1, 3\)"),
        ({"weights": np.ones((0, 2))}, r"weights are \(0, 2\)"),
        ({"weights": [[1, -1]]}, "negative"),
        ({"weights": [[1, np.nan]]}, "NaN"),
    ],
)
def test_bad_input(change: dict[str, object], message: str) -> None:
    arguments = {"probability": [0.1, 0.9], "label": [0, 1], "threshold": 0.5, "weights": [[1, 1]]} | change
    with pytest.raises(ValueError, match=message):
        binary_metrics(**arguments)


def test_percentiles_of_the_replicates_are_numpys() -> None:
    probability, label = example(2)
    replicates = auroc(probability, label, patient_resamples(np.arange(60), 99, 0))
    low, high = percentile_interval(replicates, 0.9)
    np.testing.assert_allclose([low, high], np.quantile(replicates, [0.05, 0.95]))
