"""The linter before any map is computed: refused methods are skipped, and the record says why."""

from collections.abc import Sequence
from typing import Literal

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn

from callbacks.audit_results import AuditResults
from callbacks.ranks import on_rank_zero, run_folder
from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.attribution.lint_report import LintReport
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


def _record(trainer: Trainer, report: LintReport) -> None:
    AuditResults(trainer).table("lint", report.as_frame())
    with atomic_path(run_folder(trainer).path / "lint.json") as part:
        part.write_text(report.as_json(), encoding="utf-8")
