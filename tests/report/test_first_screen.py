"""The first screen: its three ECGs are chosen by a rule, and what it says is so."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from random_study import write_random_study
from verdict_rows import random_verdicts

from ecg_lightning.ecg import MEDIAN_BEAT
from ecg_lightning.plotting.ecg_paper import sheet_width
from ecg_lightning.plotting.page_blocks import Gallery, ReportFiles, TableBlock
from ecg_lightning.plotting.paper import STANDARD_SCALE
from ecg_lightning.report import judged_runs as runs_module
from ecg_lightning.report.example_pictures import shown_method
from ecg_lightning.report.first_screen import first_screen_section
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.page import render
from ecg_lightning.report.typical_ecgs import evidence_cache, evidence_of, typical_ecgs
from ecg_lightning.statistics.interval_settings import IntervalSettings

METHODS = ("saliency", "deeplift")
TARGET = "low_qrs_voltage"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    folder = write_random_study(tmp_path / "random", (TARGET,), (0, 1), METHODS, 40)
    metrics = {name: {"value": 0.9} for name in ("auroc", "threshold")}
    counts = dict.fromkeys(("n_ecgs", "n_patients", "n_positive", "n_label_missing"), 0)
    for run in folder.glob("*/seed*"):
        (run / "metrics.json").write_text(json.dumps(metrics | counts | {"threshold": {"value": 0.5}}))
    np.save(folder / "test_beats.npy", np.random.default_rng(0).normal(0, 0.2, (40, 8, 600)).astype(np.float32))
    return folder


def opened(study: Path) -> JudgedRuns:
    return JudgedRuns.open(study, IntervalSettings(n_resamples=20))


def test_each_outcome_is_shown_by_its_median(study: Path) -> None:
    run = next(iter(opened(study)))
    logit, label = run.logits.to_numpy(), run.examples["label"].to_numpy()
    for outcome, label_of, positive in (
        ("true positive", 1, True), ("false positive", 0, True), ("false negative", 1, False),
    ):  # fmt: skip
        ranked = np.sort(logit[(label == label_of) & ((logit >= 0) == positive)])
        found = typical_ecgs(run)[outcome]
        if not len(ranked):
            assert found is None
            continue
        assert logit[found.row] == ranked[(len(ranked) - 1) // 2]
        assert found.n_like_it == len(ranked)
        assert found.ecg_id == run.examples["ecg_id"][found.row]


def test_the_screen_says_what_was_studied_and_answers(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "verdicts_of", lambda *_: random_verdicts(5, METHODS, targets=[TARGET], n_seeds=2))
    source = {"class_path": "ecg_lightning.data.sources.Synthetic"}
    for run in study.glob("*/seed*"):
        (run / "fit.yaml").write_text(yaml.safe_dump({"data": {"source": source}}))
    runs = opened(study)
    section = first_screen_section(runs, ReportFiles(runs.study))
    page = re.sub(r"\s+", " ", render(runs, [section]))
    patients = next(iter(runs)).examples.query("label == 1")["patient_id"].nunique()
    assert "simulated: no patient stands behind them" in page
    assert "Test: 40 ECGs of 8 patients" in page
    assert f"<span>{patients}</span>" in page
    assert "2 networks a diagnosis, AUROC 0.90. The verdicts hold for these 2 networks." in page
    (gallery,) = [block for block in section.blocks if isinstance(block, Gallery)]
    assert all(ecg is not None or f"no {outcome}" in gallery.caption
               for outcome, ecg in typical_ecgs(next(iter(runs))).items())  # fmt: skip
    assert "not at hand, so their evidence is not drawn" in gallery.caption
    tables = [block for block in section.blocks if isinstance(block, TableBlock)]
    assert all(len(table.head) <= 3 or table.stack for table in tables)  # no column is cut on a phone


def test_the_map_shown_is_one_that_explains_if_any_does(study: Path) -> None:
    runs = opened(study)
    keys = {"target": TARGET, "control": False, "check": "perturbation"}
    claims = ("uses_the_network", "is_about_this_patient")
    rows = [
        keys | {"method": method, "claim": claim, "state": state}
        for method, state in (("saliency", "fails"), ("deeplift", "passes"))
        for claim in claims
    ]
    run = next(iter(runs))
    method, why = shown_method(pd.DataFrame(rows), run, runs.methods)
    assert method == "deeplift"
    assert "count as an explanation here" in why
    method, why = shown_method(pd.DataFrame(rows[:2]), run, runs.methods)
    assert method == "saliency"
    assert "no method's maps count" in why


def test_a_study_without_beats_or_metrics_says_so(study: Path) -> None:
    (study / "test_beats.npy").unlink()
    assert "keeps no ECGs" in screen_text(study)
    for path in study.glob("*/seed*/metrics.json"):
        path.unlink()
    assert "No run has metrics and maps" in screen_text(study)


def screen_text(study: Path) -> str:
    runs = opened(study)
    return render(runs, [first_screen_section(runs, ReportFiles(runs.study))])


def test_evidence_comes_from_the_cache_of_these_beats_only(micro_study: Path, tmp_path: Path) -> None:
    """The cache where the run's settings say; not one whose beats differ."""
    runs = opened(micro_study)
    run = next(iter(runs))
    cache = evidence_cache(run)
    assert cache is not None
    positive = run.examples[run.examples["label"] == 1]["ecg_id"].iloc[0]
    assert evidence_of(cache, run, positive).any()
    assert evidence_of(None, run, positive) is None
    other = tmp_path / "micro"
    shutil.copytree(micro_study, other)
    beats = np.load(other / "test_beats.npy")
    np.save(other / "test_beats.npy", beats + 0.1)
    assert evidence_cache(next(iter(opened(other)))) is None


def test_two_columns_fit_a_phone() -> None:
    assert sheet_width(STANDARD_SCALE, MEDIAN_BEAT, 2) < 85 < sheet_width(STANDARD_SCALE, MEDIAN_BEAT)
