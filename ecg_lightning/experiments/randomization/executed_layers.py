"""Which modules with weights a network uses, in the order in which one pass uses them first."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ecg_lightning.functional.nested import nested


def executed_layers(network: nn.Module, ecg: Tensor) -> list[tuple[str, nn.Module]]:
    """Modules with parameters of their own, in the order of their first call or of the first use of their parameters.

    A module need not be called: attention hands the weights of its output layer to a function, a parameter list is
    read, a head's weight is multiplied by. What no pass uses is left out.

    Args:
        network: (batch, lead, sample) -> logit; its mode is put back.
        ecg: (1, lead, sample) to run it on.

    Returns:
        Dotted name and module of each.
    """
    own = {module: name for name, module in network.named_modules() if _own_parameters(module)}
    uses = _Uses(own)
    training = {module: module.training for module in network.modules()}
    try:
        with ExitStack() as stack:
            for module in own:
                handle = module.register_forward_pre_hook(lambda called, _: uses.note(called))
                stack.callback(handle.remove)
            stack.enter_context(torch.no_grad())
            network.eval()
            stack.enter_context(uses)
            network(ecg)
    finally:
        for module, mode in training.items():
            module.training = mode
    return [(own[module], module) for module in uses.order]


class _Uses(TorchFunctionMode):
    """Notes the modules whose parameters a function of torch computes with."""

    def __init__(self, modules: Mapping[nn.Module, str]) -> None:
        super().__init__()
        self.owner = {id(weight): module for module in reversed([*modules]) for weight in _own_parameters(module)}
        self.order: list[nn.Module] = []

    def note(self, module: nn.Module) -> None:
        if not any(module is known for known in self.order):
            self.order.append(module)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if next(nested(result, Tensor), None) is not None:  # a question about its shape uses no weight
            for tensor in nested((args, kwargs), Tensor):
                if id(tensor) in self.owner:
                    self.note(self.owner[id(tensor)])
        return result


def _own_parameters(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))
