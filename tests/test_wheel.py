"""The wheel holds all that is needed: outside the checkout it trains and tests on the shipped configurations."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from few_keys import without_others

from ecg_lightning import open_run

REPOSITORY = Path(__file__).parents[1]
TARGET = "first_degree_av_block"
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "ecg_lightning", "callbacks", "configs")
FEW_MAPS = "maps: { methods: [saliency, gradient_x_input] }\n" + without_others("maps", "test_record")
TEST_AND_SAY_WHERE = """
import sys
import callbacks, ecg_lightning
from ecg_lightning.cli import main
print(ecg_lightning.__file__, callbacks.__file__, sep="\\n")
arguments, sys.argv = sys.argv[1:], ["ecg_lightning"]
main(arguments)
"""


def pip(*arguments: str | Path) -> None:
    """Without the network: what the build needs is among the development packages."""
    command = [sys.executable, "-m", "pip", *map(str, arguments), "--no-deps", "--quiet", "--no-index"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: what an earlier build has left beside the sources would go into the wheel."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in NEEDED:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / name)
    pip("wheel", source, "--wheel-dir", folder, "--no-build-isolation")
    (built,) = folder.glob("ecg_lightning-*.whl")
    return built


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(REPOSITORY).as_posix()
        for package in ("ecg_lightning", "callbacks")
        for path in (REPOSITORY / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected |= {
        f"ecg_lightning/{path.relative_to(REPOSITORY).as_posix()}"
        for path in (REPOSITORY / "configs").rglob("*")
        if path.is_file()
    }
    assert {"ecg_lightning/configs/studies/paper.yaml", "ecg_lightning/study/Snakefile"} <= expected
    assert sorted(expected - inside) == []
    assert not any(name.startswith(("tests/", "benchmarks/", "configs/")) for name in inside)


def test_an_installed_wheel_trains_and_tests_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    installed, work = tmp_path / "installed", tmp_path / "work"
    pip("install", wheel, "--target", installed)
    work.mkdir()
    (work / "few_maps.yaml").write_text(FEW_MAPS)
    inherited = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    environment = {**inherited, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def python(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    data = ["--config", "configs/data/synthetic.yaml", "--data.source.init_args.n_patients", "60"]
    data += ["--data.split_seed", "2", "--data.n_backgrounds", "4", "--data.processes", "1"]
    run = ["--target", TARGET, "--seed_everything", "0", "--study", "wheel", "--trainer.accelerator", "cpu"]
    run += ["--trainer.enable_progress_bar", "false"]
    cli = ("-m", "ecg_lightning.cli")
    small = ("--config", "configs/model/small.yaml", "--trainer.max_epochs", "1")
    python(*cli, "fit", "--config", "configs/fit.yaml", *data, *small, *run)
    test = ("test", "--config", "configs/test.yaml", *data, "--config", "few_maps.yaml", *run)
    said = python("-c", TEST_AND_SAY_WHERE, *test).splitlines()
    assert all(Path(line).is_relative_to(installed) for line in said[:2])
    tested = open_run(work / "runs/wheel" / TARGET / "seed0")
    assert 0.0 <= tested.metrics["auroc"]["value"] <= 1.0
    assert set(tested.maps) == {"saliency", "gradient_x_input"}
    assert np.isfinite(tested.maps["saliency"].to_numpy()).all()
