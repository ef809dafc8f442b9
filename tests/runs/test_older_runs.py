"""A study of the version before experiments had rooms of their own opens, is compared and reported as before.

``tests/older/study_before_experiments.tar.xz`` was written by that version: two small networks on three simulated ECGs,
every audit; without pictures and checkpoints.
"""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_lightning import open_run
from ecg_lightning.cli import main
from ecg_lightning.experiments.randomization.schemas import CASCADE
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.runs.study_runs import StudyRuns
from ecg_lightning.statistics.interval_settings import IntervalSettings

ARCHIVE = Path(__file__).parents[1] / "older/study_before_experiments.tar.xz"
TARGET = "first_degree_av_block"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "old"


def test_its_runs_open_with_every_store_and_table(study: Path) -> None:
    run = open_run(study / TARGET / "seed0")
    assert len(run.examples) == 3
    for store in ("maps/saliency", "similarity/pearson", "cascade/from_output/pearson", "scores/infidelity",
                  "localization/auroc", "cascade/random_networks/reset_recalibrated/partial"):  # fmt: skip
        assert len(run.store(store)) == 3, store
    verdicts = pd.read_parquet(run.path / "tables/verdicts.parquet")
    assert set(verdicts["check"]) == {"localization", "perturbation", "faithfulness", "randomization"}


def test_it_is_compared_again_with_the_same_numbers(study: Path) -> None:
    before = pd.read_parquet(study / "tables/self_consistency.parquet")
    shutil.rmtree(study / "comparison")
    shutil.rmtree(study / "tables")
    (study / "compare.done.json").unlink()
    main(["compare", str(study), "--processes", "1"])
    after = pd.read_parquet(study / "tables/self_consistency.parquet")
    pd.testing.assert_frame_equal(after, before, rtol=1e-12, check_like=True)


def test_it_is_reported_with_every_section(study: Path) -> None:
    before = pd.read_parquet(study / TARGET / "seed0/tables/scores.parquet")
    main(["report", str(study), "--n_resamples", "100"])
    page = (study / "report.html").read_text(encoding="utf-8")
    for title in ("Experiment 1", "Experiment 2", "Experiment 3", "Experiment 4", "Localisation of known evidence",
                  "Faithfulness and other scores"):  # fmt: skip
        assert title in page
    assert "No run has measured it" not in page
    shown = pd.read_parquet(study / "tables/scores_all.parquet")
    own = shown[shown["seed"] == 0].drop(columns=["target", "seed"]).reset_index(drop=True)
    np.testing.assert_array_equal(own["value"], before["value"])


def test_a_table_without_a_column_is_named_with_the_remedy(study: Path) -> None:
    path = study / TARGET / "seed0/tables/cascade.parquet"
    pd.read_parquet(path).drop(columns="similarity").to_parquet(path)
    runs = StudyRuns(StudyFolder(study), {TARGET: {0: open_run(path.parents[1])}}, [], IntervalSettings())
    with pytest.raises(ValueError, match=r"cascade\.parquet: it lacks the column similarity; give `test` again"):
        runs.tables(CASCADE)
