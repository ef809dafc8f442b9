"""This module computes a binary classifier's metrics under many weightings of the same ECGs, for a bootstrap.

An ECG that a resample draws twice has the weight 2, so no resample is ever built: the scores are sorted once
and each weighting costs a few cumulative sums.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.functional.score_intervals import scores_with_intervals

_CHUNK_ELEMENTS = 1 << 20
"""Weights that are in memory as float64 at once (8 MB)."""

METRICS = ("auroc", "auprc", "precision", "recall", "specificity", "accuracy", "f1", "f1_micro")
"""What ``binary_metrics`` gives, in this order."""


def binary_metrics(
    probability: ArrayLike, label: ArrayLike, threshold: float, weights: ArrayLike | None = None
) -> dict[str, NDArray[np.float64]]:
    """Compute all metrics of the paper (Methods, "Statistical analysis"), for every weighting.

    An ECG is called positive where ``probability >= threshold``. Precision, recall and ``f1`` are those of the
    positive class. ``f1_micro`` pools both classes, which makes it equal to the accuracy, as it must be for
    two exclusive classes. ``auprc`` is the average precision (no interpolation).

    Args:
        probability: (n,) in [0, 1]; from logits by a float64 sigmoid, since float32 makes large logits equal.
        label: (n,) 1 present, 0 absent, NaN missing; ECGs without a label are left out.
        threshold: Threshold of the probability, as ``youden_threshold`` gives it.
        weights: (r, n) how often each ECG counts, one row per resample; None counts each once (r = 1).

    Returns:
        Name -> (r,) float64. NaN where a resample leaves it undefined: ``auroc`` and ``auprc`` with one class
        only, ``precision`` where nothing is called positive, ``recall`` without positives, ``specificity``
        without negatives, ``f1`` without positives and calls.

    Raises:
        ValueError: Shapes that do not agree, values out of range.
    """
    score, positive, columns = _falling(probability, label)
    if score.size and (score[-1] < 0 or score[0] > 1):
        raise ValueError(f"probabilities lie in [{score[-1]}, {score[0]}], expected [0, 1] (not logits)")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}, expected a probability in [0, 1]")
    called = score >= threshold
    cells = np.stack([called & positive, called & ~positive, ~called & ~positive, ~called & positive], axis=1)
    table = cells.astype(np.float64)  # (n, 4): true positive, false positive, true negative, false negative
    chunks = _weight_chunks(weights, columns, np.size(label))
    parts = [(*_ranking(chunk, score, positive), chunk @ table) for chunk in chunks]
    auroc_, auprc, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    return dict(zip(METRICS, (auroc_, auprc, *_from_counts(counts)), strict=True))


def binary_metrics_with_intervals(
    probability: ArrayLike,
    label: ArrayLike,
    threshold: float,
    patient_ids: ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Compute all metrics with percentile intervals that resample patients, as they stand in ``metrics.json``.

    Args:
        probability: (n,) in [0, 1].
        label: (n,) 1, 0 or NaN.
        threshold: Threshold of the probability, as ``youden_threshold`` gives it.
        patient_ids: (n,) whose ECG it is.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Share of the replicates inside the interval.
        seed: Keys the resamples.

    Returns:
        Name -> ``value``, ``low``, ``high`` and ``undefined``, the number of resamples in which the metric is
        not defined. With one patient there is no interval: ``low`` and ``high`` are NaN.
    """
    return scores_with_intervals(
        lambda weights: binary_metrics(probability, label, threshold, weights),
        patient_ids,
        n_resamples=n_resamples,
        confidence=confidence,
        seed=seed,
    )


