"""This module records gradients also under Lightning's inference mode, and in full float32."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ecg_lightning.models.precision import full_float32


@contextmanager
def recording_gradients() -> Iterator[None]:
    """Enable full float32 and autograd, also under Lightning's inference mode; Captum stays quiet about its hooks."""
    with full_float32(), torch.inference_mode(False), torch.enable_grad(), warnings.catch_warnings():
        # Captum says at every call that it sets hooks, and removes them again
        warnings.filterwarnings("ignore", message="(?s).*ooks.*removed.*attribution is finished")
        yield


def differentiable(ecg: Tensor) -> Tensor:
    """Return a leaf that requires gradients, so that Captum has nothing to switch on."""
    return ecg.detach().clone().requires_grad_()
