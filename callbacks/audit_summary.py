"""The verdict of a run: which methods pass which checks, in one table and in words."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from callbacks.attribution_maps import AttributionMaps
from callbacks.audit_results import AuditResults
from callbacks.ranks import callback_before, on_rank_zero, run_folder
from ecg_lightning.functional.perturbation_kind import VERDICT_KIND
from ecg_lightning.plotting.method_style import method_style

_EVIDENCE = "causal"


class AuditSummary(Callback):
    """Sums up what the audits before it have found: ``tables/audit.parquet``, and the table ``audit`` on W&B.

    Three checks, each only where its audit was made. *Cascade*: with every layer random, the upper end of the
    interval of the mean Pearson correlation to the trained map (native sign, from the output where that was asked
    for) is below ``near_zero``. *Controls*: the area between the perturbation curves of AUROC is above the best
    control's (patient bootstrap, Holm over the methods). *Evidence*: the AUROC of |map| against the causal evidence
    is above the best control's, by the same test. Controls go through the same table: one that passes a check says
    what the check is worth.

    Args:
        near_zero: Correlation below which a map has forgotten the trained network.

    Raises:
        ValueError: ``near_zero`` outside (0, 1).
    """

    def __init__(self, near_zero: float = 0.2) -> None:
        super().__init__()
        if not 0 < near_zero < 1:
            raise ValueError(f"AuditSummary: near_zero must be between 0 and 1, got {near_zero}")
        self.near_zero = near_zero

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stand behind the maps."""
        if stage == "test":
            self.maps = callback_before(trainer, self, AttributionMaps)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Every audit before this one has written its tables."""
        on_rank_zero(trainer, lambda: self._sum_up(trainer))

    def _sum_up(self, trainer: Trainer) -> None:
        names = (*self.maps.asked, *self.maps.controls)
        table = audit_table(run_folder(trainer).path / "tables", names, self.maps.controls, self.near_zero)
        AuditResults(trainer).table("audit", table)
        width = max(len(method_style(name).label) for name in names)
        lines = [
            f"  {method_style(row['method']).label:{width}}  {row['verdict']}"
            for row in table.to_dict("records")
            if not row["control"]
        ]
        rank_zero_info("\n".join(["Audit (tables/audit.parquet):", *lines]))


def audit_table(folder: Path, names: tuple[str, ...], controls: tuple[str, ...], near_zero: float) -> pd.DataFrame:
    """One row a method or control.

    Args:
        folder: Of the run's tables; those that are not there were not asked for.
        names: Methods that were asked for, refused ones among them, then controls.
        controls: Which of them are controls.
        near_zero: See ``AuditSummary``.

    Returns:
        ``method, control, lint, reliability, usable_maps``; ``cascade_similarity(_low, _high), near_zero,
        passes_cascade``; ``abpc, abpc_difference, abpc_p_holm, beats_controls``; ``evidence_auroc,
        evidence_difference, evidence_p_holm, localises``; ``verdict`` in words. What was not checked is missing.
    """
    table = pd.DataFrame({"method": list(names), "control": np.isin(names, controls)}).set_index("method")
    for part in (
        _lint(folder),
        _reliability(folder),
        _cascade(folder, near_zero),
        _perturbation(folder),
        _evidence(folder),
    ):
        for column in part:
            table[column] = part[column].reindex(table.index)
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    table["verdict"] = [_verdict(row, near_zero) for row in rows]
    return table.reset_index()


def _lint(folder: Path) -> pd.DataFrame:
    table = _read(folder / "lint.parquet")
    return table if table.empty else table.set_index("method").rename(columns={"verdict": "lint"})[["lint"]]


def _reliability(folder: Path) -> pd.DataFrame:
    table = _read(folder / "maps.parquet")
    if table.empty:
        return table
    found = table.set_index("method").rename(columns={"reliability_median": "reliability"})
    found["usable_maps"] = found["done"] - found["constant"] - found["not_finite"]
    return pd.DataFrame(found[["reliability", "usable_maps"]])


def _cascade(folder: Path, near_zero: float) -> pd.DataFrame:
    table, network = _read(folder / "cascade.parquet"), _read(folder / "cascade_network.parquet")
    if table.empty or network.empty:
        return pd.DataFrame()
    full = [one for one in ("from_output", "from_input") if one in set(table["direction"])]
    if not full:
        return pd.DataFrame()
    chosen = table[
        (table["direction"] == full[0])
        & (table["statistic"] == "pearson")
        & (table["sign"] == "native")
        & ~table["smooth"]
        & (table["depth"] == table["depth"].max())
        & table["complete"]
    ].set_index("method")
    found = chosen[["similarity", "low", "high"]].rename(
        columns={"similarity": "cascade_similarity", "low": "cascade_similarity_low", "high": "cascade_similarity_high"}
    )
    upper = found["cascade_similarity_high"].fillna(found["cascade_similarity"])
    found["near_zero"] = near_zero  # a report of many runs must know by which bound each of them decided
    found["passes_cascade"] = (upper < near_zero).astype("boolean").mask(upper.isna())
    return pd.DataFrame(found)


def _perturbation(folder: Path) -> pd.DataFrame:
    table = _read(folder / "perturbation_summary.parquet")
    if table.empty or "abpc" not in table:
        return pd.DataFrame()
    if "kind" in table:
        deciding = VERDICT_KIND.name if VERDICT_KIND.name in set(table["kind"]) else table["kind"].iloc[0]
        table = table[(table["kind"] == deciding) & (table["map"] == "own")]
    auroc = table[table["metric"] == "auroc"]
    chosen = auroc if auroc["abpc"].notna().any() else table[table["metric"] == "probability"]
    names = {"difference_to_best_control": "abpc_difference", "p_holm": "abpc_p_holm"}
    return _against_controls(chosen, {"abpc": "abpc", **names}, "beats_controls")


def _evidence(folder: Path) -> pd.DataFrame:
    table = _read(folder / "localization.parquet")
    if table.empty:
        return table
    chosen = table[(table["score"] == "auroc") & (table["region"] == _EVIDENCE)]
    names = {"difference_to_best_control": "evidence_difference", "p_holm": "evidence_p_holm"}
    return _against_controls(chosen, {"value": "evidence_auroc", **names}, "localises")


def _against_controls(chosen: pd.DataFrame, names: Mapping[str, str], verdict: str) -> pd.DataFrame:
    found = chosen.set_index("method")
    columns = {old: new for old, new in names.items() if old in found}
    result = found[list(columns)].rename(columns=columns)
    if "beats_controls" in found:
        known = found["difference_to_best_control"].notna()
        result[verdict] = found["beats_controls"].astype("boolean").mask(~known)
    return pd.DataFrame(result)


def _read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()


def _verdict(row: Mapping[str, object], near_zero: float) -> str:
    """In words."""
    if row.get("lint") == "refused":
        return "refused: it gives wrong maps on this network, see tables/lint.parquet"
    checks = {
        "passes_cascade": "its maps outlive the randomised network (correlation "
        f"{row.get('cascade_similarity', 0):.2f}, expected below {near_zero:g})",
        "beats_controls": "perturbing what it marks hurts the network no more than the best control does",
        "localises": "it marks the evidence no better than the best control does",
    }
    made = {name: row[name] for name in checks if row.get(name) is not None and not pd.isna(row[name])}  # type: ignore[call-overload]
    if not made:
        return "every map is constant or not finite: it marks nothing" if row.get("usable_maps") == 0 else "not checked"
    failed = [checks[name] for name, passed in made.items() if not passed]
    if not failed:
        return f"passes all {len(made)} checks" if len(made) > 1 else "passes the one check"
    return f"fails {len(failed)} of {len(made)} checks: {'; '.join(failed)}"
