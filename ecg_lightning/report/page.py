"""The page holds every section of the report in one file that needs no other one."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.resources import files as package_files
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined

from ecg_lightning.experiments.registry import EXPERIMENTS
from ecg_lightning.plotting.class_words import class_name, kind_word
from ecg_lightning.plotting.figure_files import FigureFile
from ecg_lightning.plotting.method_style import know_styles
from ecg_lightning.plotting.page_blocks import Gallery, Items, Paragraph, Picture, ReportFiles, Section, TableBlock
from ecg_lightning.report.against_paper import paper_section
from ecg_lightning.report.examples_section import examples_section
from ecg_lightning.report.first_screen import first_screen_section
from ecg_lightning.report.gate_section import gate_section
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.methods_section import methods_section
from ecg_lightning.report.networks import networks_section
from ecg_lightning.report.population import population_section
from ecg_lightning.report.relevance_section import relevance_section
from ecg_lightning.report.scorecard import scorecard_section
from ecg_lightning.report.settings_text import methods_text_section
from ecg_lightning.runs.layout import REPORT
from ecg_lightning.runs.pseudonyms import IdChoice
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.atomic import write_text_atomic
from ecg_lightning.version import __version__

_TEMPLATE: Final = "report.html.j2"

SECTIONS: Final[Sequence[Callable[[JudgedRuns, ReportFiles], Section]]] = (
    first_screen_section,
    scorecard_section,
    population_section,
    networks_section,
    gate_section,
    examples_section,
    *(experiment.section for experiment in EXPERIMENTS),
    relevance_section,
    methods_section,
    paper_section,
    methods_text_section,
)
"""In the order of the page; a later one may read the tables that an earlier one has written."""


def write_report(
    folder: str | Path,
    intervals: IntervalSettings,
    ids: IdChoice = "pseudonyms",
    figure_files: Sequence[FigureFile] = ("png",),
) -> Path:
    """Write ``report.html`` of a study, and its figures and tables.

    Args:
        folder: Folder of the study, ``runs/<study>``.
        intervals: How intervals are made.
        ids: How ECGs are named: ``pseudonyms`` or ``keep``.
        figure_files: Kinds of files of each figure; a PNG is always written, and is what the page shows.

    Returns:
        The file.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: No run in it is finished.
    """
    runs = JudgedRuns.open(folder, intervals, ids)
    know_styles(runs.method_styles)
    for run in runs.unfinished:
        print(f"{run.target}, seed {run.seed} is left out: {run.reason}")
    for damage in runs.damaged.values():
        print(f"left out: {damage}")
    files = ReportFiles(runs.study, figure_files)
    sections = [section for build in SECTIONS if (section := _built(build, runs, files)).blocks]
    path = runs.study.path / REPORT
    write_text_atomic(path, render(runs, sections, figure_files))
    return path


def _built(build: Callable[[JudgedRuns, ReportFiles], Section], runs: JudgedRuns, files: ReportFiles) -> Section:
    section = build(runs, files)
    print(f"report: {section.title}", flush=True)
    return section


def render(runs: JudgedRuns, sections: Sequence[Section], figure_files: Sequence[FigureFile] = ("png",)) -> str:
    """Render the HTML of a report."""
    template = package_files("ecg_lightning.report") / "templates" / _TEMPLATE
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.tests |= {
        "paragraph": lambda block: isinstance(block, Paragraph),
        "items": lambda block: isinstance(block, Items),
        "picture": lambda block: isinstance(block, Picture),
        "table": lambda block: isinstance(block, TableBlock),
        "gallery": lambda block: isinstance(block, Gallery),
    }
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        study=runs.study.name,
        targets=[class_name(target) for target in runs.targets],
        kind_word=kind_word(runs.targets, len(runs.targets)),
        kind_words=kind_word(runs.targets),
        n_networks=len(runs),
        n_seeds=len(runs.seeds),
        n_methods=len(runs.methods),
        n_ecgs=max(len(run.examples) for run in runs),
        sections=sections,
        figure_files=" and ".join(dict.fromkeys(kind.upper() for kind in ("png", *figure_files))),
        unfinished=[(class_name(run.target), run.seed, run.reason) for run in runs.unfinished],
        damaged=[damage.below(runs.study.path) for damage in runs.damaged.values()],
        version=__version__,
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )
