"""Progressive randomisation of a network's layers (paper, "Dependence on model weights"; Adebayo, NeurIPS 2018).

Layers are numbered by the order of their execution, and each gets weights of its own draw: layers of equal shape must
not get equal weights, and a layer must not get others at another depth.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ecg_lightning.experiments.randomization.executed_layers import executed_layers
from ecg_lightning.functional.plain_copy import plain_copy
from ecg_lightning.randomness import torch_generator, torch_seeded

Direction = Literal["from_output", "from_input", "independent"]
"""Depth d has randomised the d layers next to the output, or to the input, or layer d from the output alone."""

How = Literal["reset_parameters", "permutation"]
"""A fresh draw of the layer's own initialisation, or its weights in random order, which keeps their distribution."""

BatchNormPolicy = Literal["kept", "reset", "recalibrated", "reset_recalibrated"]
"""What becomes of normalisations.

``kept``: they are as they were trained, so that the network is not wholly random. ``reset``: those of the randomised
layers are as new; the statistics of a new BatchNorm (mean 0, variance 1) are not those of its input, so that this is no
sane network: maps of two random networks agree by .05 instead of .7, and every method seems to need the weights.
``recalibrated``: scales and shifts are kept, and the statistics of BatchNorms are those of the randomised network.
``reset_recalibrated``: scales and shifts of the randomised layers' norms are as new, and the statistics are those of
the randomised network: what a network that was never trained would have.
"""

DIRECTIONS: Final[tuple[Direction, ...]] = get_args(Direction)

_REMEDY: Final = "give it a method `reset_parameters()` that draws its weights anew, or randomise by `how: permutation`"
_NORMS: Final = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)


def weight_layers(network: nn.Module, ecg: Tensor) -> tuple[str, ...]:
    """Names of the modules with weights, but for normalisations, in the order in which they are executed.

    Args:
        network: (batch, lead, sample) -> logit.
        ecg: (1, lead, sample) to run it on.

    Returns:
        Dotted names; a module that is called twice stands where it is called first, one that isn't called not at all.

    Raises:
        ValueError: There is none.
    """
    order = [name for name, module in executed_layers(network, ecg) if _has_weights(module)]
    if not order:
        raise ValueError(f"{type(network).__name__} has no layer with weights that could be randomised")
    return tuple(order)


def layers_at(layers: Sequence[str], direction: Direction, depth: int) -> tuple[str, ...]:
    """Which layers depth ``depth`` of a cascade has randomised.

    Args:
        layers: In the order of execution.
        direction: Of the cascade.
        depth: 0 (none) to the number of layers.

    Raises:
        ValueError: An unknown direction, or a depth beyond the layers.
    """
    if direction not in DIRECTIONS:
        raise ValueError(f"a direction is one of {', '.join(DIRECTIONS)}, got {direction!r}")
    if not 0 <= depth <= len(layers):
        raise ValueError(f"a network of {len(layers)} layers has depths 0 to {len(layers)}, got {depth}")
    if depth == 0:
        return ()
    if direction == "from_input":
        return tuple(layers[:depth])
    return (layers[-depth],) if direction == "independent" else tuple(layers[-depth:])


def randomised(
    network: nn.Module,
    layers: Sequence[str],
    seed_of: Callable[[str], int],
    *,
    how: How = "reset_parameters",
    batchnorm: BatchNormPolicy = "kept",
    ecgs: Tensor | None = None,
) -> nn.Module:
    """A copy of a network with some layers randomised; network and global random state stay as they are.

    Args:
        network: (batch, lead, sample) -> logit.
        layers: Names of ``weight_layers``.
        seed_of: Name -> seed of the layer's draw, which is made on the CPU whatever the device.
        how: How a layer is randomised.
        batchnorm: What is done to normalisations; one belongs to the layer that is executed last before it, one before
            all layers to the first.
        ecgs: (n, lead, sample) mV that BatchNorms are recalibrated on, or that tell their order for ``reset``.

    Returns:
        The copy, in evaluation mode.

    Raises:
        ValueError: A layer that isn't there or can't be reset, or no ECGs where BatchNorms need them.
    """
    if how not in get_args(How) or batchnorm not in get_args(BatchNormPolicy):
        raise ValueError(
            f"how is one of {', '.join(get_args(How))} and batchnorm one of {', '.join(get_args(BatchNormPolicy))}; "
            f"got {how!r} and {batchnorm!r}"
        )
    if batchnorm != "kept" and ecgs is None:
        raise ValueError(f"batchnorm {batchnorm!r} needs ECGs to run the network on")
    result = plain_copy(network)
    modules = dict(result.named_modules())
    unknown = [name for name in layers if name not in modules]
    if unknown:
        raise ValueError(f"{type(network).__name__} has no module {', '.join(unknown)}")
    for name in layers:
        _randomise(name, modules[name], seed_of(name), how)
    if layers and ecgs is not None:
        if batchnorm in ("reset", "reset_recalibrated"):
            _reset_norms(result, ecgs[:1], set(layers))
        if batchnorm in ("recalibrated", "reset_recalibrated"):
            _recalibrate(result, ecgs)
    return result


