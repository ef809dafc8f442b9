"""This module says whether a network is safe for each method: by a traced pass, and by the methods' own promises."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.lint_numbers import Checks, numbers
from ecg_lightning.attribution.lint_report import LintReport, MethodVerdict, Opinion, Verdict
from ecg_lightning.attribution.methods import build_methods
from ecg_lightning.attribution.probe import ONE_RELU
from ecg_lightning.attribution.task import FrozenModel, prepare_task
from ecg_lightning.functional.plain_copy import plain_copy
from ecg_lightning.models.lint import Finding, FindingKind, Trace, trace_structure
from ecg_lightning.models.lint_behaviour import behaviour
from ecg_lightning.models.output_range import probability_words
from ecg_lightning.models.precision import full_float32

LINTED_ECGS: Final = 4
"""ECGs that are looked at."""


def lint_network(
    network: nn.Module,
    ecg: Tensor,
    methods: Sequence[str | AttributionMethod] | None = None,
    gradcam_layer: str | None = None,
) -> LintReport:
    """Check whether a network is safe to attribute by each method.

    Args:
        network: (batch, lead, sample) -> one logit an ECG; it stays as it is.
        ecg: (batch, lead, sample) mV, two or more, such as real test ECGs.
        methods: Names or objects; None: the twelve.
        gradcam_layer: What Grad-CAM reads; None: the network's ``gradcam_layer``.

    Returns:
        A verdict for each method. It never raises for an odd network: a check that fails is a finding.

    Raises:
        ValueError: Fewer than two ECGs, or an unknown method.
    """
    built = build_methods(methods)
    if ecg.ndim != 3 or len(ecg) < 2:
        raise ValueError(f"the linter needs two ECGs or more, (batch, lead, sample); got {tuple(ecg.shape)}")
    try:
        model = prepare_task(network, ecg[:LINTED_ECGS], gradcam_layer=gradcam_layer)
    except Exception as error:  # whatever an unknown network raises is reported in the report
        trace = _look_at_all_cost(network, ecg[:LINTED_ECGS])
        trace.add("fails", "", f"it can't be prepared: {type(error).__name__}: {error}")
        return _report(type(network).__name__, built, trace, {})
    return lint_task(network, model, ecg, built)


def lint_task(network: nn.Module, model: FrozenModel, ecg: Tensor, methods: Sequence[AttributionMethod]) -> LintReport:
    """Check a network of which a frozen copy is there already.

    Args:
        network: The network, as it was handed in.
        model: The frozen network of ``prepare_task``.
        ecg: (batch, lead, sample) mV on the model's device; a few are used.
        methods: Methods that are judged.

    Returns:
        A verdict for each method.
    """
    with torch.inference_mode(False), full_float32():
        some = ecg[:LINTED_ECGS].detach().clone().to(model.backgrounds)
        plain = plain_copy(network)
        trace = _look(plain, some)
        broken = any(finding.kind in _BROKEN for finding in trace.findings)
        checks = {} if broken else numbers(plain, model, some, methods, trace)
    return _report(type(network).__name__, methods, trace, checks)


def _look(network: nn.Module, ecg: Tensor) -> Trace:
    """What passes of a network show, before any map."""
    trace = trace_structure(network, ecg)
    behaviour(network, ecg, trace)
    if words := probability_words(network, ecg):
        trace.add("probability", "", words)
    return trace


def _look_at_all_cost(network: nn.Module, ecg: Tensor) -> Trace:
    """The same of a network that can't be prepared; empty where it can't be copied either."""
    reference = next((parameter for parameter in network.parameters() if parameter.is_floating_point()), ecg)
    try:
        with torch.inference_mode(False), full_float32():
            return _look(plain_copy(network), ecg.detach().clone().to(reference))
    except Exception:  # why it can't be prepared is reported
        return Trace()


_BROKEN: Final[tuple[FindingKind, ...]] = ("fails", "not_finite", "mixes_ecgs")
"""With these no map of any method means anything."""


def _report(name: str, methods: Sequence[AttributionMethod], trace: Trace, checks: Checks) -> LintReport:
    verdicts = []
    for method in methods:
        opinion = Opinion()
        for finding in trace.findings:
            judged = _judge(method, finding)
            if judged is not None:
                opinion.add(judged[0], finding.text, judged[1])
        for verdict, reason, remedy in checks.get(method.name, []):
            opinion.add(verdict, reason, remedy)
        verdicts.append(MethodVerdict(method.name, opinion.verdict, tuple(opinion.reasons), opinion.remedy))
    return LintReport(name, tuple(verdicts), tuple(trace.findings))


def _judge(method: AttributionMethod, finding: Finding) -> tuple[Verdict, str] | None:
    """What a finding means for a method."""
    kind = finding.kind
    if kind in _BROKEN:
        return "refused", "mend the network first"
    if kind in ("random_in_eval", "probability"):
        return "doubtful", ""
    if kind == "no_convolution" and method.reads_layer:
        return "refused", "leave Grad-CAM out, or name a layer of (batch, channel, sample)"
    if kind == "carries_hooks" and (method.needs_module_relu or method.reads_layer):
        return "doubtful", ""
    if not method.needs_module_relu:
        return None
    if kind in ("functional_relu", "relu_made_in_forward"):
        return "refused", ONE_RELU
    if kind in ("other_activation", "functional_activation") or (kind == "max_pool_after_relu" and method.complete):
        return "doubtful", ""  # completeness says how wrong; guided backpropagation just does not guide these
    return None
