"""Experiment 2: whether seeds agree (paper, Figure 3B, Table S3, S3 and S4), and whether performance matters."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.experiments.self_consistency.agreement_blocks import agreement_blocks
from ecg_lightning.experiments.self_consistency.blocks import (
    consistency_of,
    consistency_table_blocks,
    has_floor,
    interval_words,
    patients_words,
    rows_of,
)
from ecg_lightning.experiments.self_consistency.compare import CONSISTENCY
from ecg_lightning.experiments.self_consistency.other_target_blocks import other_target_blocks
from ecg_lightning.experiments.self_consistency.performance_figure import performance_blocks
from ecg_lightning.functional.similarity import SIGNS, STATISTICS, compared_words
from ecg_lightning.plotting.boxes import BoxPanel, boxes_figure
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Paragraph, Picture, ReportFiles, Section, number
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.signal_format import usual_smoothing
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.runs.study_runs import StudyRuns
from ecg_lightning.storage.store import RowStore
from ecg_lightning.verdicts.table import networks_of

_NOTES: Final = "above\nthe floor"

_LABELS: Final = {
    ("pearson", "native"): "Figure 3B",
    ("spearman", "native"): "Figure 3B by Spearman",
    ("pearson", "absolute"): "Figure 3B by magnitude",
}


def consistency_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Boxes over all classes and in each, the table, and reliability against performance."""
    title = "Experiment 2: self-consistency over seeds"
    table = consistency_of(runs)
    if table.empty:
        why = (
            "Every diagnosis has one finished seed only, so that there is no second network to agree with: train more "
            "seeds."
            if all(len(seeds) < 2 for seeds in runs.finished.values())
            else "The seeds have not been compared yet: run `compare` on this folder first."
        )
        return Section("consistency", title, [Paragraph(why, "note"), *other_target_blocks(runs, files, table)])
    distributions = {key: _distributions(runs, *key) for key in _LABELS}
    whole = [_whole(runs, files, table, distributions[key], *key) for key in _LABELS]
    blocks: list[Block] = [whole[0], *(Paragraph(text, kind) for text, kind in _in_words(table)), *_single(runs)]
    blocks += other_target_blocks(runs, files, table)
    blocks += performance_blocks(runs, files, table)
    details: dict[str, list[Block]] = {
        "All numbers (Table S3)": consistency_table_blocks(runs, files, table),
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
        folder = runs.study.comparison / target / CONSISTENCY
        for method in runs.methods:
            if (folder / method).is_dir():
                array = RowStore.open(folder / method).array
                values = np.asarray(array[:, STATISTICS.index(statistic), SIGNS.index(sign)], dtype=np.float64)
                found.setdefault(target, {})[method] = values.ravel()
    return found


def _panel(title: str, values: dict[str, NDArray[np.float64]], rows: pd.DataFrame) -> BoxPanel:
    """Boxes, and what the table says of each method: mean, floor, and what lies above it."""
    means = {str(name): (row["mean"], row["low"], row["high"]) for name, row in rows.iterrows()}
    above = rows["corrected_above_floor"].dropna()
    notes = {str(name): number(value) for name, value in above.items()}
    return BoxPanel(title, values, means, {str(name): value for name, value in rows["floor"].items()}, notes)


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
    caption = _caption(runs, table, values, statistic, sign)
    if len(values) > 1:
        caption += " The mean over several classes has no interval; see each class (Table S3)."
    else:
        caption += f" {_bar_words(runs, table)}"
    panel = _panel("all classes", joined, rows)

    def draw(caption: str) -> CaptionedFigure:
        return boxes_figure(
            [panel],
            label=f"{statistic.capitalize()} correlation between seeds",
            title="Self-consistency",
            caption=caption,
            limits=(-1.0, 1.0),
            notes_title=_NOTES,
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
    caption = f"{_caption(runs, table, values, statistic, sign)} {_bar_words(runs, table)}"
    panels = [
        _panel(class_name(target), own, rows_of(table, target, statistic, sign)) for target, own in values.items()
    ]

    def draw(caption: str) -> CaptionedFigure:
        return boxes_figure(
            panels,
            label=f"{statistic.capitalize()} correlation",
            title="Self-consistency in each class",
            caption=caption,
            limits=(-1.0, 1.0),
            notes_title=_NOTES,
        )

    return files.picture(f"self_consistency/classes_{statistic}_{sign}", draw, label, caption)


def _caption(
    runs: StudyRuns,
    table: pd.DataFrame,
    values: dict[str, dict[str, NDArray[np.float64]]],
    statistic: str,
    sign: str,
) -> str:
    own = table[(table["target"] != ALL_TARGETS) & (table["statistic"] == statistic) & (table["sign"] == sign)]
    ecgs = {len(next(iter(runs.finished[target].values())).examples) for target in values}
    networks = sum(len(runs.finished[target]) for target in values)
    floor = (
        " Grey diamond: the same seeds' maps of different patients of whom both predict the same class."
        if has_floor(own)
        else ""
    )
    above = (
        " Number on the right: what lies above it, without the maps' Monte-Carlo noise."
        if own["corrected_above_floor"].notna().any()
        else ""
    )
    return (
        f"{statistic.capitalize()} correlation between the maps of one ECG by two networks that differ in their "
        f"training seed only: {compared_words(sign)}, {usual_smoothing(next(iter(runs)))}, over all points. "
        f"Every pair of seeds, {networks} networks, {'/'.join(f'{count:,}' for count in sorted(ecgs))} test ECGs "
        f"a class. Box: quartiles; line: 5th to 95th percentile of ECGs and pairs. White diamond: mean over patients, "
        f"then over classes where they stand together.{floor}{above} {patients_words(own)}"
    )


def _bar_words(runs: StudyRuns, table: pd.DataFrame) -> str:
    own = table[table["target"] != ALL_TARGETS]
    return interval_words(own, runs.intervals.confidence).replace("In brackets", "Black bar")


def _in_words(table: pd.DataFrame) -> list[tuple[str, str]]:
    """What was found, as paragraphs with their style: the paper's reading, and what stands above the floor."""
    rows = rows_of(table, ALL_TARGETS, "pearson", "native").dropna(subset=["mean"]).sort_values("mean")
    if rows.empty:
        return [("No method has a defined self-consistency.", "text")]
    own = table[(table["statistic"] == "pearson") & (table["sign"] == "native") & (table["target"] != ALL_TARGETS)]
    classes = own.groupby("target")["mean"].mean()
    raw = (
        f"As the paper reads it, seeds agree by {number(rows['mean'].mean())} over all methods and classes (standard "
        f"deviation of these means {number(own['mean'].std())}): {_extremes(rows['mean'])}; class means run "
        f"from {number(classes.min())} ({class_name(classes.idxmin())}) to {number(classes.max())} "
        f"({class_name(classes.idxmax())})."
    )
    if not has_floor(table):
        return [
            (raw, "text"),
            (
                "Maps of different patients were not compared by the version that wrote these tables, so that there is "
                "no verdict on the seeds: run `compare` on this folder again, which adds what is missing.",
                "note",
            ),
        ]
    above = rows["corrected_above_floor"].dropna().sort_values()
    common = (
        f"The same seeds' maps of different patients, of whom both predict the same class, agree by "
        f"{number(rows['floor'].mean())}: more where waves lie at the same samples, as in median beats. What stands "
        f"above that, without the maps' own Monte-Carlo noise, is {number(above.mean())}: {_extremes(above)}. The "
        f"verdict is on this number, in each class, and speaks of {_networks(int(own['n_seeds'].min()))}."
        if len(above)
        else "No two patients have the same predicted class, so that agreement has no floor to be compared with."
    )
    return [(raw, "text"), (common, "text")]


def _networks(n_seeds: int) -> str:
    return "networks trained like these" if networks_of(n_seeds) == "networks_like_these" else "these networks"


def _extremes(values: "pd.Series[float]") -> str:
    """The greatest and the least of values that are sorted by size, with their methods."""
    least, most = (method_style(str(name)).label for name in values.index[[0, -1]])
    return f"most for {most} ({number(values.iloc[-1])}), least for {least} ({number(values.iloc[0])})"


def _single(runs: StudyRuns) -> list[Block]:
    alone = [class_name(target) for target, seeds in runs.finished.items() if len(seeds) < 2]
    return [Paragraph(f"One finished seed only, hence not compared: {', '.join(alone)}.", "warning")] if alone else []
