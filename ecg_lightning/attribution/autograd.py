"""This module records gradients also under Lightning's inference mode, and in full float32."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ecg_lightning.models.precision import full_float32


@contextmanager
def recording_gradients() -> Iterator[None]:
    """Enable full float32 and autograd, also under Lightning's inference mode; Captum stays quiet about its hooks."""
    with full_float32(), torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
        # Captum says at every call that it sets hooks, and removes them again
        warnings.filterwarnings("ignore", message="(?s).*ooks.*removed.*attribution is finished")
        yield


def input_gradient(network: nn.Module, points: Tensor) -> Tensor:
    """Compute each point's gradient of its own logit, (point, lead, sample), as Captum does but for one sum of logits.

    Captum hands autograd a list of single logits, with a gradient of 1 for each.
    """
    leaf = differentiable(points)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(network(leaf).sum(), leaf)
    return gradient


def differentiable(ecg: Tensor) -> Tensor:
    """Return a leaf that requires gradients, so that Captum has nothing to switch on."""
    return ecg.detach().clone().requires_grad_()
