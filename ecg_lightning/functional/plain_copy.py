"""A plain copy of a network holds the weights that its layers use, as plain parameters, and nothing it has seen.

Methods hook layers, folding changes their weights, and a cascade draws them anew. So a copy keeps no compiled parts, no
activations of earlier passes, and no weights that a hook or parametrization recomputes from others in every pass:
``reset_parameters`` would leave those as they were trained.
"""

import copy
import types
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.overrides import TorchFunctionMode

from ecg_lightning.functional.nested import nested

COMPILED: Final = "_orig_mod."
"""What ``torch.compile`` puts into the names of modules."""

_WRAPPERS: Final = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def plain_copy(network: nn.Module) -> nn.Module:
    """Copy a network for what hooks, changes or randomises its layers; the network itself stays as it is.

    Args:
        network: The network that is copied.

    Returns:
        The copy, in evaluation mode, that shares no tensor with the network; in float32 where the network is in half
        precision, whose gradients have two or three digits. Names of modules are the same but for ``_orig_mod.`` of
        compiled parts.

    Raises:
        ValueError: A part that no copy can be made of, named with what to do about it.
    """
    check_copyable(network)
    with torch.inference_mode(False), _Detached():  # under Lightning's inference mode it could never take a gradient
        try:
            copied = copy.deepcopy(network)
        except Exception as error:  # whatever an object from elsewhere raises
            raise ValueError(
                f"{type(network).__name__} can't be copied, because of {_not_copyable(network)} ({error}): keep such "
                "objects outside of the network"
            ) from error
    copied = _without_wrappers(copied).eval()
    for module in list(copied.modules()):
        module._compiled_call_impl = None
        _fold_reparametrizations(module)
    half = any(weight.dtype in (torch.float16, torch.bfloat16) for weight in copied.parameters())
    return copied.float() if half else copied


def check_copyable(network: nn.Module) -> None:
    """Find what a copy can't be made of, before anything is trained.

    Args:
        network: The network that is to be copied.

    Raises:
        ValueError: A scripted module, or a ``forward`` that was set on an object and refers to the object's modules.
    """
    names = {module: name for name, module in network.named_modules()}
    for module, name in names.items():
        shown_name = name or type(network).__name__
        if isinstance(module, torch.jit.ScriptModule):
            raise ValueError(
                f"{shown_name} is a scripted module (TorchScript), whose layers can't be hooked, folded or randomised: "
                "give the module that it was made of, before torch.jit.script or torch.jit.trace"
            )
        held = [names[held_module] for held_module in _held_by(vars(module).get("forward")) if held_module in names]
        if held and _wrapped(module) is None:
            raise ValueError(
                f"the forward of {shown_name} was set on the object and refers to {held[0] or type(network).__name__}: "
                "a copy would run the weights of the original; define forward in a class of its own instead"
            )


def _not_copyable(network: nn.Module) -> str:
    """Name of the attribute that no copy can be made of."""
    for name, module in network.named_modules():
        for attribute, value in vars(module).items():
            try:
                if attribute != "_modules":
                    copy.deepcopy(value)
            except Exception:  # which is what is looked for
                return f"{name or type(network).__name__}.{attribute}"
    return "how its parts refer to each other"


class _Detached(TorchFunctionMode):
    """Copies tensors that a pass has computed without what they were computed from; PyTorch refuses to copy these."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is Tensor.__deepcopy__ and not args[0].is_leaf:
            tensor, memo = args
            return memo.setdefault(id(tensor), tensor.detach().clone())
        return func(*args, **(kwargs or {}))


def _without_wrappers(network: nn.Module) -> nn.Module:
    """The network without ``torch.compile`` and data parallelism around it or its parts."""
    while (inner := _wrapped(network)) is not None:
        network = inner
    for module in list(network.modules()):
        for name, child in module.named_children():
            module._modules[name] = _without_wrappers(child)
    return network


def _wrapped(module: nn.Module) -> nn.Module | None:
    """What a wrapper stands around."""
    if isinstance(module, _WRAPPERS):
        inner: nn.Module = module.module
        return inner
    return module._modules.get(COMPILED.rstrip("."))


def _fold_reparametrizations(module: nn.Module) -> None:
    """Make plain parameters of weights that are recomputed from others in every pass."""
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, WeightNorm):
            remove_weight_norm(module, hook.name)
        elif isinstance(hook, SpectralNorm):
            remove_spectral_norm(module, hook.name)
        elif isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
    if parametrize.is_parametrized(module):
        _without_parametrizations(module)


def _without_parametrizations(module: nn.Module) -> None:
    """As ``remove_parametrizations``, which would also change the class of the network that was copied."""
    parametrized = dict(module.parametrizations.items())  # type: ignore[union-attr, operator]
    values = {name: getattr(module, name).detach().clone() for name in parametrized}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, originals in parametrized.items():
        first = next(iter(originals.parameters(recurse=False)), None)
        if first is None:
            module.register_buffer(name, values[name])
        else:
            module.register_parameter(name, nn.Parameter(values[name], first.requires_grad))


def _held_by(forward: object, seen: frozenset[int] = frozenset()) -> Iterator[nn.Module]:
    """Modules that a function refers to and that no copy replaces: methods and partial functions are copied whole."""
    if isinstance(forward, partial):
        yield from _held_by(forward.func, seen)
    elif isinstance(forward, types.FunctionType) and id(forward) not in seen:
        cells = [cell.cell_contents for cell in forward.__closure__ or () if cell != types.CellType()]
        named = [forward.__globals__.get(name) for name in forward.__code__.co_names]
        yield from _modules([*cells, *named, *(forward.__defaults__ or ()), *(forward.__kwdefaults__ or {}).values()])
        for held in cells:
            yield from _held_by(held, seen | {id(forward)})


def _modules(value: object) -> Iterator[nn.Module]:
    """Modules in a value, and those that methods in it are bound to."""
    yield from nested(value, nn.Module)
    for method in nested(value, types.MethodType):
        yield from _modules(method.__self__)
