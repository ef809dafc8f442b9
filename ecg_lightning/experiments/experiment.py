"""What an experiment declares: everything else in the project loops over ``registry.EXPERIMENTS``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ecg_lightning.experiments.published import Published
from ecg_lightning.plotting.page_blocks import ReportFiles, Section
from ecg_lightning.runs.study_runs import StudyRuns
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.effect import Effect
from ecg_lightning.storage.table_schema import TableSchema
from ecg_lightning.verdicts.comparison import Comparison


@dataclass(frozen=True)
class Panel:
    """One panel of the dashboard on W&B.

    Attributes:
        kind: Curves over a step, one bar a metric, or pictures.
        title: Heading of the panel.
        metrics: Names on W&B; ``{method}`` stands for each method.
        step: Name of the curves' axis.
        controls: Whether controls stand beside the methods.
    """

    kind: Literal["lines", "bars", "pictures"]
    title: str
    metrics: tuple[str, ...]
    step: str = ""
    controls: bool = True


@dataclass(frozen=True)
class Experiment:
    """One experiment, of a run and of a study.

    Attributes:
        name: Its configuration key, the name of its folder and of its check.
        title: Heading of its section and of its panels.
        question: What it asks, in words.
        stores: Where it keeps the rows of every ECG: folders below the run, or below the study.
        section: Builds its part of the report.
        callback: Class path of the callback that measures it during a test; empty where only ``compare`` does.
        options: Settings that the command line gives that callback where the user gives none.
        tables: Tables of a run (of the study, where only ``compare`` measures it).
        report_tables: Tables of the report that the study's W&B run shows.
        report_figures: Figures of the report that it shows.
        panels: Panels of the dashboard.
        comparisons: Effects of one target's runs that its check decides on.
        study_comparisons: Effects that need several seeds, from what ``compare`` has written.
        mean_map_effects: Score of each method's own maps less that of one map for all patients.
        published: The paper's numbers.
    """

    name: str
    title: str
    question: str
    stores: str
    section: Callable[[StudyRuns, ReportFiles], Section]
    callback: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    tables: tuple[TableSchema, ...] = ()
    report_tables: tuple[str, ...] = ()
    report_figures: tuple[str, ...] = ()
    panels: tuple[Panel, ...] = ()
    comparisons: Callable[[TargetRuns], list[Comparison]] | None = None
    study_comparisons: Callable[[TargetRuns, Path], list[Comparison]] | None = None
    mean_map_effects: Callable[[TargetRuns], dict[str, Effect]] | None = None
    published: tuple[Published, ...] = ()
