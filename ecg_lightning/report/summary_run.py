"""The summary run is one W&B run for a whole study: its tables, figures and main numbers."""

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from ecg_lightning.experiments.registry import EXPERIMENTS
from ecg_lightning.report.claims import CANNOT_TELL, FAILS, PASSES, explaining
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.runs.study_runs import StudyRuns, records
from ecg_lightning.wandb_logger import RunLogger

TABLES: Final = (
    "verdicts",
    "preconditions",
    "scorecard",
    "published_vs_this_study",
    "published_table_1",
    "performance",
    "population_by_split",
    "methods",
    *(name for experiment in EXPERIMENTS for name in experiment.report_tables),
)
"""Tables of the report, where the study has them."""

FIGURES: Final = (
    "first_screen/true_positive",
    "first_screen/false_positive",
    "first_screen/false_negative",
    "examples",
    *(name for experiment in EXPERIMENTS for name in experiment.report_figures),
)
"""Figures of the report, where the study has them; on W&B they are named ``study/<name>``."""

JOB_TYPE: Final = "study"


def log_summary(runs: StudyRuns, project: str, entity: str | None) -> str | None:
    """Log what the report has left: ``study/...`` on W&B.

    Args:
        runs: The study; its report is written.
        project: Name of the W&B project.
        entity: Team or user; None: that of the key.

    Returns:
        Page or offline folder of the run; None where W&B is switched off.
    """
    logger = RunLogger(
        project=project,
        save_dir=runs.study.path,
        group=runs.study.name,
        job_type=JOB_TYPE,
        entity=entity,
        tags=["study"],
    )
    address = logger.place
    logger.log_hyperparams(
        {"study": runs.study.name, "targets": runs.targets, "seeds": runs.seeds, "methods": runs.methods}
    )
    for name in TABLES:
        table = runs.study_table(name)
        if not table.empty:
            logger.log_table(f"study/{name}", dataframe=_plain(table))
    for name in FIGURES:
        path = runs.study.figures / f"{name}.png"
        if path.is_file():
            logger.log_image(f"study/{name}", images=[str(path)])
    logger.log_metrics(dict(main_numbers(runs)))
    logger.finish()
    return address


def main_numbers(runs: StudyRuns) -> Iterator[tuple[str, float]]:
    """Yield the numbers by which a dashboard compares studies."""
    for row in records(runs.study_table("self_consistency")):
        if (row["target"], row["statistic"], row["sign"]) == (ALL_TARGETS, "pearson", "native"):
            yield f"study/self_consistency/{row['method']}", float(row["mean"])
    performance = runs.study_table("performance")
    for metric in ("auroc", "auprc", "r2", "mae"):
        if metric in performance:
            for target, value in performance.groupby("target")[metric].mean().dropna().items():
                yield f"study/{metric}/{target}", float(value)
    verdicts = runs.study_table("verdicts")
    if not verdicts.empty:
        explained = explaining(verdicts)
        for method, part in verdicts[~verdicts["control"]].groupby("method", sort=False):
            for state in (PASSES, FAILS, CANNOT_TELL):
                yield f"study/verdicts/{method}/{state}", float((part["state"] == state).sum())
            diagnoses = explained[explained["method"] == method]["target"].nunique()
            yield f"study/verdicts/{method}/diagnoses_explained", float(diagnoses)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """W&B knows None, and neither pandas' own NA nor its nullable types."""
    plain: Any = table.astype(object).where(table.notna(), None)
    frame: pd.DataFrame = plain
    return frame
