"""Experiment 2 against a control: maps of one ECG by networks that were trained for different diagnoses."""

from typing import Final

import numpy as np
import pandas as pd

from ecg_lightning.experiments.self_consistency.blocks import rows_of
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Paragraph, ReportFiles, TableBlock, number
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.runs.study_runs import StudyRuns

AS_MUCH: Final = 0.8
"""Share of the agreement between seeds of one diagnosis from which on networks of another agree about as much."""

AGREES: Final = 0.2
"""Agreement between seeds of one diagnosis below which there is nothing to have a share of."""


def other_target_blocks(runs: StudyRuns, files: ReportFiles, consistency: pd.DataFrame) -> list[Block]:
    """A short table, and what it says in a sentence; nothing where no two diagnoses share test ECGs.

    Args:
        runs: The study.
        files: Where its tables lie.
        consistency: Table of self-consistency; empty where each diagnosis has one seed.
    """
    table = runs.study_table("other_target")
    if table.empty:
        return []
    other = rows_of(table, ALL_TARGETS, "pearson", "native")["mean"]
    own = pd.DataFrame(index=other.index, columns=["mean", "floor"], dtype=float)
    if not consistency.empty:
        own = rows_of(consistency, ALL_TARGETS, "pearson", "native").reindex(other.index)
    pairs = table[(table["target"] != ALL_TARGETS) & (table["statistic"] == "pearson") & (table["sign"] == "native")]
    return [
        TableBlock(
            head=("Method", "seeds of the same diagnosis", "their maps of other patients", "another diagnosis"),
            rows=[
                [method_style(name).label, number(own["mean"][name]), number(own["floor"][name]), number(other[name])]
                for name in map(str, other.index)
            ],
            caption="Pearson correlation between two networks' maps, smoothed, means of the classes' (or of their "
            "pairs') means: of one ECG by two seeds of the same diagnosis; of two patients of whom both seeds predict "
            "the same class; and of one ECG by networks of different diagnoses with the same training seed, "
            f"{_counted(pairs)}. Not corrected for the maps' Monte-Carlo noise. There is no verdict on these numbers.",
            label="Networks of another diagnosis",
            files=files.table("other_target", table),
            stack=True,
        ),
        Paragraph(other_target_words(own["mean"], other)),
    ]


def other_target_words(same: "pd.Series[float]", other: "pd.Series[float]") -> str:
    """Which methods show what networks of any diagnosis show.

    Args:
        same: Method -> agreement between seeds of one diagnosis; NaN where there is one seed.
        other: Method -> agreement between networks of different diagnoses.
    """
    known = same.notna() & other.notna()
    if not known.any():
        return "There are no seeds of the same diagnosis with which networks of another could be compared."
    agreeing = known & (same >= AGREES)
    alike = agreeing & (other >= AS_MUCH * same)
    said = (
        f"Networks of another diagnosis agree about as much as those of the same (at least {AS_MUCH} of it) for "
        f"{_named(alike)}: such a map shows the ECG or the architecture rather than the diagnosis."
        if alike.any()
        else f"For no method do networks of another diagnosis agree about as much as those of the same (at least "
        f"{AS_MUCH} of it), which would show the ECG or the architecture rather than the diagnosis."
    )
    lacking = known & ~agreeing
    if lacking.any():
        said += (
            f" Nothing can be said of {_named(lacking)}, whose seeds of the same diagnosis agree by less than {AGREES}."
        )
    return said


def _named(chosen: "pd.Series[bool]") -> str:
    return ", ".join(method_style(str(name)).label for name in chosen.index[chosen])


def _counted(pairs: pd.DataFrame) -> str:
    """Over how many pairs of diagnoses, seeds and patients."""

    def span(column: str) -> str:
        least, most = (int(bound) for bound in np.quantile(pairs[column], [0, 1]))
        return f"{least:,}" if least == most else f"{least:,} to {most:,}"

    return (
        f"{len(pairs.groupby(['target', 'other_target']))} pairs of diagnoses (seeds: {span('n_seeds')}; patients: "
        f"{span('n_patients')}, with the first diagnosis: {span('n_patients_with')}; ECGs: {span('n_ecgs')}; undefined "
        f"values: {int(pairs['n_undefined'].sum()):,})"
    )
