"""Experiment 3: similarity to the trained network's maps as layers are randomised (paper, Figures 4A and S5)."""

from typing import Final

import pandas as pd
from matplotlib.figure import Figure

from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.curves import CurvePanel, NetworkCurve, XAxis, curve_of, curves_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.blocks import Block, Paragraph, Picture, ReportFiles, Section, number
from ecg_lightning.report.runs import StudyRuns

_DIRECTIONS: Final = {
    "from_output": "from the output",
    "from_input": "from the input",
    "independent": "each layer alone",
}


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
        curves = {name: curve_of(part[part["method"] == name], "depth", "similarity") for name in names}
        own = curve_of(network[network["direction"] == direction], "depth", "auroc")
        panels.append(
            CurvePanel(
                _DIRECTIONS.get(direction, direction),
                f"{statistic.capitalize()} correlation with the trained map",
                curves,
                None,
                0.0,
                NetworkCurve("AUROC of\nthe network", own, 0.5),
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
