"""The dashboard of a study: what W&B's own reader finds in the offline run, and JSON that names what runs log."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecg_lightning.plotting.page_blocks import TableBlock
from ecg_lightning.report import dashboard
from ecg_lightning.report.commands import run
from ecg_lightning.report.dashboard import markdown_table, publish
from ecg_lightning.report.page import write_report
from ecg_lightning.statistics.interval_settings import IntervalSettings


@pytest.fixture(scope="module")
def published(micro_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = tmp_path_factory.mktemp("published") / "micro"
    shutil.copytree(micro_study, study)
    write_report(study, IntervalSettings(n_resamples=100))
    run("publish", [str(study)])
    return study


def records_of(run_folder: Path) -> Iterator[dict[str, Any]]:
    """What W&B's reader says of an offline run."""
    wandb = Path(sys.executable).with_name("wandb")
    told = subprocess.run(
        [wandb, "leet", "inspect", "--json", run_folder], capture_output=True, text=True, check=True
    ).stdout
    yield from (json.loads(line) for line in told.splitlines())


def summary_of(run_folder: Path) -> dict[str, Any]:
    """Key -> last value that a run has logged."""
    found: dict[str, Any] = {}
    for record in records_of(run_folder):
        for part in ("history", "summary"):
            for values in record.get(part, {}).values():
                found |= values if isinstance(values, dict) else {}
    return found


def test_the_summary_run_holds_tables_figures_and_numbers(published: Path) -> None:
    (folder,) = published.glob("wandb/offline-run-*")
    logged = summary_of(folder)
    tables = ("verdicts", "preconditions", "scorecard", "self_consistency", "published_vs_this_study", "performance")
    for key in (f"study/{name}" for name in tables):
        assert any(name.startswith(key) for name in logged), key
    for key in ("study/similarity/all_pearson_native", "study/cascade/pearson_native", "study/perturbation/auroc"):
        assert any(name.startswith(key) for name in logged), key
    assert -1 <= logged["study/self_consistency/saliency"] <= 1
    assert logged["study/verdicts/saliency/diagnoses_explained"] in (0, 1)
    assert list(folder.glob("files/media/images/**/*.png"))
    assert list(folder.glob("files/media/table/**/*.json"))


def test_the_workspace_shows_what_the_runs_log(published: Path) -> None:
    logged: set[str] = set()
    for folder in published.glob("*/seed0/wandb/offline-run-*"):
        logged |= set(summary_of(folder))
    content = json.loads((published / "wandb" / "workspace.json").read_text())
    panels = [
        panel for section in content["spec"]["section"]["panelBankConfig"]["sections"] for panel in section["panels"]
    ]
    lines = [panel["config"] for panel in panels if panel["viewType"] == "Run History Line Plot"]
    assert {config["xAxis"] for config in lines} == {"epoch", "cascade/depth", "perturbation/fraction"}
    plotted = {metric for config in lines for metric in config["metrics"]}
    assert plotted <= logged, plotted - logged


def test_the_report_says_the_scorecard_in_words(published: Path) -> None:
    content = json.loads((published / "wandb" / "report.json").read_text())
    text = json.dumps(content, ensure_ascii=False)
    assert "Can these heat maps be trusted?" in text
    assert "| Saliency |" in text
    assert "0.52 ± 0.14" in text
    done = json.loads((published / "publish.done.json").read_text())
    assert Path(done["workspace"]) == published / "wandb" / "workspace.json"


def test_markdown_escapes_bars() -> None:
    table = TableBlock(head=("a", "|b|"), rows=[["|ECG|", "1"]], caption="", label="")
    assert markdown_table(table).splitlines() == [r"| a | \|b\| |", "| --- | --- |", r"| \|ECG\| | 1 |"]


def test_a_study_without_report_says_what_to_do(micro_study: Path) -> None:
    with pytest.raises(SystemExit, match=r"publish: .* has no report.html yet: python -m ecg_lightning.cli report"):
        run("publish", [str(micro_study)])


def test_a_missing_extra_names_the_pip_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dashboard, "find_spec", lambda name: None)
    with pytest.raises(dashboard.PublishError, match=r"pip install 'ecg-lightning\[publish\]'"):
        publish(tmp_path)
