"""The reference of guided backpropagation needs no hooks: it replaces every ReLU where torch computes it."""

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
    """Compute the guided gradient with every ReLU replaced, module or function; slow, and independent of hooks.

    Args:
        network: The network, in evaluation mode.
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


def layer_cam(network: nn.Module, layer: str, ecg: Tensor) -> Tensor | None:
    """Compute Grad-CAM of a layer that runs once, not yet interpolated, from a hook of its own.

    Args:
        network: The network, in evaluation mode.
        layer: Dotted name of a module whose output is (batch, channel, position).
        ecg: (batch, lead, sample) mV.

    Returns:
        (batch, 1, position); None where no gradient reaches the layer.
    """
    outputs: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        outputs.append(output)
        return output.clone()  # what follows may change it in place

    hook = dict(network.named_modules())[layer].register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logit = network(ecg.detach().clone().requires_grad_())
            (slope,) = torch.autograd.grad(logit.sum(), outputs, allow_unused=True)
    finally:
        hook.remove()
    return None if slope is None else (slope.mean(-1, keepdim=True) * outputs[0]).sum(1, keepdim=True).detach()
