"""Experiment 2 in tables: agreement of the networks, and ranks of the methods."""

import pandas as pd

from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, ReportFiles, TableBlock, number
from ecg_lightning.runs.study_runs import StudyRuns, records


def agreement_blocks(runs: StudyRuns, files: ReportFiles) -> list[Block]:
    """Show how far the networks themselves agree, and how the methods rank; without what was not compared."""
    networks, ranks = runs.study_table("network_agreement"), runs.study_table("method_ranks")
    blocks: list[Block] = [] if networks.empty else [_agreement(networks, files)]
    return blocks if ranks.empty else [*blocks, _ranks(ranks, files)]


def _agreement(networks: pd.DataFrame, files: ReportFiles) -> TableBlock:
    rows = []
    for target, part in networks.groupby("target", sort=False):
        pearson = part["pearson"]
        rows.append([class_name(target), *map(number, (pearson.mean(), pearson.min(), pearson.max()))])
    return TableBlock(
        head=("Diagnosis", "mean", "least alike pair", "most alike pair"),
        rows=rows,
        caption="Pearson correlation between the logits of two seeds over the test ECGs: how far the networks "
        "themselves agree. Maps of networks that disagree may disagree.",
        label="Agreement of the networks",
        files=files.table("network_agreement", networks),
    )


def _ranks(ranks: pd.DataFrame, files: ReportFiles) -> TableBlock:
    columns = [name for name in ranks.columns if name not in ("method", "mean_rank", "best_rank", "worst_rank")]
    rows = [
        [method_style(row["method"]).label, *(number(row[name], 0) for name in columns), number(row["mean_rank"], 1)]
        for row in records(ranks)
    ]
    return TableBlock(
        head=("Method", *(class_name(name) for name in columns), "mean rank"),
        rows=rows,
        caption="Rank of each method by self-consistency as the paper reads it, 1 for the most consistent.",
        label="Ranks",
        files=files.table("method_ranks", ranks),
    )
