"""Five methods from one forward and two backward passes, instead of six of each."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from captum import attr as captum
from torch import Tensor, nn

from ecg_lightning.attribution.base import AttributionMethod, differentiable
from ecg_lightning.attribution.sensitivity import GradCam, GradientXInput, GuidedBackprop, GuidedGradCam, Saliency
from ecg_lightning.attribution.task import AttributionTask, in_chunks
from ecg_lightning.models.precision import full_float32

_GRADIENT: Final = (Saliency, GradientXInput)
_GUIDED: Final = (GuidedBackprop, GuidedGradCam)
_LAYER: Final = (GradCam, GuidedGradCam)
_SHARED: Final = {*_GRADIENT, *_GUIDED, *_LAYER}


@dataclass(frozen=True)
class _Passes:
    """What a forward and up to two backward passes give.

    Attributes:
        gradient: (batch, lead, sample).
        guided: The same by the rule of guided backpropagation; empty where no method asks for it.
        cams: Name of a layer -> Grad-CAM, (batch, 1, sample of the layer).
    """

    gradient: Tensor
    guided: Tensor
    cams: dict[str, Tensor]


@dataclass
class _ReluRule:
    """Which rule backward passes follow. Hooks of a pass hold it, so it holds no part of that pass."""

    guided: bool = False


def shareable(methods: Sequence[AttributionMethod]) -> tuple[AttributionMethod, ...]:
    """Those of some methods that ``shared_maps`` computes; a subclass has a way of its own and isn't among them."""
    return tuple(method for method in methods if type(method) in _SHARED)


def shared_maps(
    methods: Sequence[AttributionMethod], task: AttributionTask, ecg: Tensor, *, chunk: int | None = None
) -> dict[str, Tensor]:
    """Maps of the gradient family, equal to what each method gives by itself.

    Args:
        methods: Of ``shareable``.
        task: The frozen network.
        ecg: (batch, lead, sample) mV.
        chunk: Inputs a pass; None: as each method by itself.

    Returns:
        Name -> (batch, lead, sample), detached.

    Raises:
        ValueError: Another method, a layer that isn't there, or one that is called twice or gives no
            (batch, channel, sample).
    """
    others = [method.name for method in methods if type(method) not in _SHARED]
    if others or not methods:
        raise ValueError(f"no passes are shared by {', '.join(others) or 'no methods'}; ask `shareable` first")
    with full_float32(), torch.inference_mode(False), torch.enable_grad():
        ecg = ecg.detach().clone()  # a tensor made under inference mode can't require gradients
        stacked = in_chunks(lambda part: _maps(methods, task, part), ecg, chunk or task.single_pass_chunk)
    return {method.name: stacked[:, index] for index, method in enumerate(methods)}


def _maps(methods: Sequence[AttributionMethod], task: AttributionTask, ecg: Tensor) -> Tensor:
    """(batch, lead, sample) -> (batch, method, lead, sample)."""
    layers = {_layer(method, task) for method in methods if isinstance(method, _LAYER)}
    guided = any(isinstance(method, _GUIDED) for method in methods)
    passes = _passes(task, differentiable(ecg), layers, guided)
    return torch.stack([_map(method, task, passes, ecg) for method in methods], dim=1)


def _layer(method: GradCam | GuidedGradCam, task: AttributionTask) -> str:
    return method.layer or task.gradcam_layer or ""


def _map(method: AttributionMethod, task: AttributionTask, passes: _Passes, ecg: Tensor) -> Tensor:
    if isinstance(method, Saliency):
        return passes.gradient.abs() if method.absolute else passes.gradient
    if isinstance(method, GradientXInput):
        return passes.gradient * ecg
    if isinstance(method, GradCam | GuidedGradCam):
        cam = passes.cams[_layer(method, task)]
        coarse = cam.relu() if method.rectified else cam  # before it is interpolated, as Captum
        fine: Tensor = captum.LayerAttribution.interpolate(coarse, (ecg.shape[-1],), "linear")
        return fine * passes.guided if isinstance(method, GuidedGradCam) else fine.expand(ecg.shape)
    return passes.guided


def _passes(task: AttributionTask, ecg: Tensor, layers: set[str], guided: bool) -> _Passes:
    rule, outputs = _ReluRule(), dict[str, Tensor]()
    with _hooks(task, layers, rule, outputs):
        logit = task.network(ecg)
    each = torch.ones_like(logit)
    wanted = (ecg, *outputs.values())
    gradient, *slopes = torch.autograd.grad(logit, wanted, each, retain_graph=guided)
    rule.guided = True
    guided_gradient = torch.autograd.grad(logit, ecg, each)[0] if guided else torch.empty(0)
    cams = {
        name: (slope.mean(-1, keepdim=True) * output.detach()).sum(1, keepdim=True)
        for (name, output), slope in zip(outputs.items(), slopes, strict=True)
    }
    return _Passes(gradient, guided_gradient, cams)


@contextmanager
def _hooks(task: AttributionTask, layers: set[str], rule: _ReluRule, outputs: dict[str, Tensor]) -> Iterator[None]:
    """Keep the layers' outputs of the pass in the block, and let every ReLU's backward pass follow the rule."""

    def follow(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        if output.grad_fn is not None:
            output.grad_fn.register_hook(lambda slopes, _: tuple(map(torch.relu, slopes)) if rule.guided else None)

    def keep(name: str, output: Tensor) -> Tensor:
        if name in outputs or not isinstance(output, Tensor) or output.ndim != 3:
            raise ValueError(
                f"the output of {name} can't be shared: expected (batch, channel, sample), called once; call Grad-CAM "
                "by itself"
            )
        outputs[name] = output
        return output.clone()  # what follows may change it in place

    with ExitStack() as stack:
        for module in task.network.modules():
            if isinstance(module, nn.ReLU):
                stack.enter_context(module.register_forward_hook(follow))
        for name in layers:
            hook = task.layer(name or None).register_forward_hook(lambda _, __, output, name=name: keep(name, output))
            stack.enter_context(hook)
        yield
