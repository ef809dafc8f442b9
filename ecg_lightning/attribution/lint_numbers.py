"""The methods' own promises in numbers: maps of a few ECGs that must keep them on any network that is safe."""

from collections.abc import Sequence
from typing import Final

import torch
from captum import attr as captum
from torch import Tensor, nn

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.guided_reference import guided_gradient, layer_cam
from ecg_lightning.attribution.lint_few_passes import few_passes, without_ties
from ecg_lightning.attribution.lint_layer import layer_complaints
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.robust import explain_or_nan
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.sensitivity import GradCam, GuidedGradCam
from ecg_lightning.attribution.task import AttributionTask, in_chunks
from ecg_lightning.models.lint import Trace

ONE_RELU: Final = "use one nn.ReLU module for each use, made in __init__, and call no ReLU as a function"
GUIDED: Final = ("guided_backprop", "guided_gradcam")
DEEPLIFT: Final = ("deeplift", "deeplift_shap")
_GRADIENT: Final = ("saliency", "gradient_x_input")
_DOUBTFUL_ERROR: Final = 0.02
"""Median |sum of the map - expected| over the median |expected| above which completeness is doubtful."""

_REFUSED_ERROR: Final = 0.10
_REFERENCE_ERROR: Final = 1e-3
"""Largest difference to a map that is known, over its largest value, in the median ECG: one ECG of many has a ReLU at
its kink, which rounding may flip."""

_SLOPE_ERROR: Final = 0.05
_STEP: Final = 1e-3
"""Relative change of the ECG's amplitude over which the logit's change is compared with its gradient."""

Checks = dict[str, list[Complaint]]
"""Method -> what its numbers say against it."""


def numbers(
    network: nn.Module, task: AttributionTask, ecg: Tensor, methods: Sequence[AttributionMethod], trace: Trace
) -> Checks:
    """What the methods' maps of a few ECGs say; a method that fails is refused with its own words."""
    with torch.no_grad():
        logit = in_chunks(task.network, ecg, task.chunk).double().cpu()
    checks: Checks = {}
    for method in methods:
        try:
            checks[method.name] = _complaints(method, network, task, ecg, logit, trace)
        except Exception as error:  # whatever a stranger's network raises is told in the report
            checks[method.name] = [("doubtful", f"it can't be checked: {type(error).__name__}: {error}", "")]
    return checks


def _complaints(
    method: AttributionMethod, network: nn.Module, task: AttributionTask, ecg: Tensor, logit: Tensor, trace: Trace
) -> list[Complaint]:
    found: list[Complaint] = []
    layer = getattr(method, "layer", None) or task.gradcam_layer
    if isinstance(method, GradCam | GuidedGradCam) and layer in dict(network.named_modules()):
        found = layer_complaints(network, str(layer), ecg)
        if any(verdict == "refused" for verdict, _, _ in found):
            return found
    if not (method.single_pass or method.name in ("integrated_gradients", "deeplift_shap")):
        return few_passes(method, task, ecg[:2], logit[:2])
    if method.name in (*GUIDED, "gradcam"):  # they are compared with another way of computing them
        ecg = without_ties(ecg)
    maps, failed = _try(method, task, ecg)
    if len(failed) == len(ecg):
        remedy = ONE_RELU if method.name in (*GUIDED, *DEEPLIFT) else ""
        return [("refused", f"it fails: {failed[0]}", remedy)]
    if failed:
        return [("doubtful", f"it fails on {len(failed)} of {len(ecg)} ECGs: {failed[0]}", "")]
    if method.name == "saliency" and not maps.any():
        return [("doubtful", "the gradient is zero everywhere: the logit does not move", "")]
    return [
        *found,
        *_completeness(method, task, maps, logit),
        *_guidance(method, network, ecg, maps, trace),
        *_layer_map(method, network, ecg, maps, str(layer)),
        *_slope(method, network, ecg),
    ]


def _try(method: AttributionMethod, task: AttributionTask, ecg: Tensor) -> tuple[Tensor, list[str]]:
    """Maps of the ECGs, and why it failed on each that it failed on."""
    keys = [RandomKey(ecg_id=str(place)) for place in range(len(ecg))]
    try:
        found, failed = explain_or_nan(method, task, ecg, keys)
    except Exception as error:  # Captum raises many kinds; the report tells which
        return ecg, [f"{type(error).__name__}: {error}"] * len(ecg)
    return found.maps.double().cpu(), list(failed.values())


