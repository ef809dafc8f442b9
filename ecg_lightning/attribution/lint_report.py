"""The lint report says what the linter found: a verdict for each method, with reasons and a remedy."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal, Self

import pandas as pd

from ecg_lightning.models.lint import Finding

Verdict = Literal["safe", "doubtful", "refused"]

Complaint = tuple[Verdict, str, str]
"""Verdict, reason in words, and what to do about it (may be empty)."""


@dataclass(frozen=True)
class MethodVerdict:
    """A verdict on a method is what the linter says of it.

    Attributes:
        method: Name of the method.
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
    """A lint report is what the linter says of a network.

    Attributes:
        network: Name of its class.
        verdicts: One a method.
        findings: What was found, for whoever mends the network.
    """

    network: str
    verdicts: tuple[MethodVerdict, ...]
    findings: tuple[Finding, ...]

    def refused(self) -> dict[str, MethodVerdict]:
        """Return the verdicts on methods that give wrong maps on this network, by name."""
        return {verdict.method: verdict for verdict in self.verdicts if verdict.verdict == "refused"}

    def with_findings(self, findings: Sequence[Finding]) -> Self:
        """Return the same report with further findings."""
        return replace(self, findings=(*self.findings, *findings))

    def as_frame(self) -> pd.DataFrame:
        """Return the frame ``method, verdict, reasons, remedy``."""
        rows = [{**asdict(verdict), "reasons": "; ".join(verdict.reasons)} for verdict in self.verdicts]
        return pd.DataFrame(rows, columns=["method", "verdict", "reasons", "remedy"])

    def as_json(self) -> str:
        """Return the whole report as JSON."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        lines = [f"Lint of {self.network}:"]
        for verdict in self.verdicts:
            words = "; ".join(verdict.reasons) + (f" -> {verdict.remedy}" if verdict.remedy else "")
            lines.append(f"  {verdict.method:22} {verdict.verdict:9} {words}".rstrip())
        return "\n".join(lines)


@dataclass
class Opinion:
    """An opinion collects reasons about one method; the gravest verdict counts."""

    verdict: Verdict = "safe"
    reasons: list[str] = field(default_factory=list)
    remedy: str = ""

    def add(self, verdict: Verdict, reason: str, remedy: str = "") -> None:
        """Note a reason once; its verdict and remedy count where they are graver than those before."""
        order: tuple[Verdict, ...] = ("safe", "doubtful", "refused")
        if order.index(verdict) > order.index(self.verdict):
            self.verdict, self.remedy = verdict, remedy or self.remedy
        if reason not in self.reasons:
            self.reasons.append(reason)