def auroc(score: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Compute the area under the ROC curve: the chance that a positive scores above a negative, ties half.

    Args:
        score: (n,) any scale, logits too.
        label: (n,) 1, 0 or NaN; NaN is left out.
        weights: (r, n) or None (r = 1).

    Returns:
        (r,) float64, NaN where a weighting has one class only.
    """
    return ranking_scores(score, label, weights)[0]


def ranking_scores(
    score: ArrayLike, label: ArrayLike, weights: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute AUROC and average precision of every weighting, (r,) each, in one pass over the weightings.

    Average precision is the area under the precision-recall curve as a sum of steps: equal scores make one step.
    """
    values, positive, columns = _falling(score, label)
    chunks = _weight_chunks(weights, columns, np.size(label))
    parts = [_ranking(chunk, values, positive) for chunk in chunks]
    aurocs, precisions = zip(*parts, strict=True)
    return np.concatenate(aurocs), np.concatenate(precisions)


def labelled(score: ArrayLike, label: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Check scores and labels, and leave out the ECGs without a label.

    Args:
        score: (n,) finite or infinite, never NaN.
        label: (n,) 1, 0 or NaN.

    Returns:
        Scores (m,) and labels (m,) of the labelled ECGs, and which these are (n,).

    Raises:
        ValueError: Shapes that do not agree, a NaN score, or a label other than 0, 1 and NaN.
    """
    scores, labels = np.asarray(score, dtype=np.float64), np.asarray(label, dtype=np.float64)
    if scores.ndim != 1 or scores.shape != labels.shape:
        raise ValueError(f"scores are {scores.shape} and labels {labels.shape}, expected (n,) both")
    has_label = ~np.isnan(labels)
    scores, labels = scores[has_label], labels[has_label]
    if np.isnan(scores).any():
        raise ValueError(
            f"{np.isnan(scores).sum()} of {len(scores)} scores are NaN, the first at position "
            f"{np.flatnonzero(has_label)[np.isnan(scores)][0]}; look at the network's output before its metrics"
        )
    if not np.isin(labels, (0, 1)).all():
        strange = labels[~np.isin(labels, (0, 1))][0]
        raise ValueError(f"a label is {strange}, expected 1 (present), 0 (absent) or NaN (missing)")
    return scores, labels == 1, has_label


def _falling(score: ArrayLike, label: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.intp]]:
    """Scores and labels of the labelled ECGs, highest score first, and the positions they came from."""
    values, positive, has_label = labelled(score, label)
    order = np.argsort(-values, kind="stable")
    return values[order], positive[order], np.flatnonzero(has_label)[order]


def _weight_chunks(weights: ArrayLike | None, columns: NDArray[np.intp], n: int) -> Iterator[NDArray[np.float64]]:
    """Check weights and give the requested columns as float64, a few rows at a time."""
    table = np.ones((1, n), dtype=np.uint8) if weights is None else np.asarray(weights)
    if table.ndim != 2 or table.shape[1] != n or len(table) < 1:
        raise ValueError(f"weights are {table.shape}, expected (resamples, {n}), one column per ECG")
    rows = max(1, _CHUNK_ELEMENTS // max(1, n))
    for start in range(0, len(table), rows):
        chunk = np.take(table[start : start + rows], columns, axis=1).astype(np.float64)
        if chunk.size and not (chunk.min() >= 0 and np.isfinite(chunk.max())):
            raise ValueError("weights hold a negative, infinite or NaN value; they say how often an ECG counts")
        yield chunk


def _ranking(
    weights: NDArray[np.float64], score: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUROC and average precision, (r,) each, of weights (r, m) and scores (m,), highest score first."""
    if not score.size:
        return np.full(len(weights), np.nan), np.full(len(weights), np.nan)
    starts = np.flatnonzero(np.concatenate([[True], score[1:] != score[:-1]]))  # of groups of equal scores
    present, both = weights * positive, weights
    if len(starts) < len(score):
        present, both = np.add.reduceat(present, starts, axis=1), np.add.reduceat(both, starts, axis=1)
    absent = both - present  # (r, group)
    true, false = present.cumsum(axis=1), absent.cumsum(axis=1)
    total_true, total_false = true[:, -1], false[:, -1]
    one_class = (total_true == 0) | (total_false == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        area = (absent * (true - present / 2)).sum(axis=1) / (total_true * total_false)
        precision = np.where(present > 0, true / (true + false), 0)
        average = (present * precision).sum(axis=1) / total_true
    return np.where(one_class, np.nan, area), np.where(one_class, np.nan, average)


def _from_counts(counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Precision, recall, specificity, accuracy, F1 and micro F1 of (r, 4) TP, FP, TN, FN."""
    tp, fp, tn, fn = counts.T
    right, wrong = tp + tn, fp + fn  # over both classes an error is one false positive and one false negative
    with np.errstate(divide="ignore", invalid="ignore"):
        return (
            tp / (tp + fp),
            tp / (tp + fn),
            tn / (tn + fp),
            right / (right + wrong),
            2 * tp / (2 * tp + fp + fn),
            2 * right / (2 * right + wrong + wrong),
        )
