"""The loss that networks are trained with, where labels may be missing."""

import torch
from torch import Tensor, nn

from ecg_lightning.models.precision import at_least_float32


def labelled_cross_entropy(logit: Tensor, label: Tensor) -> Tensor:
    """Average the binary cross-entropy over the labelled ECGs.

    There is no branch on the data, so that no device is waited for.

    Args:
        logit: (batch,).
        label: (batch,) 0, 1, or NaN where it is unknown.

    Returns:
        () mean; 0 where no ECG is labelled.
    """
    logit = at_least_float32(logit)
    labelled = ~torch.isnan(label)
    known = torch.where(labelled, label, torch.zeros_like(label)).to(logit.dtype)
    losses = nn.functional.binary_cross_entropy_with_logits(logit, known, reduction="none")
    return (losses * labelled).sum() / labelled.sum().clamp(min=1)


def labelled_squared_error(output: Tensor, label: Tensor) -> Tensor:
    """Average the squared error over the labelled ECGs.

    Args:
        output: (batch,).
        label: (batch,) in the output's unit, NaN where it is unknown.

    Returns:
        () mean; 0 where no ECG is labelled.
    """
    output = at_least_float32(output)
    labelled = ~torch.isnan(label)
    known = torch.where(labelled, label, torch.zeros_like(label)).to(output.dtype)
    return ((output - known).square() * labelled).sum() / labelled.sum().clamp(min=1)
