"""This section puts the paper's numbers beside this study's, and names every setting that differs."""

import pandas as pd

from ecg_lightning.plotting.page_blocks import NO_NUMBER, Block, Items, Paragraph, ReportFiles, Section, TableBlock
from ecg_lightning.report.deviations import deviations
from ecg_lightning.report.own_numbers import NUMBERS
from ecg_lightning.report.population import SPLITS, population_table
from ecg_lightning.report.published import CITATION, INCONSISTENCIES, READINGS, TABLE_1
from ecg_lightning.runs.study_runs import StudyRuns


def paper_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Make the section that shows the paper's numbers beside this study's."""
    table = pd.DataFrame(
        [
            {"quantity": entry.what, "published": entry.value, "this_study": entry.own(runs), "where": entry.where}
            for entry in NUMBERS
        ]
    )
    blocks: list[Block] = [
        TableBlock(
            head=("Quantity", "Published", "This study", "In the paper"),
            rows=table.to_numpy().tolist(),
            caption="± beside a mean over all methods is the standard deviation of the methods' means, as the paper's "
            "0.52 ± 0.14; beside one method or pair of methods it is the standard deviation over ECGs and networks. A "
            f"dash: this study has no such number. {CITATION}",
            label="Published vs this study",
            files=files.table("published_vs_this_study", table),
            prose=True,
        ),
        Paragraph("Where the settings differ from the paper's"),
        Items(deviations(runs)),
        Paragraph("How the paper is read here"),
        Items(READINGS),
        Paragraph("What does not agree within the paper"),
        Items(INCONSISTENCIES),
    ]
    return Section(
        "paper", "Published vs this study", blocks, {"The paper's Table 1 beside this study's": [_table_1(runs, files)]}
    )


def table_1_beside(runs: StudyRuns) -> pd.DataFrame:
    """Put the paper's Table 1 beside this study's.

    Returns:
        ``characteristic``, then ``published_<split>`` and ``this_study_<split>`` for train, validation and test.
    """
    ours = population_table(runs.population).set_index("characteristic") if len(runs.population) else pd.DataFrame()
    rows = []
    for name, published in TABLE_1.items():
        row = {"characteristic": name}
        for split, value in zip(SPLITS, published, strict=True):
            row[f"published_{split}"] = value
            here = split in ours and name in ours.index
            row[f"this_study_{split}"] = str(ours.loc[name, split]) if here else NO_NUMBER
        rows.append(row)
    return pd.DataFrame(rows)


def _table_1(runs: StudyRuns, files: ReportFiles) -> TableBlock:
    table = table_1_beside(runs)
    return TableBlock(
        head=("", *("Published", "This study") * len(SPLITS)),
        groups=(("", 1), *((name, 2) for name in SPLITS.values())),
        rows=table.to_numpy().tolist(),
        caption="Patients are split, never ECGs. Prevalences are shares of ECGs.",
        label="Table 1, published vs this study",
        files=files.table("published_table_1", table),
    )
