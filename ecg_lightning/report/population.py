"""This section says who was studied (paper, Table 1)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import pandas as pd

from ecg_lightning.data.enrichment import UNUSED
from ecg_lightning.data.label_columns import label_column
from ecg_lightning.data.study_splits import SETTINGS
from ecg_lightning.data.targets import PAPER_TARGETS, in_order, known_info
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.page_blocks import Block, Paragraph, ReportFiles, Section, TableBlock
from ecg_lightning.runs.study_runs import StudyRuns

SPLITS: Final = {"train": "Train", "validation": "Validation", "test": "Test"}
"""Split -> heading, in the paper's order."""

_ALL_SPLITS: Final = {**SPLITS, UNUSED: "In no split"}
_SHOWN_REASONS = 8


def population_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Report the paper's Table 1, and the ECGs that were left out."""
    if runs.population.empty:
        why = "The study has no population.parquet (it was fitted by an earlier version): fit it again"
        damages = [damage for path, damage in runs.damaged.items() if path.name == "population.parquet"]
        for damage in damages[:1]:
            why = f"{damage.below(runs.study.path)}, and report again"
        missing = Paragraph(f"{why} to see this table.", "warning")
        return Section("population", "Study population", [missing])
    population = runs.population
    table = population_table(population, runs.targets)
    blocks: list[Block] = [
        TableBlock(
            head=("", *(_ALL_SPLITS.get(split, split) for split in table.columns[1:])),
            rows=[[str(cell) for cell in row] for row in table.to_numpy().tolist()],
            caption="Patients are split, never ECGs: no patient is in two of train, validation and test. Labels count "
            "ECGs; one ECG may have several, and ECGs whose label is missing are left out of that label's share.",
            label="Table 1",
            files=files.table("population_by_split", table),
        )
    ]
    if enriched := enrichment_words(population):
        blocks.append(Paragraph(enriched, "note"))
    if runs.rejected is not None:
        blocks.append(_rejected(runs.rejected, len(population)))
    return Section("population", "Study population", blocks)


def enrichment_words(population: pd.DataFrame) -> str:
    """Say how the test split of a study was enriched; empty where it was not.

    Args:
        population: ``population.parquet``, with the settings of the data in its ``attrs``.
    """
    settings = population.attrs.get(SETTINGS) or {}
    targets = settings.get("data.test_enrichment.targets")
    if not targets:
        return ""
    unused = int((population["split"] == UNUSED).sum())
    return (
        f"The test split is enriched: {settings['data.test_enrichment.patients']} patients or more were taken with "
        f"each of {', '.join(class_name(target) for target in targets)}, and "
        f"{settings['data.test_enrichment.without']} or more with none of these; one ECG of each patient. Its "
        "prevalences are chosen and not those of the source: AUPRC, precision, F1 and accuracy hold for these only. "
        f"{unused:,} other ECGs are in no split."
    )


def population_table(population: pd.DataFrame, targets: Sequence[str] = ()) -> pd.DataFrame:
    """Make the rows of the paper's Table 1.

    Args:
        population: ``ecg_id, patient_id, split, age, sex`` and the targets, one row an ECG.
        targets: Those of the study, shown beside the paper's nine.

    Returns:
        ``characteristic``, and a column for each split that has ECGs.
    """
    splits = [split for split in _ALL_SPLITS if (population["split"] == split).any()]
    parts = {split: population[population["split"] == split] for split in splits}
    chosen = list(_characteristics(_shown_targets(population, targets)))
    rows = [{"characteristic": name, **{s: value(parts[s]) for s in splits}} for name, value in chosen]
    return pd.DataFrame(rows, columns=["characteristic", *splits])


def _shown_targets(population: pd.DataFrame, targets: Sequence[str]) -> list[str]:
    """The paper's nine and the study's own, where the population has labels of them."""
    return [name for name in in_order((*PAPER_TARGETS, *targets)) if label_column(name) in population]


def _characteristics(targets: Sequence[str]) -> Iterator[tuple[str, Callable[[pd.DataFrame], str]]]:
    yield "ECGs, n", lambda part: f"{len(part):,}"
    yield "Patients, n", lambda part: f"{part['patient_id'].nunique():,}"
    yield "ECGs per patient, mean (SD)", lambda part: _mean_sd(part.groupby("patient_id").size())
    yield "Female patients, n (%)", _female
    yield "Age in years, mean (SD)", lambda part: _mean_sd(part["age"])
    for target in targets:
        info = known_info(target)
        if info.kind == "binary":
            yield f"{info.title}, n (%)", partial(_of_column, column=label_column(target), value=_count)
        else:
            name = f"{info.title} ({info.unit})" if info.unit else info.title
            yield f"{name}, mean (SD)", partial(_of_column, column=label_column(target), value=_mean_sd)


def _of_column(part: pd.DataFrame, *, column: str, value: Callable[["pd.Series[Any]"], str]) -> str:
    return value(part[column])


def _mean_sd(values: "pd.Series[Any]") -> str:
    known = values.dropna()
    if known.empty:
        return "unknown"
    return f"{known.mean():.1f} ({known.std():.1f})" if len(known) > 1 else f"{known.mean():.1f}"


def _female(part: pd.DataFrame) -> str:
    sex = part.drop_duplicates("patient_id")["sex"].dropna()
    sex = sex[sex.isin(["female", "male"])]
    return _share(int((sex == "female").sum()), len(sex))


def _count(label: "pd.Series[int]") -> str:
    known = label.dropna()
    return _share(int((known == 1).sum()), len(known))


def _share(count: int, total: int) -> str:
    return f"{count:,} ({count / total:.1%})".replace("%)", ")") if total else "unknown"


def _rejected(rejected: pd.DataFrame, used: int) -> Paragraph:
    if rejected.empty:
        return Paragraph(f"All {used:,} ECGs of the source could be used: none was rejected.")
    reasons = rejected["reason_kind"].value_counts()
    words = "; ".join(f"{reason}: {count:,}" for reason, count in reasons.head(_SHOWN_REASONS).items())
    more = f"; {len(reasons) - _SHOWN_REASONS} more reasons" if len(reasons) > _SHOWN_REASONS else ""
    return Paragraph(
        f"{len(rejected):,} of {len(rejected) + used:,} ECGs of the source could not be used ({words}{more}); each "
        "with its reason stands in rejected.parquet.",
        "note",
    )
