"""Before any map is computed: methods that the linter refuses are skipped and on record, the others tried."""

from collections.abc import Sequence
from typing import Literal

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.audit_results import AuditResults
from callbacks.current_run import on_rank_zero, run_folder
from ecg_lightning.attribution import AttributionMethod, RandomKey
from ecg_lightning.attribution.lint_report import LintReport
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.storage.atomic import atomic_path

LintMode = Literal["skip", "warn", "off"]
"""Skip methods that the linter refuses, compute them all the same after a warning, or don't lint."""


def usable_methods(
    trainer: Trainer, methods: Sequence[AttributionMethod], report: LintReport, mode: LintMode
) -> tuple[AttributionMethod, ...]:
    """The methods to compute; writes ``tables/lint.parquet`` and ``lint.json``.

    Args:
        trainer: The trainer.
        methods: Those that were asked for.
        report: What the linter says of them.
        mode: What to do about a refusal.

    Raises:
        ValueError: No method is left.
    """
    on_rank_zero(trainer, lambda: _record(trainer, report))
    for finding in report.findings:
        if finding.kind == "probability":  # no refusal, but what `logit` means from here on
            rank_zero_warn(f"{report.network}: {finding.text}")
    refused = report.refused()
    for one in refused.values():
        what = "is skipped" if mode == "skip" else "is computed all the same, and wrong"
        remedy = f"; remedy: {one.remedy}" if one.remedy else ""
        rank_zero_warn(f"{one.method} {what} on {report.network}: {'; '.join(one.reasons)}{remedy}")
    kept = tuple(method for method in methods if mode == "warn" or method.name not in refused)
    if not kept:
        raise ValueError(
            f"{report.network}: the linter refuses every method that was asked for; mend the network, or set "
            f"`lint: warn` to compute them all the same.\n{report}"
        )
    return kept


def try_methods(methods: Sequence[AttributionMethod], task: FrozenModel) -> None:
    """One map of each cheap method: what can't work is told before hours are spent and stores are made.

    Args:
        methods: Those that will be computed.
        task: The frozen network.

    Raises:
        ValueError: A method can't work on this network.
    """
    for method in methods:
        method.resolved_settings(task)
        if method.single_pass:
            method(task, task.backgrounds[:1], [RandomKey()])


def _record(trainer: Trainer, report: LintReport) -> None:
    AuditResults(trainer).table("lint", report.as_frame())
    with atomic_path(run_folder(trainer).path / "lint.json") as part:
        part.write_text(report.as_json(), encoding="utf-8")
