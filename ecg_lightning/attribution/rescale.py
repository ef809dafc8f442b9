"""This module computes DeepLIFT against fixed backgrounds, whose forward pass is made once and not once an ECG.

The rescale rule (Shrikumar et al. 2017) is a backward pass in which every ReLU multiplies by the ratio of the
differences of its outputs and inputs, between ECG and background. Everything else is linear, and the backward pass of
a linear step is the same wherever it was recorded: so the backgrounds' recorded pass serves every ECG. An ECG costs one
forward and one backward a background; Captum, who sends both through the network together, needs two of both.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from ecg_lightning.attribution.one_logit import OneLogit
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.models.precision import full_float32

_SMALLEST_DIFFERENCE: Final = 1e-10
"""Captum's: ReLU inputs that differ less take the ReLU's own slope."""

_MAX_STORED_CHUNKS: Final = 2
"""Backgrounds are cached up to this many chunks: half of the memory that a pass of a chunk may take."""

_LINEAR: Final = frozenset(
    {
        "AdaptiveAvgPool2DBackward",
        "AdaptiveAvgPool3DBackward",
        "AddBackward",
        "AddmmBackward",
        "AliasBackward",
        "AsStridedBackward",
        "AvgPool2DBackward",
        "AvgPool3DBackward",
        "CatBackward",
        "CloneBackward",
        "ConstantPadNdBackward",
        "ConvolutionBackward",
        "CudnnBatchNormBackward",
        "ExpandBackward",
        "MeanBackward",
        "MkldnnConvolutionBackward",
        "MmBackward",
        "NativeBatchNormBackward",
        "NegBackward",
        "PermuteBackward",
        "ReshapeAliasBackward",
        "SelectBackward",
        "SliceBackward",
        "SplitBackward",
        "SqueezeBackward",
        "SubBackward",
        "SumBackward",
        "TBackward",
        "TransposeBackward",
        "UnsafeViewBackward",
        "UnsqueezeBackward",
        "ViewBackward",
    }
)
"""Steps whose backward pass doesn't depend on the values they saw, as long as one operand only leads to the ECG.
Products aren't among them: what multiplies could be a gate."""

_SUMS: Final = ("AddBackward", "SubBackward", "CatBackward")
"""Steps that stay linear with several operands that lead to the ECG."""


class RescaleError(ValueError):
    """The rescale rule can't be applied to this network; the message says why. Captum's DeepLIFT may work."""


@dataclass
class _ReluInputs:
    """What every ReLU sees, by its name. Apart from the pass itself, because the hooks of that pass hold it.

    Attributes:
        backgrounds: The backgrounds, (background, ...).
        ecg: What the ReLUs see of the current ECG, (1, ...); empty in between.
    """

    backgrounds: dict[str, Tensor]
    ecg: dict[str, Tensor] = field(default_factory=dict)

    def slope(self, name: str) -> Tensor:
        """Divide the difference of a ReLU's outputs by that of its inputs, (background, ...)."""
        ecg, background = self.ecg[name], self.backgrounds[name]
        difference = ecg - background
        ratio = (ecg.relu() - background.relu()) / difference
        return torch.where(difference.abs() < _SMALLEST_DIFFERENCE, (ecg > 0).to(ratio), ratio)


@dataclass(frozen=True)
class _Recorded:
    """A forward pass of backgrounds, stored for every ECG that comes.

    Attributes:
        backgrounds: (background, lead, sample), the leaf of the recorded pass.
        logit: (background,), its end.
        inputs: What the ReLUs see.
    """

    backgrounds: Tensor
    logit: Tensor
    inputs: _ReluInputs

    def map_sum(self, ecg: Tensor, ecg_inputs: dict[str, Tensor]) -> Tensor:
        """Compute the sum of the maps over the backgrounds, (1, lead, sample)."""
        if self.inputs.backgrounds.keys() != ecg_inputs.keys():
            raise RescaleError("the network calls other ReLUs for this ECG than for the backgrounds")
        self.inputs.ecg = ecg_inputs
        each = torch.ones_like(self.logit)
        (multiplier,) = torch.autograd.grad(self.logit, self.backgrounds, each, retain_graph=True)
        self.inputs.ecg = {}
        return (multiplier * (ecg - self.backgrounds.detach())).sum(0, keepdim=True)


_recorded: WeakKeyDictionary[OneLogit, list[_Recorded] | RescaleError] = WeakKeyDictionary()


