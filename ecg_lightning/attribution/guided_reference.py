"""The guided gradient without hooks: every ReLU is replaced where torch computes it, module or function."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ecg_lightning.models.lint import RELU_FUNCTIONS


class _GuidedRelu(torch.autograd.Function):
    """max(x, 0), whose backward pass lets through what is positive, where x is."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        result: Tensor = x.clamp_min(0.0)
        return result

    @staticmethod
    def backward(context: Any, slope: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        result: Tensor = slope.clamp_min(0.0) * (x > 0)
        return result


class _GuideEveryRelu(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func in RELU_FUNCTIONS:
            return _GuidedRelu.apply(args[0] if args else given["input"])  # type: ignore[no-untyped-call]
        return func(*args, **given)


def guided_gradient(network: nn.Module, ecg: Tensor) -> Tensor:
    """Guided gradient with every ReLU replaced, module or function; slow, and independent of hooks.

    Args:
        network: In evaluation mode.
        ecg: (batch, lead, sample) mV.

    Returns:
        (batch, lead, sample) logit per mV.
    """
    with torch.enable_grad():
        probe = ecg.detach().clone().requires_grad_()
        with _GuideEveryRelu():
            logit = network(probe).sum()
        gradient, *_ = torch.autograd.grad(logit, probe, allow_unused=True)
    return torch.zeros_like(ecg) if gradient is None else gradient
