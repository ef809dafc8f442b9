"""What a study's tables say of perturbation: means over networks, areas, and the kinds side by side."""

from typing import Final

import numpy as np
import pandas as pd

from ecg_lightning.experiments.perturbation.kinds import PAPER_KIND, VERDICT_KIND
from ecg_lightning.runs.study_runs import StudyRuns

_KEYS: Final = ["kind", "map", "order", "method", "control", "metric", "step", "fraction"]


def perturbation_tables(runs: StudyRuns, name: str) -> pd.DataFrame:
    """``perturbation`` or ``perturbation_summary`` of every run; earlier versions had the paper's kind and own maps."""
    found = runs.tables(name)
    if not found.empty:
        for column, of_old in (("kind", PAPER_KIND.name), ("map", "own")):
            found[column] = found[column].fillna(of_old) if column in found else of_old
    return found


def perturbation_means(tables: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, then over targets, with the spread over seeds (design, section 6).

    Returns:
        ``kind, map, order, method, control, metric, step, fraction, value, low, high, interval, n_networks``:
        ``interval`` says whether ``low`` and ``high`` are of ``seeds`` (the least and the greatest seed's mean over
        targets) or, with one network, of its ``patients``.
    """
    per_target = tables.groupby([*_KEYS, "target"], sort=False)["value"].mean().reset_index()
    found = per_target.groupby(_KEYS, sort=False)["value"].mean().reset_index()
    seeds = tables["seed"].nunique()
    if len(tables[["target", "seed"]].drop_duplicates()) == 1:
        found = found.merge(tables[[*_KEYS, "low", "high"]], on=_KEYS).assign(interval="patients")
    else:
        per_seed = tables.groupby([*_KEYS, "seed"], sort=False)["value"].mean().reset_index()
        span = per_seed.groupby(_KEYS, sort=False)["value"].agg(low="min", high="max").reset_index()
        found = found.merge(span, on=_KEYS).assign(interval="seeds" if seeds > 1 else "none")
        if seeds == 1:
            found[["low", "high"]] = np.nan
    networks = tables[["kind", "map", "target", "seed"]].drop_duplicates().groupby(["kind", "map"]).size()
    return found.merge(networks.rename("n_networks").reset_index(), on=["kind", "map"])


def deciding_kind(tables: pd.DataFrame) -> str:
    """The verdict's kind, or the first that was measured where that was not."""
    kinds = list(dict.fromkeys(tables["kind"]))
    return VERDICT_KIND.name if VERDICT_KIND.name in kinds else str(kinds[0])


def main_metric(means: pd.DataFrame) -> str:
    """Name the score that areas are of: ``auroc``, or ``r2`` where only measurements were explained."""
    return "auroc" if "auroc" in set(means["metric"]) else "r2"


def perturbation_areas(means: pd.DataFrame, summary: pd.DataFrame, kind: str) -> pd.DataFrame:
    """One row a method or control, means over networks of one kind.

    Args:
        means: Of ``perturbation_means``.
        summary: ``perturbation_summary`` of all runs.
        kind: Which.

    Returns:
        ``kind, method, control, auroc_at_end, area_over_curve, abpc, abpc_positives, abpc_other_ecg, abpc_mean_map,
        distance_at_end, n_networks``; NaN where it was not measured. Of measurements ``r2_at_end`` in place of the
        first, areas of R2, and ``mean_change`` of the prediction in place of what concerns one class.
    """
    metric = main_metric(means)
    binary = metric == "auroc"
    curves = means[(means["kind"] == kind) & (means["map"] == "own") & (means["order"] == "morf")]
    last = curves[curves["step"] == curves["step"].max()].pivot(index="method", columns="metric", values="value")
    of_kind = summary[summary["kind"] == kind]
    own = of_kind[(of_kind["metric"] == metric) & (of_kind["map"] == "own")]
    table = own.groupby(["method", "control"], sort=False).size().rename("n_networks").reset_index()
    table = table.set_index("method")
    at_end = f"{metric}_at_end"
    table[at_end] = last[metric]
    one_class = ("abpc_positives", "auroc_positives", "own", "abpc")
    second = one_class if binary else ("mean_change", "change", "own", "area_over_curve")
    for name, of_metric, of_map, column in (
        ("area_over_curve", metric, "own", "area_over_curve"),
        ("abpc", metric, "own", "abpc"),
        second,
        ("abpc_other_ecg", metric, "other_ecg", "abpc"),
        ("abpc_mean_map", metric, "mean_map", "abpc"),
    ):
        rows = of_kind[(of_kind["metric"] == of_metric) & (of_kind["map"] == of_map)]
        table[name] = rows.groupby("method")[column].mean() if column in rows else np.nan
    table["distance_at_end"] = last.get("distance", np.nan)
    order = ["control", at_end, "area_over_curve", "abpc", second[0], "abpc_other_ecg"]
    table = table[[*order, "abpc_mean_map", "distance_at_end", "n_networks"]].reset_index()
    table.insert(0, "kind", kind)
    return table


def perturbation_kinds(means: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """One row a kind that was measured: how it orders the methods, and how far its beats are from real ones.

    Returns:
        ``kind, n_networks, fraction, abpc_methods, abpc_controls`` (means over methods and over controls without a
        network), ``rank_correlation`` (Spearman's, of the methods' ABPC with that of the deciding kind),
        ``steepest`` (the methods of the three greatest areas), ``distance_at_end`` (mean over methods, most relevant
        first).
    """
    areas = {kind: perturbation_areas(means, summary, kind) for kind in dict.fromkeys(summary["kind"])}
    deciding = areas[deciding_kind(summary)].set_index("method")["abpc"]
    rows = []
    for kind, table in areas.items():
        own, controls = table[~table["control"]].set_index("method"), table[table["control"]]
        ranks = own["abpc"].rank(), deciding.reindex(own.index).rank()
        rows.append(
            {
                "kind": kind,
                "n_networks": int(table["n_networks"].max()),
                "fraction": means[means["kind"] == kind]["fraction"].max(),
                "abpc_methods": own["abpc"].mean(),
                "abpc_controls": controls["abpc"].mean(),
                "rank_correlation": ranks[0].corr(ranks[1]) if len(own) > 2 else np.nan,
                "steepest": ", ".join(own["abpc"].dropna().nlargest(3).index),
                "distance_at_end": own["distance_at_end"].mean(),
            }
        )
    return pd.DataFrame(rows)
