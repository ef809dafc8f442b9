"""The linter compares maps of a few ECGs with what each method promises on any network that is safe."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from ecg_lightning.attribution.autograd import recording_gradients
from ecg_lightning.attribution.base import AttributionMethod, keys_of
from ecg_lightning.attribution.lint_layer import layer_complaints
from ecg_lightning.attribution.lint_report import Complaint
from ecg_lightning.attribution.probe import DOUBTFUL_ERROR, ONE_RELU, Probe, without_ties
from ecg_lightning.attribution.robust import explain_or_nan
from ecg_lightning.attribution.task import FrozenModel, in_chunks
from ecg_lightning.models.lint import Trace
from ecg_lightning.models.own_statistics import has_own_statistics, holding_statistics

_REFUSED_ERROR: Final = 0.10
"""Median |sum of the map - expected| over the median |expected| above which a method of modules is refused."""

Checks = dict[str, list[Complaint]]
"""Method -> what its numbers say against it."""


def numbers(
    network: nn.Module, model: FrozenModel, ecg: Tensor, methods: Sequence[AttributionMethod], trace: Trace
) -> Checks:
    """Return what the methods' maps of a few ECGs say; a method that fails is refused with its own words.

    Where the network standardises each ECG by itself, it is one ECG, whose statistics are held throughout.
    """
    if has_own_statistics(network):
        ecg = ecg[:1]
    with holding_statistics(network, ecg), holding_statistics(model.network, ecg):
        return _numbers(network, model, ecg, methods, trace)


def _numbers(
    network: nn.Module, model: FrozenModel, ecg: Tensor, methods: Sequence[AttributionMethod], trace: Trace
) -> Checks:
    with torch.no_grad():
        logit = in_chunks(model.network, ecg, model.chunk).double().cpu()
    probe = Probe(network, model, ecg, logit, bool(trace.relus))
    checks: Checks = {}
    for method in methods:
        try:
            checks[method.name] = _complaints(method, probe)
        except Exception as error:  # whatever an unknown network raises is reported in the report
            checks[method.name] = [("doubtful", f"it can't be checked: {type(error).__name__}: {error}", "")]
    return checks


def few_passes(method: AttributionMethod, probe: Probe) -> list[Complaint]:
    """Return what a stochastic method's cheapest maps say against it: one that fails is refused with its own words."""
    model = replace(probe.model, precision="float32")  # rounding that was chosen is no fault
    try:
        with recording_gradients():
            return method.complaints_of_few_passes(replace(probe, model=model))
    except Exception as error:  # Captum raises many kinds; the report says which
        return [("refused", f"it fails: {type(error).__name__}: {error}", "")]


def _complaints(method: AttributionMethod, probe: Probe) -> list[Complaint]:
    complaints_of_layer: list[Complaint] = []
    layer = next(iter(method.kept_layers), probe.model.gradcam_layer)
    if method.reads_layer and layer in dict(probe.network.named_modules()):
        complaints_of_layer = layer_complaints(probe.network, str(layer), probe.ecg)
        if any(verdict == "refused" for verdict, _, _ in complaints_of_layer):
            return complaints_of_layer
    if method.stochastic and not method.single_pass:
        return few_passes(method, replace(probe, ecg=probe.ecg[:2], logit=probe.logit[:2]))
    if method.has_reference:
        probe = replace(probe, ecg=without_ties(probe.ecg))
    maps, failed = _try(method, probe)
    if len(failed) == len(probe.ecg):
        return [("refused", f"it fails: {failed[0]}", ONE_RELU if method.needs_module_relu else "")]
    if failed:
        return [("doubtful", f"it fails on {len(failed)} of {len(probe.ecg)} ECGs: {failed[0]}", "")]
    return [*complaints_of_layer, *_completeness(method, probe, maps), *method.complaints(probe, maps)]


def _try(method: AttributionMethod, probe: Probe) -> tuple[Tensor, list[str]]:
    """Maps of the ECGs, and why it failed on each that it failed on."""
    try:
        batch, failed = explain_or_nan(method, probe.model, probe.ecg, keys_of(probe.ecg))
    except Exception as error:  # Captum raises many kinds; the report says which
        return probe.ecg, [f"{type(error).__name__}: {error}"] * len(probe.ecg)
    return batch.maps.double().cpu(), list(failed.values())


def _completeness(method: AttributionMethod, probe: Probe, maps: Tensor) -> list[Complaint]:
    if not method.complete:
        return []
    expected = probe.logit - method.baseline_logits(probe.model, probe.ecg)
    scale = float(expected.abs().median())
    error = float((maps.sum((1, 2)) - expected).abs().median()) / scale if scale > 0 else 0.0
    if error <= DOUBTFUL_ERROR:
        return []
    words = f"its maps' sums miss f(ecg) - f(baseline) by {error:.0%} in the median of {len(probe.ecg)} ECGs"
    if method.needs_module_relu and error > _REFUSED_ERROR:
        remedy = f"{ONE_RELU}; put pooling before the ReLU; for other activations take integrated gradients"
        return [("refused", words, remedy)]
    return [("doubtful", words, "" if method.needs_module_relu else "more steps")]
