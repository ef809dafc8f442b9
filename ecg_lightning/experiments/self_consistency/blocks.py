"""Experiment 2 in tables: self-consistency of every class, raw and above its floor (paper, Table S3)."""

from collections.abc import Callable
from typing import Any, Final

import pandas as pd

from ecg_lightning.experiments.self_consistency.seed_pairs import FEW_PATIENTS, OVER_BOTH, TWO_SEEDS
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, ReportFiles, TableBlock, number, with_interval
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.runs.study_runs import StudyRuns, records

_AVERAGES: Final = {
    "mean": "patients first",
    "mean_over_ecgs": "over ECGs",
    "mean_fisher_z": "Fisher's z",
    "mean_matched": "same prediction",
    "floor": "different patients",
    "above_floor": "above them",
    "corrected_above_floor": "without noise",
}
"""Column of the table -> how it is headed on the page."""

_SINCE_FLOORS: Final = (
    *("mean_over_ecgs", "mean_fisher_z", "mean_matched", "floor", "above_floor"),
    *("corrected_above_floor", "corrected_low", "corrected_high", "n_patients_with", "n_disagreeing"),
    "n_without_partner",
)


def consistency_of(runs: StudyRuns) -> pd.DataFrame:
    """The table that ``compare`` wrote; NaN for what an earlier version did not know of."""
    table = runs.study_table("self_consistency")
    return table.reindex(columns=[*table.columns, *(name for name in _SINCE_FLOORS if name not in table)])


def rows_of(table: pd.DataFrame, target: str, statistic: str, sign: str) -> pd.DataFrame:
    """The rows of a target (or of all together), by method."""
    chosen = (table["target"] == target) & (table["statistic"] == statistic) & (table["sign"] == sign)
    return table[chosen].set_index("method")


def consistency_table_blocks(runs: StudyRuns, files: ReportFiles, table: pd.DataFrame) -> list[Block]:
    """Method x class, raw as in the paper and above the floor; and every way to average, over all classes."""
    saved = files.table("self_consistency", table)
    own = table[table["target"] != ALL_TARGETS]
    raw = _by_class(runs, table, lambda row: with_interval(row["mean"], row["low"], row["high"]))
    blocks: list[Block] = [
        TableBlock(
            *raw,
            caption=f"Pearson correlation between the maps of one ECG by two seeds, as the paper has it: mean over "
            f"patients and pairs of seeds. {interval_words(own, runs.intervals.confidence)} {patients_words(own)} "
            "Spearman, magnitudes, the extreme pairs of seeds and Kendall's W stand in the files.",
            label="Table S3",
            files=saved,
        )
    ]
    if not has_floor(table):
        return blocks
    above = _by_class(
        runs,
        table,
        lambda row: with_interval(row["corrected_above_floor"], row["corrected_low"], row["corrected_high"]),
    )
    blocks.append(
        TableBlock(
            *above,
            caption="What seeds agree on above the maps of different patients: correlation between the maps of one ECG "
            "by two seeds, less that between the same seeds' maps of two patients of whom both predict the same class, "
            "divided by what the maps' own Monte-Carlo noise leaves of a correlation. The verdict is on these numbers. "
            f"{interval_words(own, runs.intervals.confidence)} {left_out_words(own)}",
            label="Table S3 above the floor",
            files=saved,
        )
    )
    return [*blocks, _averages(runs, table, saved)]


def has_floor(table: pd.DataFrame) -> bool:
    """Tell whether a floor was measured at all."""
    return bool(table["floor"].notna().any())


def interval_words(own: pd.DataFrame, confidence: float) -> str:
    """Which interval the rows have, and which have none, in a sentence.

    Args:
        own: Rows of the table, of classes.
        confidence: Confidence level of the intervals.
    """
    if "interval" not in own:
        return f"In brackets: {confidence:.0%} interval of an earlier version, patients resampled, seeds not."
    kinds = set(own["interval"].dropna())
    said = f"In brackets: {confidence:.0%} t interval over patients and seeds jointly" if OVER_BOTH in kinds else ""
    lacking = [
        words
        for kind, words in ((TWO_SEEDS, "two seeds: no interval"), (FEW_PATIENTS, "few patients: no interval"))
        if kind in kinds
    ]
    parts = [part for part in (said, *lacking) if part]
    return f"{'; '.join([parts[0][0].upper() + parts[0][1:], *parts[1:]])}." if parts else "No interval."


def patients_words(own: pd.DataFrame) -> str:
    """From how many patients, and how many of them have the diagnosis, in a sentence."""
    counts = own.groupby("target", sort=False)[["n_patients", "n_patients_with"]].max()
    if counts["n_patients_with"].isna().all():
        return f"Patients: {'/'.join(f'{n:,.0f}' for n in sorted(set(counts['n_patients'])))}."
    each = [
        f"{class_name(target)} {row['n_patients']:,.0f} ({row['n_patients_with']:,.0f})"
        for target, row in counts.iterrows()
    ]
    return f"Patients (with the diagnosis, or a value): {', '.join(each)}."


def left_out_words(own: pd.DataFrame) -> str:
    """What the floor leaves out, in a sentence; the same for all methods, but for undefined maps."""
    native = own[(own["statistic"] == "pearson") & (own["sign"] == "native")]
    first = native.groupby("target")[["n_disagreeing", "n_without_partner"]].first().sum()
    undefined = int(native["n_undefined"].sum())
    return (
        f"Left out: {first['n_disagreeing']:,.0f} ECGs and pairs of seeds that predict different classes, "
        f"{first['n_without_partner']:,.0f} without a partner, {undefined:,} values of constant maps."
    )


def _by_class(
    runs: StudyRuns, table: pd.DataFrame, cell: Callable[[dict[str, Any]], str]
) -> tuple[tuple[str, ...], list[list[object]]]:
    """Head and rows of a table of method x class."""
    targets = [*[target for target in runs.targets if (table["target"] == target).any()], ALL_TARGETS]
    parts = {
        target: {row["method"]: row for row in records(rows_of(table, target, "pearson", "native").reset_index())}
        for target in targets
    }
    rows: list[list[object]] = [
        [
            method_style(method).label,
            *(cell(part[method]) if method in part else "\N{EN DASH}" for part in parts.values()),
        ]
        for method in runs.methods
    ]
    return ("Method", *("all classes" if t == ALL_TARGETS else class_name(t) for t in targets)), rows


def _averages(runs: StudyRuns, table: pd.DataFrame, saved: list[str]) -> TableBlock:
    rows = rows_of(table, ALL_TARGETS, "pearson", "native")
    cells = [
        [method_style(method).label, *(number(rows.loc[method, name]) for name in _AVERAGES)]
        for method in runs.methods
        if method in rows.index
    ]
    return TableBlock(
        head=("Method", *_AVERAGES.values()),
        rows=cells,
        caption="Means of the classes' means, Pearson. Everywhere else on this page patients come first: the ECGs of "
        "each patient are averaged before the patients are. Beside it: every ECG counted once; Fisher's z averaged and "
        "transformed back, which weighs near-perfect agreement more; only ECGs and pairs of seeds that predict the "
        "same class; the same seeds' maps of different patients; what lies above them; and that without the maps' "
        "Monte-Carlo noise.",
        label="Ways to average",
        files=saved,
    )
