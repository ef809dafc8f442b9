"""Experiment 2: whether seeds agree (paper, Figure 3B, Table S3, S3 and S4), and whether performance matters."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecg_lightning.functional.self_consistency import MIN_SEEDS_FOR_INTERVAL
from ecg_lightning.functional.similarity import SIGNS, STATISTICS
from ecg_lightning.plotting.boxes import BoxPanel, boxes_figure
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.blocks import Block, Paragraph, Picture, ReportFiles, Section, number
from ecg_lightning.report.consistency_blocks import agreement_blocks, consistency_table_block, rows_of
from ecg_lightning.report.performance_figure import performance_blocks
from ecg_lightning.report.runs import StudyRuns
from ecg_lightning.store import RowStore
from ecg_lightning.study.consistency_tables import ALL_TARGETS

_LABELS: Final = {
    ("pearson", "native"): "Figure 3B",
    ("spearman", "native"): "Figure 3B by Spearman",
    ("pearson", "absolute"): "Figure 3B by magnitude",
}


def consistency_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Boxes over all classes and in each, the table, and reliability against performance."""
    title = "Experiment 2: self-consistency over seeds"
    table = runs.study_table("self_consistency")
    if table.empty:
        why = (
            "Every diagnosis has one finished seed only, so that there is no second network to agree with: train more "
            "seeds."
            if all(len(seeds) < 2 for seeds in runs.finished.values())
            else "The seeds have not been compared yet: run `compare` on this folder first."
        )
        return Section("consistency", title, [Paragraph(why, "note")])
    distributions = {key: _distributions(runs, *key) for key in _LABELS}
    whole = [_whole(runs, files, table, distributions[key], *key) for key in _LABELS]
    blocks: list[Block] = [whole[0], Paragraph(_in_words(table, runs)), *_single(runs)]
    blocks += performance_blocks(runs, files, table)
    details: dict[str, list[Block]] = {
        "All numbers (Table S3)": [consistency_table_block(runs, files, table)],
        "Each class (Figures S3 and S4)": [
            _by_class(runs, files, table, distributions[key], *key, label)
            for key, label in ((("pearson", "native"), "Figure S3"), (("spearman", "native"), "Figure S4"))
        ],
        "By magnitude, and by Spearman's correlation": list(whole[1:]),
        "Agreement of the networks, and ranks of the methods": agreement_blocks(runs, files),
    }
    return Section("consistency", title, blocks, details)


def _distributions(runs: StudyRuns, statistic: str, sign: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Target -> method -> (ecg, pair) values, flat."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for target in runs.targets:
        folder = runs.study.comparison / target / "self_consistency"
        for method in runs.methods:
            if (folder / method).is_dir():
                array = RowStore.open(folder / method).array
                values = np.asarray(array[:, STATISTICS.index(statistic), SIGNS.index(sign)], dtype=np.float64)
                found.setdefault(target, {})[method] = values.ravel()
    return found


def _means(rows: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    return {str(name): (row["mean"], row["low"], row["high"]) for name, row in rows.iterrows()}


def _whole(
    runs: StudyRuns,
    files: ReportFiles,
    table: pd.DataFrame,
    values: dict[str, dict[str, NDArray[np.float64]]],
    statistic: str,
    sign: str,
) -> Picture:
    rows = rows_of(table, ALL_TARGETS, statistic, sign)
    joined = {
        method: np.concatenate([own[method] for own in values.values() if method in own])
        for method in runs.methods
        if method in rows.index
    }
    caption = _caption(runs, values, statistic, sign, "Mean of the classes' means")
    panel = BoxPanel("all classes", joined, _means(rows))

    def draw(caption: str) -> Figure:
        return boxes_figure(
            [panel],
            label=f"{statistic.capitalize()} correlation between seeds",
            title="Self-consistency",
            caption=caption,
            limits=(-1.0, 1.0),
        )

    return files.picture(f"self_consistency/all_{statistic}_{sign}", draw, _LABELS[statistic, sign], caption)


def _by_class(
    runs: StudyRuns,
    files: ReportFiles,
    table: pd.DataFrame,
    values: dict[str, dict[str, NDArray[np.float64]]],
    statistic: str,
    sign: str,
    label: str,
) -> Picture:
    caption = _caption(runs, values, statistic, sign, "Mean over ECGs")
    panels = [
        BoxPanel(class_name(target), own, _means(rows_of(table, target, statistic, sign)))
        for target, own in values.items()
    ]

    def draw(caption: str) -> Figure:
        return boxes_figure(
            panels,
            label=f"{statistic.capitalize()} correlation",
            title="Self-consistency in each class",
            caption=caption,
            limits=(-1.0, 1.0),
        )

    return files.picture(f"self_consistency/classes_{statistic}_{sign}", draw, label, caption)


def _caption(
    runs: StudyRuns, values: dict[str, dict[str, NDArray[np.float64]]], statistic: str, sign: str, mean: str
) -> str:
    compared = "maps with their sign" if sign == "native" else "magnitudes of maps"
    ecgs = {len(next(iter(runs.finished[target].values())).examples) for target in values}
    networks = sum(len(runs.finished[target]) for target in values)
    return (
        f"{statistic.capitalize()} correlation between the maps of one ECG by two networks that differ in their "
        f"training seed only: {compared}, smoothed by Savitzky-Golay 31/3, over all points. Every pair of seeds, "
        f"{networks} networks, {'/'.join(f'{count:,}' for count in sorted(ecgs))} test ECGs a class. Box: quartiles; "
        f"line: 5th to 95th percentile of ECGs and pairs. Diamond: {mean[0].lower()}{mean[1:]}, black bar: "
        f"{runs.intervals.confidence:.0%} interval, patients resampled."
    )


def _in_words(table: pd.DataFrame, runs: StudyRuns) -> str:
    rows = rows_of(table, ALL_TARGETS, "pearson", "native").dropna(subset=["mean"]).sort_values("mean")
    if rows.empty:
        return "No method has a defined self-consistency."
    own = table[(table["statistic"] == "pearson") & (table["sign"] == "native") & (table["target"] != ALL_TARGETS)]
    classes = own.groupby("target")["mean"].mean()
    low, high = rows.iloc[0], rows.iloc[-1]
    corrected = own[own["method"].isin(rows.index)]["mean_disattenuated"].mean()
    names = [method_style(str(row.name)).label for row in (low, high)]
    few = min(len(seeds) for seeds in runs.finished.values())
    return (
        f"Over all methods and classes seeds agree by {rows['mean'].mean():.2f}: most for {names[1]} "
        f"({high['mean']:.2f}), least for {names[0]} ({low['mean']:.2f}); class means run from {classes.min():.2f} "
        f"({class_name(classes.idxmin())}) to {classes.max():.2f} ({class_name(classes.idxmax())}). Without the maps' "
        f"own Monte-Carlo noise it would be {number(corrected)}."
        + (
            f" With {few} seeds the spread over seeds is a range and no interval."
            if few < MIN_SEEDS_FOR_INTERVAL
            else ""
        )
    )


def _single(runs: StudyRuns) -> list[Block]:
    alone = [class_name(target) for target, seeds in runs.finished.items() if len(seeds) < 2]
    return [Paragraph(f"One finished seed only, hence not compared: {', '.join(alone)}.", "warning")] if alone else []