def _completeness(method: AttributionMethod, task: AttributionTask, maps: Tensor, logit: Tensor) -> list[Complaint]:
    if not method.complete:
        return []
    expected = logit - method.baseline_logit(task)
    scale = float(expected.abs().median())
    error = float((maps.sum((1, 2)) - expected).abs().median()) / scale if scale > 0 else 0.0
    if error <= _DOUBTFUL_ERROR:
        return []
    words = f"its maps' sums miss f(ecg) - f(baseline) by {error:.0%} in the median of {len(logit)} ECGs"
    if method.name in DEEPLIFT and error > _REFUSED_ERROR:
        remedy = f"{ONE_RELU}; put pooling before the ReLU; for other activations take integrated gradients"
        return [("refused", words, remedy)]
    return [("doubtful", words, "more steps" if method.name not in DEEPLIFT else "")]


def _guidance(
    method: AttributionMethod, network: nn.Module, ecg: Tensor, maps: Tensor, trace: Trace
) -> list[Complaint]:
    """Guided backpropagation against the same with every ReLU replaced, whatever it is called."""
    if method.name != "guided_backprop":
        return []
    if not trace.relus:
        return [("doubtful", "there is no ReLU to guide by: it is the plain gradient", "")]
    error = median_error(maps, guided_gradient(network, ecg))
    if error <= _REFERENCE_ERROR:
        return []
    return [("refused", f"not every ReLU is guided: it is off by {error:.0%} of its largest value", ONE_RELU)]


def _layer_map(method: AttributionMethod, network: nn.Module, ecg: Tensor, maps: Tensor, layer: str) -> list[Complaint]:
    """Grad-CAM against activation and gradient of the layer in the network as it was handed in."""
    if not isinstance(method, GradCam | GuidedGradCam):
        return []
    cam = layer_cam(network, layer, ecg)
    if cam is None:
        return []
    coarse = cam.relu() if method.rectified else cam
    truth: Tensor = captum.LayerAttribution.interpolate(coarse, (ecg.shape[-1],), "linear").expand(ecg.shape)
    if isinstance(method, GuidedGradCam):
        truth = truth * guided_gradient(network, ecg)
    error = median_error(maps, truth)
    if error <= _REFERENCE_ERROR:
        return []
    words = f"it is off by {error:.0%} of its largest value from what the output and gradient of {layer} give"
    return [("doubtful", words, "call nothing in place behind that layer")]


def _slope(method: AttributionMethod, network: nn.Module, ecg: Tensor) -> list[Complaint]:
    """The gradient against what the logit does when the ECG's amplitude changes a little."""
    if method.name not in _GRADIENT or ecg.dtype not in (torch.float32, torch.float64):
        return []
    with torch.enable_grad():
        probe = ecg.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(network(probe).sum(), probe)
    terms = (gradient * ecg).cpu().double().flatten(1)
    with torch.no_grad():
        larger, smaller = (network(ecg * (1 + step)).reshape(-1).cpu().double() for step in (_STEP, -_STEP))
    slope = (larger - smaller) / (2 * _STEP)
    rounding = 10 * torch.finfo(ecg.dtype).eps * larger.abs() / _STEP
    apart = ((terms.sum(1) - slope).abs() - rounding).clamp_min(0.0)
    scale = torch.maximum(slope.abs(), 0.1 * terms.abs().sum(1)).clamp_min(1e-300)
    error = float((apart / scale).median())
    if error <= _SLOPE_ERROR:
        return []
    words = f"the logit changes otherwise than its gradient says, by {error:.0%}, when the ECG's amplitude does"
    return [
        ("doubtful", words, "look for steps whose gradient is another one: detach(), rounding, functions of one's own")
    ]


def median_error(maps: Tensor, truth: Tensor) -> float:
    """Largest difference of a map to the true one, over its largest value, in the median ECG.

    Args:
        maps: (batch, lead, sample).
        truth: The same shape.
    """
    maps, truth = maps.cpu().double().flatten(1), truth.detach().cpu().double().flatten(1)
    largest = truth.abs().amax(1).clamp_min(1e-30)
    return float(((maps - truth).abs().amax(1) / largest).median())
