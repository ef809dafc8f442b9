"""This module makes the study's dashboard on W&B: a workspace for its runs, and a report in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from ecg_lightning.data.targets import known_info
from ecg_lightning.experiments.experiment import Panel
from ecg_lightning.experiments.registry import EXPERIMENTS
from ecg_lightning.plotting.class_words import class_name, kind_word
from ecg_lightning.plotting.page_blocks import TableBlock
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.published import CITATION
from ecg_lightning.report.scorecard import LEGEND
from ecg_lightning.report.scorecard_table import summary_table
from ecg_lightning.report.scorecard_words import headline
from ecg_lightning.report.summary_run import FIGURES, log_summary
from ecg_lightning.runs.layout import REPORT
from ecg_lightning.runs.study_runs import records
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.atomic import write_json_atomic

NEEDS: Final = "pip install 'ecg-lightning[publish]'"
_DEFAULT_PROJECT: Final = "ecg_lightning"

_PANELS: Final = {
    "Training": (
        Panel("lines", "Loss", ("train/loss_epoch", "val/loss"), "epoch"),
        Panel("lines", "AUROC on the validation set", ("val/auroc",), "epoch"),
    ),
    "Test": (
        Panel("bars", "Test auroc", ("test/auroc",)),
        Panel("bars", "Test auprc", ("test/auprc",)),
        Panel("bars", "Reliability of the maps", ("reliability/{method}",), controls=False),
    ),
}

_OF_MEASUREMENTS: Final = (
    Panel("lines", "R2 on the validation set", ("val/r2",), "epoch"),
    Panel("bars", "Test R2", ("test/r2",)),
    Panel("lines", "R2, most relevant first", ("perturbation/morf/r2/{method}",), "perturbation/fraction"),
    Panel("lines", "R2 of the random network", ("cascade/from_output/network_r2",), "cascade/depth"),
)


class PublishError(RuntimeError):
    """The dashboard can't be made; the message says what to do."""


@dataclass(frozen=True)
class Published:
    """A publication says what was published, and where.

    Attributes:
        run: Page or offline folder of the summary run.
        workspace: Address, or the JSON file that holds it.
        report: Address, or the JSON file that holds it.
    """

    run: str | None
    workspace: str
    report: str


def publish(folder: str | Path, project: str | None = None, entity: str | None = None) -> Published:
    """Log the summary run of a study, and save its workspace and report.

    Without a key for W&B everything stays in the study's folder: the run as an offline run for ``wandb sync``,
    workspace and report as JSON.

    Args:
        folder: ``runs/<study>``, with its report.
        project: W&B project; None: that of the study's runs.
        entity: Team or user; None: that of the key.

    Raises:
        PublishError: ``wandb-workspaces`` is not installed, or the study has no report yet.
        FileNotFoundError: There is no such folder.
        ValueError: No run in it is finished.
    """
    if find_spec("wandb_workspaces") is None:
        raise PublishError(f"a dashboard needs wandb-workspaces, which is not installed: {NEEDS}")
    runs = JudgedRuns.open(folder, IntervalSettings())
    if not (runs.study.path / REPORT).is_file():
        raise PublishError(
            f"{runs.study.path} has no {REPORT} yet: python -m ecg_lightning.cli report {runs.study.path}"
        )
    if runs.study_table("verdicts").empty:
        raise PublishError(
            f"{runs.study.path} has a report of an earlier version, without verdicts; write it again: python -m "
            f"ecg_lightning.cli report {runs.study.path}"
        )
    project = project or _project(runs)
    address = log_summary(runs, project, entity)
    online = address is not None and address.startswith("http")
    entity = entity or (_entity(address) if online and address else "")
    done = Published(
        address,
        _saved(runs, "workspace", workspace(runs, project, entity), online),
        _saved(runs, "report", dashboard_report(runs, project, entity, online), online),
    )
    write_json_atomic(
        runs.study.path / "publish.done.json", {"run": done.run, "workspace": done.workspace, "report": done.report}
    )
    return done


def workspace(runs: JudgedRuns, project: str, entity: str) -> Any:
    """Make a workspace of the study, training, test and each experiment, with curves on their own axes."""
    import wandb_workspaces.workspaces as ws

    measurements = any(known_info(target).kind == "regression" for target in runs.targets)
    sections = [
        _section(
            "Study", [Panel("pictures", "Figures of the study", tuple(f"study/{name}" for name in FIGURES))], runs
        ),
        *(_section(name, panels, runs, is_open=False) for name, panels in _PANELS.items()),
        *([_section("Measurements", _OF_MEASUREMENTS, runs, is_open=False)] if measurements else []),
        *(
            _section(experiment.title, experiment.panels, runs, is_open=not experiment.callback)
            for experiment in EXPERIMENTS
            if experiment.panels
        ),
    ]
    return ws.Workspace(name=f"{runs.study.name}: can these heat maps be trusted?", entity=entity, project=project,
                        sections=sections)  # fmt: skip


