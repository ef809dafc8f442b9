"""BatchNorms of a trained network folded into the convolutions before them: the same function in cheaper passes."""

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights
from torch.overrides import TorchFunctionMode

from ecg_lightning.functional.nested import nested
from ecg_lightning.models.precision import full_float32

MAX_ECGS: Final = 8
"""ECGs whose logits are compared."""

_TOLERANCE: Final = 1e-5
"""Of the largest logit; two digits above the rounding of float32."""

_Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d

_CHANNELS_AT_1: Final[dict[type[nn.Module], int]] = {nn.Linear: 2, nn.Conv1d: 3, nn.Conv2d: 4, nn.Conv3d: 5}
"""Kinds that a BatchNorm can be folded into -> dimensions of an output whose channels the BatchNorm counts."""

_SHAPE_QUERIES: Final = {
    Tensor.dim,
    Tensor.size,
    Tensor.numel,
    Tensor.stride,
    Tensor.is_contiguous,
    Tensor.is_floating_point,
    Tensor.__len__,
    *(getattr(Tensor, name).__get__ for name in ("shape", "ndim", "dtype", "device", "requires_grad")),
}
"""What may be asked of an output without reading its values."""


class FoldingError(ValueError):
    """A network whose BatchNorms can't be folded; the message says why."""


class FoldedBatchNorm(nn.Identity):
    """Stands where a BatchNorm stood.

    Args:
        into: Name of the module whose weights now hold it.
    """

    def __init__(self, into: str) -> None:
        super().__init__()
        self.into = into

    def extra_repr(self) -> str:
        """Say where the BatchNorm went, for the printed network."""
        return f"into={self.into}"


@dataclass(frozen=True)
class _Pair:
    name: str
    source: _Layer
    norm: _BatchNorm


class _Uses(TorchFunctionMode):
    """Counts, over one forward pass, the calls and reads of modules that might be folded, and their outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[int, Tensor] = {}  # held, so that no later tensor gets an id again
        self.reads: dict[int, int] = {}
        self.calls: dict[nn.Module, int] = {}
        self.source_of: dict[int, _Layer] = {}
        self.norms: list[tuple[_BatchNorm, int]] = []  # with the id of the output that it reads

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _SHAPE_QUERIES:
            for tensor in nested((args, kwargs), Tensor):
                if id(tensor) in self.reads:
                    self.reads[id(tensor)] += 1
        return func(*args, **kwargs)

    def source_called(self, module: _Layer, _: tuple[Any, ...], output: Tensor) -> None:
        """Hook behind a convolution or linear layer."""
        self.calls[module] = self.calls.get(module, 0) + 1
        self.outputs[id(output)] = output
        self.reads[id(output)] = 0
        self.source_of[id(output)] = module

    def norm_called(self, module: _BatchNorm, inputs: tuple[Any, ...]) -> None:
        """Hook before a BatchNorm."""
        self.calls[module] = self.calls.get(module, 0) + 1
        # asked now: the id of a tensor that nobody holds may be another one's later
        if inputs and id(inputs[0]) in self.outputs:
            self.norms.append((module, id(inputs[0])))


def fold_batchnorm(network: nn.Module, ecg: Tensor, keep: Collection[str] = ()) -> nn.Module:
    """A deep copy in which every BatchNorm that directly and only follows a convolution or linear layer is folded.

    The layer's weights and bias take the BatchNorm in, and a ``FoldedBatchNorm`` (an ``nn.Identity``) takes its
    place; every other module, and every name, stays. Fold after weights are randomised or BatchNorm statistics
    recalibrated, never before: folded weights are no longer what the layer was initialised with.

    A folded layer's own output is another one than before (the BatchNorm's): name in ``keep`` the layers that are
    read, such as Grad-CAM's.

    The pairs are found by watching one forward pass, so that any ``forward`` will do: both modules are called once,
    and nothing but the BatchNorm reads the layer's output. (``torch.fx`` would refuse a ``forward`` that checks its
    input's shape.) Then the logits are compared.

    Args:
        network: Any network; evaluated in eval mode.
        ecg: (batch, lead, sample) mV, on the network's device, in its precision; the first 8 are used.
        keep: Names of modules that are left as they are.

    Raises:
        FoldingError: No BatchNorm can be folded, or the logits differ by more than 1e-5 of the largest (or ten
            times the precision of a half-precision network).
    """
    folded = copy.deepcopy(network).eval()
    ecg = ecg[:MAX_ECGS]
    with full_float32(), torch.no_grad():
        expected, uses = _watch(folded, ecg)
        pairs = list(_pairs(folded, uses, set(keep)))
        if not pairs:
            number = sum(isinstance(module, _BatchNorm) for module in folded.modules())
            raise FoldingError(f"none of its {number} BatchNorms directly and only follows a convolution")
        for pair in pairs:
            _fold(folded, pair)
        _check_equal(folded(ecg), expected)
    return folded


def _watch(network: nn.Module, ecg: Tensor) -> tuple[Tensor, _Uses]:
    uses = _Uses()
    with ExitStack() as stack:
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                stack.enter_context(module.register_forward_pre_hook(uses.norm_called))
            elif type(module) in _CHANNELS_AT_1:
                stack.enter_context(module.register_forward_hook(uses.source_called))
        with uses:
            output: Tensor = network(ecg)
    return output, uses


def _pairs(network: nn.Module, uses: _Uses, keep: set[str]) -> Iterator[_Pair]:
    names = dict(network.named_modules())
    kept = {module for name, module in names.items() if name in keep}
    name_of = {module: name for name, module in names.items()}
    for norm, key in uses.norms:
        source = uses.source_of[key]
        once = uses.calls[source] == uses.calls[norm] == uses.reads[key] == 1
        channels_fit = uses.outputs[key].ndim == _CHANNELS_AT_1[type(source)]
        foldable = once and channels_fit and norm.running_mean is not None and _plain(source) and _plain(norm)
        if foldable and not kept & {source, norm}:
            yield _Pair(name_of[source], source, norm)


def _plain(module: nn.Module) -> bool:
    """Whether calling a module is its ``forward`` over its own weights, and nothing else."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return not any(hooks) and not parametrize.is_parametrized(module)


def _fold(network: nn.Module, pair: _Pair) -> None:
    fuse = fuse_linear_bn_weights if isinstance(pair.source, nn.Linear) else fuse_conv_bn_weights
    source, norm = pair.source, pair.norm
    exact = copy.deepcopy(norm).double()  # so that the folded weights are rounded once
    if exact.running_mean is None or exact.running_var is None:
        raise FoldingError(f"the BatchNorm after {pair.name} has no running statistics")
    bias = None if source.bias is None else source.bias.double()
    fused = fuse(
        source.weight.double(), bias, exact.running_mean, exact.running_var, exact.eps, exact.weight, exact.bias
    )
    trained, dtype = source.weight.requires_grad, source.weight.dtype
    source.weight, source.bias = (nn.Parameter(part.detach().to(dtype), trained) for part in fused)
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if module is norm:
            network.set_submodule(name, FoldedBatchNorm(pair.name).eval())


def _check_equal(logit: Tensor, expected: Tensor) -> None:
    error = float((logit - expected).abs().max())
    limit = max(_TOLERANCE, 10 * torch.finfo(expected.dtype).eps) * float(expected.abs().max())
    if not error <= limit:  # not a number neither
        raise FoldingError(
            f"folded, its logits on {len(logit)} ECGs differ by up to {error:.2g}, more than {limit:.2g}: its forward "
            "pass may read the weights of a layer that a BatchNorm follows"
        )
