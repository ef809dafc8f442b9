"""Targets of one's own in the words and tables of a report."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_lightning.data import targets
from ecg_lightning.data.targets import PAPER_TARGETS, TargetInfo, info_of, meet
from ecg_lightning.plotting.class_words import class_in_text, class_name, class_short, class_title
from ecg_lightning.report.population import population_table
from ecg_lightning.runs.finished import TARGET_INFO, target_info_of
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.sealing import seal_fit, seal_test
from ecg_lightning.runs.study_folder import StudyFolder

POTASSIUM = TargetInfo("potassium", "Serum potassium", "K", "regression", "mmol/l", 1.0, 10.0)


def test_the_population_s_table_shows_the_study_s_own_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_met", dict(PAPER_TARGETS))  # whatever other tests of this process have met
    meet(POTASSIUM)
    population = pd.DataFrame(
        {
            "ecg_id": list("abcd"),
            "patient_id": list("abcd"),
            "split": ["train", "train", "test", "test"],
            "age": [50.0, 52.0, 60.0, np.nan],
            "sex": "female",
            "sinus_rhythm": pd.array([1, 0, None, 1], dtype="Int8"),
            "STTC": pd.array([1, 1, 0, None], dtype="Int8"),
            "MI": pd.array([1, 1, 1, 1], dtype="Int8"),
            "potassium": [4.0, 5.0, np.nan, np.nan],
            "age_label": [50.0, 52.0, 60.0, np.nan],
        }
    )
    own = ["STTC", "potassium", "age", "of_an_older_study"]
    table = population_table(population, own).set_index("characteristic")
    assert list(table.index[5:]) == [
        *("Sinus rhythm, n (%)", "STTC, n (%)", "Age, n (%)", "Serum potassium (mmol/l), mean (SD)"),
    ]
    assert table.loc["STTC, n (%)"].tolist() == ["2 (100.0)", "0 (0.0)"]
    assert table.loc["Serum potassium (mmol/l), mean (SD)"].tolist() == ["4.5 (0.7)", "unknown"]


def test_a_run_keeps_what_its_target_says_of_itself(tmp_path: Path) -> None:
    paths = RunPaths.of(str(tmp_path), "study", "potassium_2", 0)
    paths.path.mkdir(parents=True)
    info = TargetInfo("potassium_2", "Serum potassium", kind="regression", unit="mmol/l")
    assert target_info_of(paths) == TargetInfo("potassium_2")  # of an earlier version, or not finished
    seal_fit(paths, {TARGET_INFO: info.as_dict()})
    seal_test(paths, {"n_ecgs": 1})
    assert target_info_of(paths) == info
    assert info_of("potassium_2") is None
    meet(info)
    assert class_title("potassium_2") == class_name("potassium_2") == class_short("potassium_2") == "Serum potassium"
    assert class_in_text("potassium_2") == "serum potassium"


def test_a_target_of_one_s_own_does_not_rename_the_paper_s() -> None:
    meet(TargetInfo("sinus_rhythm", "Something else"))
    assert class_name("sinus_rhythm") == "Sinus rhythm"
    assert class_in_text("LBBB_or_RBBB") == "LBBB or RBBB"


def test_a_study_lists_the_paper_s_targets_first_and_no_other_folder(tmp_path: Path) -> None:
    for name in ("STTC", "atrial_fibrillation", "MI", "sinus_rhythm", "comparison", "tables", "a.b", ".snakemake"):
        (tmp_path / "study" / name / "seed0").mkdir(parents=True)
    (tmp_path / "study/logs").mkdir()
    (tmp_path / "study/notes").mkdir()
    assert list(StudyFolder(tmp_path / "study").runs()) == ["sinus_rhythm", "atrial_fibrillation", "MI", "STTC"]
