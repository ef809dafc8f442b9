"""Scores of single maps: whether they foretell the network's answer, how stable and how simple they are."""

from typing import Final

import pandas as pd

from ecg_lightning.experiments.faithfulness.figures import score_panels
from ecg_lightning.experiments.faithfulness.schemas import SCORES
from ecg_lightning.experiments.score_rows import over_seeds
from ecg_lightning.plotting.bars import MARKS, scores_figure
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.page_blocks import Block, Paragraph, Picture, ReportFiles, Section
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.study_runs import StudyRuns

_TITLE: Final = "Faithfulness and other scores of single maps"
_MEANING: Final = (
    "Infidelity is the share of the logit's changes under small Gaussian perturbations of the ECG that a map does not "
    "foretell; 1 is what a map of zeros has (Yeh et al. 2019, normalised). Max-sensitivity is the greatest relative "
    "change of a map when the ECG changes by very little. Sparseness and complexity of |map| are neither better nor "
    "worse."
)


def faithfulness_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Every score by method, means over ECGs, diagnoses and seeds."""
    table = runs.tables(SCORES)
    if table.empty:
        return Section("faithfulness", _TITLE, [Paragraph("No run has measured it.", "note")])
    if "map" not in table:  # runs of an older version have their own maps only
        table = table.assign(map="own")
    saved = files.table("scores_all", table)
    blocks: list[Block] = [
        Paragraph(_MEANING),
        _picture(table, files),
        Paragraph(f"Numbers: {', '.join(saved)}.", "note"),
    ]
    return Section("faithfulness", _TITLE, blocks)


def _picture(table: pd.DataFrame, files: ReportFiles) -> Picture:
    """One panel a score."""
    panels = score_panels(table, over_seeds)
    networks = table[["target", "seed"]].drop_duplicates().shape[0]
    of = f"{networks} network{'' if networks == 1 else 's'}, up to {int(table['n_ecgs'].max())} test ECGs"
    if "n_patients" in table:
        of += f" of {int(table['n_patients'].max())} patients"
    caption = (
        f"Mean over ECGs, then diagnoses ({', '.join(map(class_name, dict.fromkeys(table['target'])))}), then seeds; "
        f"{of} each. Bars: range of the seeds, which is no interval. Methods of several passes have no max-sensitivity "
        f"by default, and it is of fewer ECGs. {MARKS}"
    )

    def draw(caption: str) -> CaptionedFigure:
        return scores_figure(panels, "Scores of single maps", caption)

    return files.picture("faithfulness/scores", draw, "Scores of single maps", caption)
