"""The paper's scores of a binary classifier, from torchmetrics (paper, "Statistical analysis")."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import (
    binary_accuracy,
    binary_auroc,
    binary_average_precision,
    binary_f1_score,
    binary_precision,
    binary_recall,
    binary_specificity,
    multiclass_f1_score,
)
from torchmetrics.utilities import dim_zero_cat


class OutputsAndLabels(Metric):
    """Every output and label of an epoch, over all ranks (unequal numbers a rank are fine).

    Scores are computed from all of them at once: torchmetrics guesses, batch by batch, whether it was given
    logits or probabilities, and a batch whose logits all lie in [0, 1] would be taken for probabilities.
    """

    output: list[Tensor]
    label: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("output", default=[], dist_reduce_fx="cat")
        self.add_state("label", default=[], dist_reduce_fx="cat")

    def update(self, output: Tensor, label: Tensor) -> None:
        """Add a batch: (batch,) outputs and (batch,) labels, NaN where missing."""
        self.output.append(output.detach())
        self.label.append(label)

    def compute(self) -> tuple[Tensor, Tensor]:
        """All outputs and labels, (n,) each, on the CPU in float64: float32 makes large logits equal."""
        output, label = dim_zero_cat(self.output), dim_zero_cat(self.label)
        return output.cpu().double(), label.cpu().double()


def has_both_classes(label: Tensor) -> bool:
    """Look for a positive and a negative ECG among (n,) labels, NaN where missing."""
    return bool((label == 1).any() and (label == 0).any())


def ranking_scores(probability: Tensor, label: Tensor) -> dict[str, float]:
    """AUROC and AUPRC (average precision) of the labelled ECGs.

    Args:
        probability: (n,) float64.
        label: (n,) 1, 0 or NaN where missing.

    Returns:
        ``auroc`` and ``auprc``; NaN where one class is absent.
    """
    if not has_both_classes(label):
        return {"auroc": math.nan, "auprc": math.nan}
    known = ~torch.isnan(label)
    score, truth = probability[known], label[known].long()
    return {"auroc": float(binary_auroc(score, truth)), "auprc": float(binary_average_precision(score, truth))}


def decision_scores(probability: Tensor, label: Tensor, threshold: float) -> dict[str, float]:
    """Scores of the decisions ``probability >= threshold`` on the labelled ECGs.

    ``f1`` is of the positive class; ``f1_micro`` pools both classes, which for two classes is the accuracy.

    Args:
        probability: (n,) float64.
        label: (n,) 1, 0 or NaN where missing.
        threshold: On the probability.

    Returns:
        Name -> score; NaN where it is undefined (no ECG called positive, a class is absent).
    """
    known = ~torch.isnan(label)
    called, truth = (probability[known] >= threshold).long(), label[known].long()
    any_called, any_positive, any_negative = bool(called.any()), bool(truth.any()), bool((truth == 0).any())
    # where a score is undefined torchmetrics gives 0, which would look like a bad network
    scores: dict[str, tuple[bool, Callable[[], Tensor]]] = {
        "precision": (any_called, lambda: binary_precision(called, truth)),
        "recall": (any_positive, lambda: binary_recall(called, truth)),
        "specificity": (any_negative, lambda: binary_specificity(called, truth)),
        "accuracy": (len(truth) > 0, lambda: binary_accuracy(called, truth)),
        "f1": (any_called or any_positive, lambda: binary_f1_score(called, truth)),
        "f1_micro": (len(truth) > 0, lambda: multiclass_f1_score(called, truth, num_classes=2, average="micro")),
    }
    return {name: float(score()) if defined else math.nan for name, (defined, score) in scores.items()}
