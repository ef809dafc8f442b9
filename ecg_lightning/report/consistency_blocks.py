"""Experiment 2 in tables: self-consistency of every class, agreement of the networks, and ranks (paper, Table S3)."""

import pandas as pd

from ecg_lightning.plotting.class_words import CLASS_WORDS, class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.blocks import Block, ReportFiles, TableBlock, number, with_interval
from ecg_lightning.report.runs import StudyRuns, records
from ecg_lightning.study.consistency_tables import ALL_TARGETS


def rows_of(table: pd.DataFrame, target: str, statistic: str, sign: str) -> pd.DataFrame:
    """The rows of a target (or of all together), by method."""
    chosen = (table["target"] == target) & (table["statistic"] == statistic) & (table["sign"] == sign)
    return table[chosen].set_index("method")


def consistency_table_block(runs: StudyRuns, files: ReportFiles, table: pd.DataFrame) -> TableBlock:
    """Method x class, means with their intervals."""
    targets = [*[target for target in runs.targets if (table["target"] == target).any()], ALL_TARGETS]
    parts = {target: rows_of(table, target, "pearson", "native") for target in targets}
    rows = []
    for method in runs.methods:
        cells = [_cell(part, method) if method in part.index else "\N{EN DASH}" for part in parts.values()]
        rows.append([method_style(method).label, *cells])
    return TableBlock(
        head=("Method", *("all classes" if target == ALL_TARGETS else class_name(target) for target in targets)),
        rows=rows,
        caption=f"Pearson correlation between seeds, mean and {runs.intervals.confidence:.0%} interval (patients "
        "resampled). Spearman, magnitudes, spread over seeds, Kendall's W and noise-corrected means stand in the "
        "files.",
        label="Table S3",
        files=files.table("self_consistency", table),
    )


def _cell(rows: pd.DataFrame, method: str) -> str:
    mean, low, high = (rows.loc[method, column] for column in ("mean", "low", "high"))
    return with_interval(mean, low, high)


def agreement_blocks(runs: StudyRuns, files: ReportFiles) -> list[Block]:
    """How far the networks themselves agree, and how the methods rank; without what was not compared."""
    networks, ranks = runs.study_table("network_agreement"), runs.study_table("method_ranks")
    blocks: list[Block] = []
    if not networks.empty:
        rows = [
            [
                class_name(target),
                number(part["pearson"].mean()),
                number(part["pearson"].min()),
                number(part["pearson"].max()),
            ]
            for target, part in networks.groupby("target", sort=False)
        ]
        blocks.append(
            TableBlock(
                head=("Diagnosis", "mean", "least alike pair", "most alike pair"),
                rows=rows,
                caption="Pearson correlation between the logits of two seeds over the test ECGs: how far the networks "
                "themselves agree. Maps of networks that disagree may disagree.",
                label="Agreement of the networks",
                files=files.table("network_agreement", networks),
            )
        )
    if not ranks.empty:
        columns = [name for name in ranks.columns if name in CLASS_WORDS]
        rows = [
            [
                method_style(row["method"]).label,
                *(number(row[name], 0) for name in columns),
                number(row["mean_rank"], 1),
            ]
            for row in records(ranks)
        ]
        blocks.append(
            TableBlock(
                head=("Method", *(class_name(name) for name in columns), "mean rank"),
                rows=rows,
                caption="Rank of each method by self-consistency, 1 for the most consistent.",
                label="Ranks",
                files=files.table("method_ranks", ranks),
            )
        )
    return blocks
