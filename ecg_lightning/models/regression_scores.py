"""The scores of a network of a regression target, from torchmetrics."""

import math

import torch
from torch import Tensor
from torchmetrics.functional import (
    mean_absolute_error,
    mean_squared_error,
    pearson_corrcoef,
    r2_score,
    spearman_corrcoef,
)


def regression_scores(prediction: Tensor, label: Tensor) -> dict[str, float]:
    """Score the predictions of the labelled ECGs.

    Args:
        prediction: (n,) float64, in the target's unit.
        label: (n,) in the same unit, NaN where missing.

    Returns:
        ``mae`` and ``rmse`` in the target's unit; ``r2``, the share of the labels' variance that is explained, which is
        negative where their mean would predict better; ``pearson`` and ``spearman``. NaN where it is undefined: without
        labels, and but for the errors where labels, or of the correlations where predictions, are all alike.
    """
    known = ~torch.isnan(label)
    predicted, truth = prediction[known], label[known]
    names = ("mae", "rmse", "r2", "pearson", "spearman")
    if not len(truth):
        return dict.fromkeys(names, math.nan)
    errors = mean_absolute_error(predicted, truth), mean_squared_error(predicted, truth, squared=False)
    varied, ranked = bool((truth != truth[0]).any()), bool((predicted != predicted[0]).any())
    others = (
        r2_score(predicted, truth) if varied else math.nan,
        pearson_corrcoef(predicted, truth) if varied and ranked else math.nan,
        spearman_corrcoef(predicted, truth) if varied and ranked else math.nan,
    )
    return {name: float(value) for name, value in zip(names, (*errors, *others), strict=True)}
