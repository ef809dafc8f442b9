"""Youden's threshold against brute force and torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torchmetrics.classification import BinaryROC

from ecg_lightning.functional.threshold import youden_threshold


def youden(probability: np.ndarray, label: np.ndarray, threshold: float) -> float:
    called = probability >= threshold
    return float(called[label == 1].mean() + (~called[label == 0]).mean() - 1)


@st.composite
def both_classes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Few distinct values, so that ties within and between classes are common."""
    n = draw(st.integers(2, 25))
    levels = draw(st.sampled_from([3, 10, 10_000]))
    probability = np.array(draw(st.lists(st.integers(0, levels), min_size=n, max_size=n))) / levels
    label = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=float)
    assume(0 < label.sum() < n)
    return probability, label


@given(both_classes())
def test_no_threshold_is_better(case: tuple[np.ndarray, np.ndarray]) -> None:
    probability, label = case
    threshold = youden_threshold(probability, label)
    assert 0 <= threshold <= 1
    middles = (np.unique(probability)[1:] + np.unique(probability)[:-1]) / 2
    candidates = np.concatenate([probability, middles, [0, 1]])
    best = max(youden(probability, label, candidate) for candidate in candidates)
    assert youden(probability, label, threshold) == pytest.approx(best, abs=1e-12)


@given(both_classes())
def test_torchmetrics_finds_the_same_j(case: tuple[np.ndarray, np.ndarray]) -> None:
    probability, label = case
    false_rate, true_rate, _ = BinaryROC()(torch.tensor(probability), torch.tensor(label).int())
    best = float((true_rate - false_rate).max())
    assert youden(probability, label, youden_threshold(probability, label)) == pytest.approx(best, abs=1e-6)


@given(both_classes(), st.randoms())
def test_the_order_of_ecgs_does_not_matter(case: tuple[np.ndarray, np.ndarray], random: object) -> None:
    probability, label = case
    order = np.arange(len(label))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert youden_threshold(probability[order], label[order]) == youden_threshold(probability, label)


@given(both_classes())
def test_float32_decides_alike(case: tuple[np.ndarray, np.ndarray]) -> None:
    probability = case[0].astype(np.float32)
    threshold = youden_threshold(probability, case[1])
    in_double = probability.astype(np.float64) >= threshold
    np.testing.assert_array_equal((torch.tensor(probability) >= threshold).numpy(), in_double)


def test_the_middle_of_the_gap_is_taken() -> None:
    assert youden_threshold([0.1, 0.3, 0.7, 0.9], [0, 0, 1, 1]) == 0.5


def test_the_widest_of_tied_gaps_is_taken() -> None:
    # J = 1/2 with the threshold in (.1, .2] as well as in (.4, .9]
    assert youden_threshold([0.1, 0.2, 0.4, 0.9], [0, 1, 0, 1]) == pytest.approx(0.65, abs=1e-7)
    # J = 1/2 in (.1, .6] as well as in (.7, .8]
    assert youden_threshold([0.1, 0.6, 0.7, 0.8], [0, 1, 0, 1]) == pytest.approx(0.35, abs=1e-7)
    # equally wide: the upper one
    assert youden_threshold([0.125, 0.25, 0.375, 0.5], [0, 1, 0, 1]) == 0.4375


def test_neighbouring_floats_leave_no_middle() -> None:
    lower, upper = np.nextafter(1, 0), 1.0
    assert youden_threshold([lower, upper], [0, 1]) == upper


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("lower", [0.25, 0.25 + 2**-25, 0.7, 0.99999])
def test_float32_neighbours_are_told_apart_in_float32(lower: float, steps: int) -> None:
    low = high = np.float32(lower)
    for _ in range(steps):
        high = np.nextafter(high, np.float32(1))
    threshold = youden_threshold(np.array([low, high]), [0, 1])
    assert (torch.tensor([low, high]) >= threshold).tolist() == [False, True]
    assert low < np.float32(threshold) <= high


@pytest.mark.parametrize("probability", [[0.0, 0.0, 0.0], [0.4, 0.4, 0.4], [1.0, 1.0, 1.0], [0.9, 0.1, 0.05]])
def test_a_network_without_skill_still_has_a_threshold(probability: list[float]) -> None:
    threshold = youden_threshold(probability, [0, 1, 1])
    assert 0 <= threshold <= 1
    assert youden(np.array(probability), np.array([0, 1, 1]), threshold) == 0


def test_missing_labels_are_left_out() -> None:
    probability, label = np.array([0.1, 0.45, 0.3, 0.7]), np.array([0, np.nan, 0, 1])
    assert youden_threshold(probability, label) == youden_threshold(probability[[0, 2, 3]], label[[0, 2, 3]])
    assert youden_threshold([np.nan, 0.2, 0.4], [np.nan, 0, 1]) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("probability", "label", "message"),
    [
        ([0.1, 0.2], [0, 0], "0 of 2 labelled ECGs are positive"),
        ([0.1, 0.2], [1, 1], "2 of 2 labelled ECGs are positive"),
        ([0.1, 0.2], [np.nan, 1], "1 of 1 labelled"),
        ([], [], "0 of 0 labelled"),
        ([0.1, 1.2], [0, 1], r"lie in \[0.1, 1.2\].*not logits"),
        ([0.1, np.nan], [0, 1], "1 of 2 scores are NaN, the first at position 1"),
        ([0.1, 0.2], [0, 2], "a label is 2"),
        ([0.1, 0.2], [0, 1, 1], r"scores are \(2,\) and labels \(3,\)"),
        ([[0.1, 0.2]], [[0, 1]], r"expected \(n,\)"),
    ],
)
def test_bad_input(probability: list[float], label: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        youden_threshold(probability, label)
