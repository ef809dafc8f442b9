"""Is a network safe for each method? Structure by a traced pass, and the methods' own promises in numbers."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

import pandas as pd
import torch
from torch import Tensor, nn

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.guided_reference import guided_gradient
from ecg_lightning.attribution.methods import build_methods
from ecg_lightning.attribution.robust import explain_or_nan
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import AttributionTask, in_chunks, prepare_task
from ecg_lightning.functional.plain_copy import plain_copy
from ecg_lightning.models.lint import Finding, FindingKind, Trace, behaviour, trace_structure
from ecg_lightning.models.precision import full_float32

Verdict = Literal["safe", "doubtful", "refused"]

_ONE_RELU: Final = "use one nn.ReLU module for each use, made in __init__, and call no ReLU as a function"
_GUIDED: Final = ("guided_backprop", "guided_gradcam")
_DEEPLIFT: Final = ("deeplift", "deeplift_shap")
_LAYERED: Final = ("gradcam", "guided_gradcam")
_DOUBTFUL_ERROR: Final = 0.02
"""Median |sum of the map - expected| over the median |expected| above which completeness is doubtful."""

_REFUSED_ERROR: Final = 0.10
_GUIDED_ERROR: Final = 1e-3
"""Largest difference to the true guided gradient, over its largest value."""

LINTED_ECGS: Final = 4
"""ECGs that are looked at."""


@dataclass(frozen=True)
class MethodVerdict:
    """What the linter says of one method.

    Attributes:
        method: Its name.
        verdict: ``safe``, ``doubtful`` or ``refused``.
        reasons: Why, in words; none where it is safe.
        remedy: What to do about a refusal.
    """

    method: str
    verdict: Verdict = "safe"
    reasons: tuple[str, ...] = ()
    remedy: str = ""


@dataclass(frozen=True)
class LintReport:
    """What the linter says of a network.

    Attributes:
        network: Name of its class.
        verdicts: One a method.
        findings: What was found, for whoever mends the network.
    """

    network: str
    verdicts: tuple[MethodVerdict, ...]
    findings: tuple[Finding, ...]

    def refused(self) -> dict[str, MethodVerdict]:
        """Name -> verdict of the methods that give wrong maps on this network."""
        return {one.method: one for one in self.verdicts if one.verdict == "refused"}

    def as_frame(self) -> pd.DataFrame:
        """``method, verdict, reasons, remedy``."""
        rows = [{**asdict(one), "reasons": "; ".join(one.reasons)} for one in self.verdicts]
        return pd.DataFrame(rows, columns=["method", "verdict", "reasons", "remedy"])

    def as_json(self) -> str:
        """The whole report."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        lines = [f"Lint of {self.network}:"]
        for one in self.verdicts:
            words = "; ".join(one.reasons) + (f" -> {one.remedy}" if one.remedy else "")
            lines.append(f"  {one.method:22} {one.verdict:9} {words}".rstrip())
        return "\n".join(lines)


