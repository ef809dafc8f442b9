"""This section says whether networks with a card saw what they were trained on, as far as the gate can tell."""

from typing import Final

import pandas as pd

from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.gate_picture import GATE_CAPTION, gate_figure
from ecg_lightning.plotting.page_blocks import Block, Cell, Paragraph, ReportFiles, Section, TableBlock, number
from ecg_lightning.runs.study_runs import StudyRuns, records

_HEAD: Final = ("Setting", "First BatchNorm", "All BatchNorms", "AUROC", "Log-loss", "Other decisions", "Verdict")
_KINDS: Final = {"wrong": "bad", "warning": "mixed", "agrees": "good", "undetermined": "open"}
_CAPTION: Final = (
    "Divergences (nat) of what arrives at BatchNorms from what was learnt, scores of the labelled ECGs, and the share "
    "of decisions that would be others."
)


def gate_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Show what the gate measured of each network that has a card; nothing where there is none.

    Args:
        runs: The study.
        files: Its figures and tables.
    """
    table = runs.tables("gate")
    blocks: list[Block] = []
    if not table.empty:
        saved = files.table("gate", table)
        for (target, seed), of_run in table.groupby(["target", "seed"], sort=False):
            blocks += _of_run(of_run, f"{class_name(str(target))}, seed {seed}", f"gate/{target}_{seed}", files, saved)
    return Section("gate", "Do the networks see what they were trained on?", blocks)


def _of_run(table: pd.DataFrame, name: str, path: str, files: ReportFiles, saved: list[str]) -> list[Block]:
    rows = [
        [
            row["setting"],
            *(f"{row[column]:.3g}" if pd.notna(row[column]) else number(None) for column in ("s1", "s2")),
            *(number(row[column]) for column in ("auroc", "log_loss", "flipped")),
            Cell(row["verdict"], _KINDS.get(row["verdict"], "none"), title=row["words"]),
        ]
        for row in records(table)
    ]
    told = table[table["verdict"].isin(["wrong", "warning"])]
    paragraphs = [Paragraph(f"{name}: {row['words']}.", "warning") for row in records(told)]
    picture = files.picture(path, lambda caption: gate_figure(table, name, caption), f"Gate, {name}", GATE_CAPTION)
    listed = TableBlock(_HEAD, rows, _CAPTION, f"Settings, {name}", saved, stack=True)
    return [*paragraphs, picture, listed]
