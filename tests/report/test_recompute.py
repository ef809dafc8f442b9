"""The independent recomputation agrees with a study that was really made, and notices where one does not."""

import ast
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from micro_study import TARGET

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from recompute import main

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "recompute.py"
Recompute = Callable[[Path], tuple[int, str]]


@pytest.fixture
def recompute(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Recompute:
    """The script's status and what it prints; in this process, which has imported most of what it needs."""

    def run(study: Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(study), "--ecgs", "1"])
        return main(), capsys.readouterr().out

    return run


@pytest.fixture
def study(micro_study: Path, tmp_path: Path) -> Path:
    """One of the test's own, its files those of the micro-study until they are replaced."""
    shutil.copytree(micro_study, tmp_path / "micro", copy_function=os.symlink)
    return tmp_path / "micro"


def test_it_imports_nothing_of_the_project() -> None:
    for path in (SCRIPT, *(BENCHMARKS / "recomputed").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"ecg_lightning", "callbacks"}, path


def test_every_deterministic_column_of_a_study_is_what_the_stores_say(micro_study: Path, recompute: Recompute) -> None:
    status, told = recompute(micro_study)
    assert status == 0, told
    for table in ("metrics.json", "similarity", "localization", "perturbation", "cascade", "verdicts"):
        assert f" {table} " in told
    assert "self_consistency" in told
    assert "left out (percentiles of resampled patients or seeds): low, high" in told
    made = pd.read_parquet(micro_study / TARGET / "seed0/tables/verdicts.parquet")
    assert made["p_pass"].notna().any()  # tests were made, and recomputed


def test_a_single_other_number_is_found_and_a_column_or_table_that_nobody_recomputes_is_no_silence(
    study: Path, recompute: Recompute
) -> None:
    tables = study / TARGET / "seed1/tables"
    for name, column, change in (
        ("verdicts", "p_fail_holm", 2e-6),
        ("localization", "patient_mean", -2e-6),
        ("perturbation", "n_patients_with", 1),
    ):
        frame = pd.read_parquet(tables / f"{name}.parquet")
        (tables / f"{name}.parquet").unlink()
        frame.loc[frame[column].first_valid_index(), column] += change
        frame.to_parquet(tables / f"{name}.parquet")
    maps = pd.read_parquet(tables / "maps.parquet")
    (tables / "maps.parquet").unlink()
    maps.assign(luck=1.0).to_parquet(tables / "maps.parquet")
    maps.to_parquet(tables / "more.parquet")
    status, told = recompute(study)
    assert status == 1
    for wrong in (
        *("p_fail_holm: 1 of", "patient_mean: 1 of", "n_patients_with: 1 of"),
        *("column luck is not recomputed", "no recipe recomputes this table"),
    ):
        assert f"WRONG {wrong}" in told
    assert told.count("WRONG") == 5