def lint_network(
    network: nn.Module,
    ecg: Tensor,
    methods: Sequence[str | AttributionMethod] | None = None,
    gradcam_layer: str | None = None,
) -> LintReport:
    """Lint any network.

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
    built = build_methods(methods)  # type: ignore[arg-type]
    if ecg.ndim != 3 or len(ecg) < 2:
        raise ValueError(f"the linter needs two ECGs or more, (batch, lead, sample); got {tuple(ecg.shape)}")
    try:
        task = prepare_task(network, ecg[:LINTED_ECGS], gradcam_layer=gradcam_layer)
    except Exception as error:  # whatever a stranger's network raises is told in the report
        trace = Trace()
        trace.add("fails", "", f"it can't be prepared: {type(error).__name__}: {error}")
        return _report(type(network).__name__, built, trace, {})
    return lint_task(network, task, ecg, built)


def lint_task(
    network: nn.Module, task: AttributionTask, ecg: Tensor, methods: Sequence[AttributionMethod]
) -> LintReport:
    """Lint a network that is prepared already.

    Args:
        network: As it was handed in.
        task: Of ``prepare_task``.
        ecg: (batch, lead, sample) mV on the task's device; a few are used.
        methods: The methods.

    Returns:
        A verdict for each method.
    """
    with torch.inference_mode(False), full_float32():
        some = ecg[:LINTED_ECGS].detach().clone().to(task.backgrounds)
        plain = plain_copy(network)
        trace = trace_structure(plain, some)
        behaviour(plain, some, trace)
        checks = (
            {} if any(one.kind in _BROKEN for one in trace.findings) else _numbers(plain, task, some, methods, trace)
        )
    return _report(type(network).__name__, methods, trace, checks)


_BROKEN: Final[tuple[FindingKind, ...]] = ("fails", "not_finite", "mixes_ecgs")
"""With these no map of any method means anything."""

Checks = dict[str, list[tuple[Verdict, str, str]]]
"""Method -> verdict, reason and remedy of each number that was off."""


def _numbers(
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
            remedy = _ONE_RELU if method.name in (*_GUIDED, *_DEEPLIFT) else ""
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
    if method.name in _DEEPLIFT and error > _REFUSED_ERROR:
        remedy = f"{_ONE_RELU}; put pooling before the ReLU; for other activations take integrated gradients"
        return [("refused", words, remedy)]
    return [("doubtful", words, "more steps" if method.name not in _DEEPLIFT else "")]


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
    return [("refused", f"not every ReLU is guided: it is off by up to {error:.0%} of its largest value", _ONE_RELU)]


@dataclass
class _Opinion:
    """Collects reasons; the gravest verdict counts."""

    verdict: Verdict = "safe"
    reasons: list[str] = field(default_factory=list)
    remedy: str = ""

    def add(self, verdict: Verdict, reason: str, remedy: str = "") -> None:
        order: tuple[Verdict, ...] = ("safe", "doubtful", "refused")
        if order.index(verdict) > order.index(self.verdict):
            self.verdict, self.remedy = verdict, remedy or self.remedy
        if reason not in self.reasons:
            self.reasons.append(reason)


def _report(name: str, methods: Sequence[AttributionMethod], trace: Trace, checks: Checks) -> LintReport:
    verdicts = []
    for method in methods:
        opinion = _Opinion()
        for finding in trace.findings:
            judged = _judge(method.name, finding)
            if judged is not None:
                opinion.add(judged[0], finding.text, judged[1])
        for verdict, reason, remedy in checks.get(method.name, []):
            opinion.add(verdict, reason, remedy)
        if method.name == "guided_gradcam":  # the guided half is that of guided backpropagation
            for verdict, reason, remedy in checks.get("guided_backprop", []):
                opinion.add(verdict, reason, remedy)
        verdicts.append(MethodVerdict(method.name, opinion.verdict, tuple(opinion.reasons), opinion.remedy))
    return LintReport(name, tuple(verdicts), tuple(trace.findings))


def _judge(method: str, finding: Finding) -> tuple[Verdict, str] | None:
    """What a finding means for a method."""
    kind = finding.kind
    if kind in _BROKEN:
        return "refused", "mend the network first"
    if kind == "random_in_eval":
        return "doubtful", ""
    if kind in ("functional_relu", "relu_made_in_forward") and method in (*_GUIDED, *_DEEPLIFT):
        return "refused", _ONE_RELU
    if kind == "no_convolution" and method in _LAYERED:
        return "refused", "leave Grad-CAM out, or name a layer of (batch, channel, sample)"
    if kind in ("other_activation", "functional_activation", "max_pool_after_relu") and method in (
        *_GUIDED,
        *_DEEPLIFT,
    ):
        # DeepLIFT's completeness says how wrong; guided backpropagation just does not guide these
        return ("doubtful", "") if method in _DEEPLIFT or kind != "max_pool_after_relu" else None
    if kind == "carries_hooks" and method in (*_GUIDED, *_DEEPLIFT, *_LAYERED):
        return "doubtful", ""
    return None
