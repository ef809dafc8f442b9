"""Experiments 3 and 4: curves over the cascade and over perturbed points (paper, Figures 4A, 4B and S5)."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ecg_lightning.functional.self_consistency import MIN_SEEDS_FOR_INTERVAL
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.curves import Curve, CurvePanel, XAxis, curves_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.blocks import Block, Paragraph, Picture, ReportFiles, Section, TableBlock, number
from ecg_lightning.report.runs import StudyRuns

_DIRECTIONS: Final = {
    "from_output": "from the output",
    "from_input": "from the input",
    "independent": "each layer alone",
}
_ORDERS: Final = {"morf": "most relevant first", "lerf": "least relevant first"}
_METRICS: Final = {"auroc": "AUROC", "auprc": "AUPRC", "probability": "mean probability of the ECGs with the diagnosis"}


def cascade_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Similarity to the trained network's maps as more and more layers are random."""
    title = "Experiment 3: progressive randomisation of the network"
    tables, networks = runs.tables("cascade"), runs.tables("cascade_network")
    if tables.empty:
        return Section(
            "cascade", title, [Paragraph("No run has measured it (RandomizationCascade was left out).", "note")]
        )
    table, network = cascade_means(tables), _mean_of(networks, ["direction", "depth"], "auroc")
    where = ", ".join(
        f"{class_name(target)} (seeds {', '.join(map(str, sorted(part['seed'].unique())))})"
        for target, part in tables.groupby("target", sort=False)
    )
    saved = files.table("cascade_all", table)

    def picture(statistic: str, sign: str, label: str) -> Picture:
        return _cascade_picture(runs, files, table, network, statistic, sign, label, where)

    blocks: list[Block] = [
        picture("pearson", "native", "Figure 4A"),
        Paragraph(_left_at_the_end(table)),
        Paragraph(f"Networks: {where}. Numbers: {', '.join(saved)}.", "note"),
    ]
    details: dict[str, list[Block]] = {
        "By Spearman's correlation (Figure S5)": [picture("spearman", "native", "Figure S5")],
        "By magnitude": [
            picture("pearson", "absolute", "Figure 4A by magnitude"),
            picture("spearman", "absolute", "Figure S5 by magnitude"),
        ],
    }
    return Section("cascade", title, blocks, details)


def cascade_means(tables: pd.DataFrame) -> pd.DataFrame:
    """Over the networks that have a cascade: the mean of their means, and the range of the networks.

    Returns:
        ``direction, smooth, statistic, sign, method, depth, layer, similarity, low, high, n_networks``; with one
        network ``low`` and ``high`` are its interval over patients, with more the least and the greatest of them.
    """
    keys = ["direction", "smooth", "statistic", "sign", "method", "depth"]
    means = _mean_of(tables, keys, "similarity")
    rest = tables.groupby(keys, sort=False)[["layer", "complete", "ceiling"]].first().reset_index()
    return means.merge(rest, on=keys)


def _mean_of(tables: pd.DataFrame, keys: list[str], value: str) -> pd.DataFrame:
    """Seeds first, then targets; the network's own interval where there is one network only."""
    n_networks = tables[["target", "seed"]].drop_duplicates().shape[0]
    of_targets = tables.groupby([*keys, "target"], sort=False)[value].mean().reset_index()
    found = of_targets.groupby(keys, sort=False)[value].mean().reset_index()
    if n_networks == 1:
        found = found.merge(tables[[*keys, "low", "high"]], on=keys)
    else:
        span = tables.groupby(keys, sort=False)[value].agg(low="min", high="max").reset_index()
        found = found.merge(span, on=keys)
    found["n_networks"] = n_networks
    return found