def rescale_maps(model: FrozenModel, ecg: Tensor, backgrounds: Tensor) -> Tensor:
    """Compute DeepLIFT of one ECG by the rescale rule, mean over backgrounds: DeepLIFT-SHAP.

    The backgrounds' pass is stored with the model's network until other backgrounds come, or the network goes. More
    than two chunks of backgrounds aren't stored: their pass is made for every ECG, which still halves Captum's cost.

    Args:
        model: The frozen network; its only non-linearities are ``nn.ReLU`` modules, each called once, not in place.
        ecg: (1, lead, sample) mV.
        backgrounds: (background, lead, sample) mV.

    Returns:
        (1, lead, sample) logit; its sum is f(ecg) - mean f(background).

    Raises:
        RescaleError: The network holds something else that isn't linear, such as maximum pooling.
        ValueError: Not one ECG, or no background.

    Source: what Captum's DeepLiftShap computes.
    """
    if ecg.ndim != 3 or len(ecg) != 1 or not len(backgrounds):
        shapes = f"{tuple(ecg.shape)} and {tuple(backgrounds.shape)}"
        raise ValueError(f"expected one ECG, (1, lead, sample), and at least one background, got {shapes}")
    with full_float32(), torch.inference_mode(False), torch.no_grad():
        ecg = ecg.detach().clone()  # what was made under inference mode can't be used here
        with _relu_inputs(model.network) as inputs:
            model.network(ecg)
        total = torch.zeros_like(ecg)
        for recorded in _recordings(model, backgrounds):
            total += recorded.map_sum(ecg, inputs)
        return total / len(backgrounds)


def _recordings(model: FrozenModel, backgrounds: Tensor) -> Iterator[_Recorded]:
    recordings = _recorded.get(model.network)
    if isinstance(recordings, RescaleError):
        raise recordings
    parts = torch.split(backgrounds.detach().clone(), model.chunk)
    if len(backgrounds) > _MAX_STORED_CHUNKS * model.chunk:
        yield from (_record(model.network, part) for part in parts)
        return
    if recordings is None or not torch.equal(torch.cat([part.backgrounds for part in recordings]), backgrounds):
        recordings = _recorded[model.network] = [_record(model.network, part) for part in parts]
    yield from recordings


def _record(network: OneLogit, backgrounds: Tensor) -> _Recorded:
    leaf = backgrounds.clone().requires_grad_()
    nodes: dict[str, Node] = {}
    try:
        with torch.enable_grad(), _relu_inputs(network, nodes) as inputs:
            logit: Tensor = network(leaf)
        _check_linear_but_for(set(nodes.values()), logit)
    except RescaleError as error:
        _recorded[network] = error.with_traceback(None)
        raise
    seen = _ReluInputs(inputs)
    for name, node in nodes.items():
        node.register_hook(lambda _, upstream, name=name: (upstream[0] * seen.slope(name),))
    return _Recorded(leaf, logit, seen)


@contextmanager
def _relu_inputs(network: nn.Module, nodes: dict[str, Node] | None = None) -> Iterator[dict[str, Tensor]]:
    """Collect what every ReLU sees while the block runs and, if requested, the recorded step that it makes."""
    seen: dict[str, Tensor] = {}
    versions: dict[str, int] = {}

    def read(name: str, module: nn.ReLU, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if name in seen or module.inplace:
            raise RescaleError(f"{name} is called more than once, or in place: give each use an nn.ReLU() of its own")
        seen[name], versions[name] = inputs[0].detach(), inputs[0]._version
        if nodes is not None and output.grad_fn is not None:
            nodes[name] = output.grad_fn

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if type(module) is nn.ReLU:
                hook = module.register_forward_hook(lambda m, i, o, name=name: read(name, m, i, o))
                stack.enter_context(hook)
        yield seen
    changed = [name for name, tensor in seen.items() if tensor._version != versions[name]]
    if changed:
        raise RescaleError(f"what {changed[0]} reads is changed in place afterwards")


def _check_linear_but_for(relus: set[Node], logit: Tensor) -> None:
    """Walk the recorded pass from the logit to the input."""
    if logit.grad_fn is None:
        raise RescaleError("the logit doesn't depend on the ECG")
    todo = [logit.grad_fn]
    visited: set[Node] = set()
    while todo:
        node = todo.pop()
        if node in visited:
            continue
        visited.add(node)
        operands = [operand for operand, _ in node.next_functions if operand is not None]
        todo += operands
        if node not in relus and not _is_linear(node, len(operands)):
            raise RescaleError(
                f"the network holds a step that is neither linear nor an nn.ReLU module: {node.name()} in the backward "
                "pass"
            )


def _is_linear(node: Node, operands: int) -> bool:
    kind = node.name().rstrip("0123456789")
    if kind.endswith("AccumulateGrad"):  # the input
        return True
    own_statistics = getattr(node, "_saved_training", False)  # a norm over the batch, or over each ECG
    return kind in _LINEAR and not own_statistics and (operands == 1 or kind in _SUMS)
