"""The independent recomputation agrees with a study that was really made, and notices where one does not."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from micro_study import TARGET

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = BENCHMARKS / "recompute.py"


def recompute(study: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, study, "--ecgs", "1"], capture_output=True, text=True, check=False)


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


def test_every_deterministic_column_of_a_study_is_what_the_stores_say(micro_study: Path) -> None:
    found = recompute(micro_study)
    assert found.returncode == 0, found.stdout + found.stderr
    for table in ("metrics.json", "similarity", "localization", "perturbation", "cascade", "verdicts"):
        assert f" {table} " in found.stdout
    assert "self_consistency" in found.stdout
    assert "left out (percentiles of resampled patients or seeds): low, high" in found.stdout
    made = pd.read_parquet(micro_study / TARGET / "seed0/tables/verdicts.parquet")
    assert made["p_pass"].notna().any()  # tests were made, and recomputed


def test_a_single_other_number_is_found_and_a_column_or_table_that_nobody_recomputes_is_no_silence(study: Path) -> None:
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
    found = recompute(study)
    assert found.returncode == 1
    for wrong in (
        *("p_fail_holm: 1 of", "patient_mean: 1 of", "n_patients_with: 1 of"),
        *("column luck is not recomputed", "no recipe recomputes this table"),
    ):
        assert f"WRONG {wrong}" in found.stdout
    assert found.stdout.count("WRONG") == 5