def _cascade_picture(
    runs: StudyRuns,
    files: ReportFiles,
    table: pd.DataFrame,
    network: pd.DataFrame,
    statistic: str,
    sign: str,
    label: str,
    where: str,
) -> Picture:
    chosen = table[~table["smooth"] & (table["statistic"] == statistic) & (table["sign"] == sign)]
    names = list(dict.fromkeys(chosen["method"]))
    panels = []
    for direction in dict.fromkeys(chosen["direction"]):
        part = chosen[chosen["direction"] == direction]
        curves = {name: _curve(part[part["method"] == name], "depth", "similarity") for name in names}
        own = _curve(network[network["direction"] == direction], "depth", "auroc")
        panels.append(
            CurvePanel(
                _DIRECTIONS.get(direction, direction),
                f"{statistic.capitalize()} correlation with the trained map",
                curves,
                None,
                0.0,
                ("AUROC of the network", own),
            )
        )
    count = int(table["n_networks"].iloc[0])
    bands = (
        f"bands: {runs.intervals.confidence:.0%} interval, patients resampled"
        if count == 1
        else f"lines: mean over seeds and classes; bands: range of the {count} networks"
    )
    compared = "maps with their sign" if sign == "native" else "magnitudes of maps"
    caption = (
        f"{statistic.capitalize()} correlation of {compared} with those of the trained network, smoothed by "
        f"Savitzky-Golay 31/3, over all points. x: how many layers have random weights, a fresh draw each. {where}; "
        f"{bands}. Grey, broken: controls, which know nothing of the network."
    )

    def draw(caption: str) -> Figure:
        return curves_figure(panels, XAxis("randomised layers"), "Randomisation cascade", caption)

    return files.picture(f"cascade/{statistic}_{sign}", draw, label, caption)


def _left_at_the_end(table: pd.DataFrame) -> str:
    complete = table[
        table["complete"] & ~table["smooth"] & (table["statistic"] == "pearson") & (table["sign"] == "native")
    ]
    if complete.empty:
        return "No cascade randomises every layer, so there is no end point."
    last = complete[complete["depth"] == complete["depth"].max()].dropna(subset=["similarity"])
    last = last.groupby("method", sort=False)["similarity"].mean()
    own = last[[not method_style(str(name)).control for name in last.index]].sort_values(ascending=False)
    words = "; ".join(f"{method_style(str(name)).label} {number(float(value))}" for name, value in own.items())
    return f"With every layer random, this similarity to the trained map is left: {words}. A faithful map keeps none."


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
    panels = []
    for order in dict.fromkeys(percent["order"]):
        part = percent[percent["order"] == order]
        curves = {
            name: _curve(part[part["method"] == name], "percent", "value") for name in dict.fromkeys(part["method"])
        }
        level = 0.5 if metric == "auroc" else None
        panels.append(CurvePanel(_ORDERS.get(order, order), _METRICS[metric], curves, None, level))
    bands = {
        "patients": f"bands: {runs.intervals.confidence:.0%} interval, patients resampled",
        "seeds": f"bands: range over seeds{_few(runs)}",
        "none": "one seed, no bands",
    }[str(table["interval"].iloc[0])]
    caption = (
        f"{_METRICS[metric][0].upper()}{_METRICS[metric][1:]} of each network after the top points by |map| "
        "(unsmoothed) "
        "were replaced by the line between their kept neighbours in time, with noise; mean over seeds, then over "
        "classes "
        f"({int(table['n_networks'].iloc[0])} networks); {bands}. Grey, broken: controls, which know nothing of the "
        "network."
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
        "between "
        "the curves of least and most relevant first; above 0 means that what the map calls relevant matters more. "
        "Last "
        f"column: networks in which ABPC is above the best control's ({runs.intervals.confidence:.0%}, patients "
        "resampled, Holm over the methods).",
        label="Perturbation in numbers",
        files=files.table("perturbation_areas", pd.DataFrame(kept)),
    )


def _curve(rows: pd.DataFrame, x: str, y: str) -> Curve:
    return Curve(*(rows[name].to_numpy(dtype=float) for name in (x, y, "low", "high")))
