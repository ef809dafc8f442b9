"""Scores of many columns at once are those of one column at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_lightning.experiments.perturbation import ranking_columns
from ecg_lightning.experiments.perturbation.ranking_columns import auroc_of_columns, average_precision_of_columns
from ecg_lightning.functional.classification import ranking_scores


@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(0, 9))
def test_against_one_column_at_a_time(seed: int, positives: int, negatives: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(positives + negatives, 5)).round(1)  # ties
    scores[generator.random(scores.shape) < 0.2] = np.nan
    weights = generator.integers(0, 4, size=(6, len(scores))).astype(float)
    label = np.arange(len(scores)) < positives
    parts = (scores[label], scores[~label], weights[:, label], weights[:, ~label])
    area, precision = auroc_of_columns(*parts), average_precision_of_columns(*parts)
    for column in range(5):
        known = np.isfinite(scores[:, column])
        expected = ranking_scores(scores[known, column], label[known].astype(float), weights[:, known])
        np.testing.assert_allclose(area[:, column], expected[0], rtol=1e-12)
        np.testing.assert_allclose(precision[:, column], expected[1], rtol=1e-6)


def test_many_columns_go_in_parts_and_many_ecgs_in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    parts = (generator.normal(size=(7, 40)), generator.normal(size=(5, 40)), np.ones((3, 7)), np.ones((3, 5)))
    whole = auroc_of_columns(*parts), average_precision_of_columns(*parts)
    monkeypatch.setattr(ranking_columns, "_AT_ONCE", 50)
    monkeypatch.setattr(ranking_columns, "_EXACT_SINGLE", 10)
    np.testing.assert_array_equal(whole[0], auroc_of_columns(*parts))
    np.testing.assert_allclose(whole[1], average_precision_of_columns(*parts), rtol=1e-6)  # ratios in float32


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"expected scores \(p, column\)"):
        auroc_of_columns(np.ones((3, 2)), np.ones((4, 2)), np.ones((5, 3)), np.ones((5, 3)))
