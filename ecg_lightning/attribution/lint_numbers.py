"""The methods' own promises in numbers: maps of a few ECGs that must keep them on any network that is safe."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.guided_reference import guided_gradient
from ecg_lightning.attribution.lint_report import Verdict
from ecg_lightning.attribution.robust import explain_or_nan
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import AttributionTask, in_chunks
from ecg_lightning.models.lint import Trace

ONE_RELU: Final = "use one nn.ReLU module for each use, made in __init__, and call no ReLU as a function"
GUIDED: Final = ("guided_backprop", "guided_gradcam")
DEEPLIFT: Final = ("deeplift", "deeplift_shap")
_DOUBTFUL_ERROR: Final = 0.02
"""Median |sum of the map - expected| over the median |expected| above which completeness is doubtful."""

_REFUSED_ERROR: Final = 0.10
_GUIDED_ERROR: Final = 1e-3
"""Largest difference to the true guided gradient, over its largest value."""

Checks = dict[str, list[tuple[Verdict, str, str]]]
"""Method -> verdict, reason and remedy of each number that was off."""


def numbers(
    network: nn.Module, task: AttributionTask, ecg: Tensor, methods: Sequence[AttributionMethod], trace: Trace
) -> Checks:
    """What the methods' maps of a few ECGs say; a method that fails is refused with its own words."""
    checks: Checks = {}
    with torch.no_grad():
        logit = in_chunks(task.network, ecg, task.chunk).double().cpu()
    for method in methods:
        if not (method.single_pass or method.name in ("integrated_gradients", "deeplift_shap")):
            continue
        maps, failed = _try(method, task, ecg)
        if len(failed) == len(ecg):
            remedy = ONE_RELU if method.name in (*GUIDED, *DEEPLIFT) else ""
            checks[method.name] = [("refused", f"it fails: {failed[0]}", remedy)]
            continue
        if failed:
            checks[method.name] = [("doubtful", f"it fails on {len(failed)} of {len(ecg)} ECGs: {failed[0]}", "")]
            continue
        found = [*_completeness(method, task, maps, logit), *_guidance(method, network, ecg, maps, trace)]
        if method.name == "saliency" and not maps.any():
            found.append(("doubtful", "the gradient is zero everywhere: the logit does not move", ""))
        checks[method.name] = found
    return checks


def _try(method: AttributionMethod, task: AttributionTask, ecg: Tensor) -> tuple[Tensor, list[str]]:
    """Maps of the ECGs, and why it failed on each that it failed on."""
    keys = [RandomKey(ecg_id=str(place)) for place in range(len(ecg))]
    try:
        found, failed = explain_or_nan(method, task, ecg, keys)
    except Exception as error:  # Captum raises many kinds; the report tells which
        return ecg, [f"{type(error).__name__}: {error}"] * len(ecg)
    return found.maps.double().cpu(), list(failed.values())


def _completeness(
    method: AttributionMethod, task: AttributionTask, maps: Tensor, logit: Tensor
) -> list[tuple[Verdict, str, str]]:
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
) -> list[tuple[Verdict, str, str]]:
    """Guided backpropagation against the same with every ReLU replaced, whatever it is called."""
    if method.name != "guided_backprop":
        return []
    if not trace.relus:
        return [("doubtful", "there is no ReLU to guide by: it is the plain gradient", "")]
    truth = guided_gradient(network, ecg).double().cpu()
    error = float((maps - truth).abs().max()) / max(float(truth.abs().max()), 1e-30)
    if error <= _GUIDED_ERROR:
        return []
    return [("refused", f"not every ReLU is guided: it is off by up to {error:.0%} of its largest value", ONE_RELU)]