def _section(name: str, panels: Sequence[Panel], runs: JudgedRuns, *, is_open: bool = True) -> Any:
    import wandb_workspaces.workspaces as ws

    return ws.Section(name=name, panels=[_panel(panel, runs) for panel in panels], is_open=is_open)


def _panel(panel: Panel, runs: JudgedRuns) -> Any:
    """A panel with one metric for each method."""
    import wandb_workspaces.reports.v2 as wr

    methods = _names(runs) if panel.controls else runs.methods
    metrics = [
        metric.format(method=method)
        for metric in panel.metrics
        for method in (methods if "{method}" in metric else methods[:1])
    ]
    if panel.kind == "pictures":
        return wr.MediaBrowser(media_keys=metrics, title=panel.title)
    if panel.kind == "bars":
        return wr.BarPlot(metrics=metrics, title=panel.title)
    return wr.LinePlot(x=panel.step, y=metrics, title=panel.title)


def dashboard_report(runs: JudgedRuns, project: str, entity: str, online: bool) -> Any:
    """Make a report of the scorecard, the paper's numbers beside one's own, and, online, the curves of the runs."""
    import wandb_workspaces.reports.v2 as wr

    verdicts = runs.study_table("verdicts")
    paper = runs.study_table("published_vs_this_study")
    blocks: list[Any] = [
        wr.H1("Can these heat maps be trusted?"),
        wr.P(headline(verdicts)),
        wr.MarkdownBlock(markdown_table(summary_table(verdicts, "", []))),
        wr.P(f"In how many {kind_word(runs.targets)} each check is decided, and how. {LEGEND}"),
        wr.H2("Published vs this study"),
        wr.MarkdownBlock(
            markdown_table(
                TableBlock(
                    head=("Quantity", "Published", "This study"),
                    rows=[[row["quantity"], row["published"], row["this_study"]] for row in records(paper)],
                    caption="",
                    label="",
                )
            )
        ),
        wr.P(f"{kind_word(runs.targets).capitalize()}: {', '.join(map(class_name, runs.targets))}. {CITATION}"),
    ]
    if online:  # a run set asks the server for its project
        runset = wr.Runset(entity=entity, project=project, name=runs.study.name)
        panels = [wr.MediaBrowser(media_keys=[f"study/{name}" for name in FIGURES])]
        blocks.insert(2, wr.PanelGrid(runsets=[runset], panels=panels))
    return wr.Report(
        entity=entity,
        project=project,
        title=f"{runs.study.name}: can these heat maps be trusted?",
        description=f"{len(runs)} networks, {len(runs.methods)} attribution methods",
        blocks=blocks,
        width="fluid",
    )


def markdown_table(table: TableBlock) -> str:
    """Write a table of the report in Markdown."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    rows = [[str(cell) for cell in row] for row in table.cells()]
    return "\n".join([line(table.head), line(["---"] * len(table.head)), *(line(row) for row in rows)])


def _saved(runs: JudgedRuns, name: str, made: Any, online: bool) -> str:
    """Save it on the server, and its JSON beside the study in any case."""
    path = runs.study.path / "wandb" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomic(path, made._to_model().model_dump(mode="json", by_alias=True, exclude_none=True))
    if not online:
        return str(path)
    saved = made.save()
    return str(saved.url)


def _names(runs: JudgedRuns) -> list[str]:
    """Methods and controls that the audits measured."""
    verdicts = runs.study_table("verdicts")
    return list(dict.fromkeys(verdicts["method"])) if not verdicts.empty else runs.methods


def _project(runs: JudgedRuns) -> str:
    """Return the project of the runs' own logger."""
    run = next(iter(runs))
    if not run.paths.config("test").is_file():
        return _DEFAULT_PROJECT
    logger = (run.config("test").get("trainer") or {}).get("logger")
    settings = (logger or {}).get("init_args") if isinstance(logger, dict) else None
    return str((settings or {}).get("project") or _DEFAULT_PROJECT)


def _entity(url: str) -> str:
    """Return the entity of ``https://server/entity/project/runs/id``."""
    return url.split("//", 1)[-1].split("/")[1]