def check_resettable(network: nn.Module, layers: Sequence[str]) -> None:
    """Refuse layers whose reset leaves trained weights, before any map of a randomised network is made.

    Args:
        network: With its trained weights; it stays as it is.
        layers: Names of ``weight_layers``.

    Raises:
        ValueError: Layers without ``reset_parameters``, or whose own leaves some of their weights as they are.
    """
    modules = dict(network.named_modules())
    fixed = [name for name in layers if _reset_of(modules[name]) is None]
    if fixed:
        raise ValueError(f"{type(network).__name__}: {', '.join(fixed)} can't be reset: {_REMEDY}")
    kept = [f"{name}.{weight}" for name in layers for weight in _kept_by_reset(modules[name])]
    if kept:
        raise ValueError(
            f"{type(network).__name__}: a reset leaves {', '.join(kept)} as trained, so that the network would not be "
            f"random: {_REMEDY}"
        )


def _reset_of(module: nn.Module) -> Callable[[], None] | None:
    """The method that draws a module's weights anew; PyTorch's attention has one of another name."""
    for name in ("reset_parameters", "_reset_parameters"):
        method = getattr(module, name, None)
        if callable(method):
            reset: Callable[[], None] = method
            return reset
    return None


def _kept_by_reset(module: nn.Module) -> list[str]:
    """Names of the module's own weights that its reset does not fill: what is not a number stays so."""
    scratch = copy.deepcopy(module).cpu()
    own = dict(scratch.named_parameters(recurse=False))
    with torch.no_grad():
        for weight in own.values():
            weight.fill_(torch.nan)
    reset = _reset_of(scratch)
    with torch_seeded(0):
        if reset is not None:
            reset()
    return [name for name, weight in scratch.named_parameters(recurse=False) if weight.isnan().any()]


def _has_weights(module: nn.Module) -> bool:
    return not isinstance(module, _NORMS) and next(module.parameters(recurse=False), None) is not None


def _randomise(name: str, module: nn.Module, seed: int, how: How) -> None:
    if how == "permutation":
        generator = torch_generator(seed)
        with torch.no_grad():
            for parameter in module.parameters(recurse=False):
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
        return
    reset = _reset_of(module)
    if reset is None:
        raise ValueError(f"{name} can't be reset: {_REMEDY}")
    place = next(module.parameters())
    module.cpu()
    with torch_seeded(seed):
        reset()
    module.to(place.device)


def _reset_norms(network: nn.Module, ecg: Tensor, layers: set[str]) -> None:
    owner: str | None = None
    waiting: list[nn.Module] = []  # before the first layer: they belong to it
    for name, module in executed_layers(network, ecg):
        if _has_weights(module):
            if owner is None and name in layers:
                for one in waiting:
                    one.reset_parameters()  # type: ignore[operator]
            owner = name
        elif owner is None:
            waiting.append(module)
        elif owner in layers:
            module.reset_parameters()  # type: ignore[operator]


def _recalibrate(network: nn.Module, ecgs: Tensor) -> None:
    """Statistics of all BatchNorms from these ECGs, their scales and shifts as they are."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative: one batch gives its own statistics
        norm.train()
    with torch.no_grad():
        network(ecgs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
