"""Experiment 4: AUROC as the points that maps call relevant are perturbed (paper, Figure 4B)."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ecg_lightning.functional.self_consistency import MIN_SEEDS_FOR_INTERVAL
from ecg_lightning.plotting.curves import CurvePanel, XAxis, curve_of, curves_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.blocks import Block, Paragraph, Picture, ReportFiles, Section, TableBlock, number
from ecg_lightning.report.runs import StudyRuns

_ORDERS: Final = {"morf": "most relevant first", "lerf": "least relevant first"}
_METRICS: Final = {"auroc": "AUROC", "auprc": "AUPRC", "probability": "mean probability of the ECGs with the diagnosis"}


def perturbation_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """AUROC as the points that a method calls relevant are perturbed."""
    title = "Experiment 4: perturbation of what maps call relevant"
    tables = runs.tables("perturbation")
    if tables.empty:
        return Section(
            "perturbation", title, [Paragraph("No run has measured it (PerturbationCurves was left out).", "note")]
        )
    table = perturbation_means(tables)
    saved = files.table("perturbation_all", table)
    blocks: list[Block] = [_perturbation_picture(runs, files, table, "auroc", "Figure 4B")]
    blocks += [_areas(runs, files), Paragraph(f"Numbers: {', '.join(saved)}.", "note")]
    details: dict[str, list[Block]] = {
        "By AUPRC and by mean probability": [
            _perturbation_picture(runs, files, table, metric, f"Figure 4B by {_METRICS[metric]}")
            for metric in ("auprc", "probability")
        ]
    }
    return Section("perturbation", title, blocks, details)


def perturbation_means(tables: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, then over targets, with the spread over seeds (design, section 6).

    Returns:
        ``order, method, control, metric, step, fraction, value, low, high, interval, n_networks``: ``interval`` says
        whether ``low`` and ``high`` are of ``seeds`` (the least and the greatest seed's mean over targets) or, with one
        network, of its ``patients``.
    """
    keys = ["order", "method", "control", "metric", "step", "fraction"]
    per_target = tables.groupby([*keys, "target"], sort=False)["value"].mean().reset_index()
    found = per_target.groupby(keys, sort=False)["value"].mean().reset_index()
    seeds = tables["seed"].nunique()
    if len(tables[["target", "seed"]].drop_duplicates()) == 1:
        found = found.merge(tables[[*keys, "low", "high"]], on=keys).assign(interval="patients")
    else:
        per_seed = tables.groupby([*keys, "seed"], sort=False)["value"].mean().reset_index()
        span = per_seed.groupby(keys, sort=False)["value"].agg(low="min", high="max").reset_index()
        found = found.merge(span, on=keys).assign(interval="seeds" if seeds > 1 else "none")
        if seeds == 1:
            found[["low", "high"]] = np.nan
    return found.assign(n_networks=len(tables[["target", "seed"]].drop_duplicates()))


def _perturbation_picture(runs: StudyRuns, files: ReportFiles, table: pd.DataFrame, metric: str, label: str) -> Picture:
    chosen = table[table["metric"] == metric]
    percent = chosen.assign(percent=100 * chosen["fraction"])
    drawn = chosen[["value", "low", "high"]].to_numpy(dtype=float)
    known = np.append(drawn[np.isfinite(drawn)], 0.5)
    limits = (float(known.min()) - 0.03, float(known.max()) + 0.03)  # the same for both orders
    panels = []
    for order in dict.fromkeys(percent["order"]):
        part = percent[percent["order"] == order]
        curves = {
            name: curve_of(part[part["method"] == name], "percent", "value") for name in dict.fromkeys(part["method"])
        }
        level = 0.5 if metric == "auroc" else None
        panels.append(CurvePanel(_ORDERS.get(order, order), _METRICS[metric], curves, limits, level))
    bands = {
        "patients": f"bands: {runs.intervals.confidence:.0%} interval, patients resampled",
        "seeds": f"bands: range over seeds{_few(runs)}",
        "none": "one seed, no bands",
    }[str(table["interval"].iloc[0])]
    caption = (
        f"{_METRICS[metric][0].upper()}{_METRICS[metric][1:]} of each network after the top points by |map| "
        "(unsmoothed) were replaced by the line between their kept neighbours in time, with noise; mean over seeds, "
        f"then over classes ({int(table['n_networks'].iloc[0])} networks); {bands}. Grey, broken: controls, which "
        "know nothing of the network."
    )

    def draw(caption: str) -> Figure:
        return curves_figure(panels, XAxis("perturbed points (%)"), "Perturbation", caption)

    return files.picture(f"perturbation/{metric}", draw, label, caption)


def _few(runs: StudyRuns) -> str:
    few = len(runs.seeds) < MIN_SEEDS_FOR_INTERVAL
    return f", of which there are {len(runs.seeds)}, too few for an interval" if few else ""


def _areas(runs: StudyRuns, files: ReportFiles) -> TableBlock:
    """AUROC at the end, area over the curve, ABPC, and in how many networks a method beats the best control."""
    summary, curves = runs.tables("perturbation_summary"), runs.tables("perturbation")
    own = summary[summary["metric"] == "auroc"]
    last = curves[(curves["metric"] == "auroc") & (curves["order"] == "morf")]
    last = last[last["step"] == last["step"].max()].groupby("method")["value"].mean()
    rows, kept = [], []
    for method, part in own.groupby("method", sort=False):
        control = bool(part["control"].iloc[0])
        known = part.dropna(subset=["abpc"]) if "abpc" in part else part.iloc[:0]
        beats = int(part["beats_controls"].fillna(False).astype(bool).sum()) if "beats_controls" in part else 0
        row = {
            "method": method,
            "control": control,
            "auroc_at_end": last.get(method, np.nan),
            "area_over_curve": part["area_over_curve"].mean() if "area_over_curve" in part else np.nan,
            "abpc": known["abpc"].mean() if len(known) else np.nan,
            "beats_best_control": np.nan if control else beats,
            "n_networks": len(part),
        }
        kept.append(row)
        label = method_style(str(method)).label
        rows.append(
            [
                f"{label} (control)" if control else label,
                number(row["auroc_at_end"]),
                number(row["area_over_curve"], 3),
                number(row["abpc"], 3),
                "" if control else f"{beats} of {len(part)}",
            ]
        )
    return TableBlock(
        head=("Method", "AUROC at the end", "Area over the curve", "ABPC", "Beats the best control"),
        rows=rows,
        caption="Means over networks, of AUROC. Area over the curve: mean fall, most relevant first. ABPC: area "
        "between the curves of least and most relevant first; above 0 means that what the map calls relevant matters "
        f"more. Last column: networks in which ABPC is above the best control's ({runs.intervals.confidence:.0%}, "
        "patients resampled, Holm over the methods).",
        label="Perturbation in numbers",
        files=files.table("perturbation_areas", pd.DataFrame(kept)),
    )
