"""Clusters: the script of one network on several GPUs, and studies whose jobs Slurm runs (here a stand-in for it)."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from parsing import real_parser

import ecg_lightning.study.executors
from ecg_lightning.data.worker_count import worker_count
from ecg_lightning.report.commands import run
from ecg_lightning.shipped import find_config
from ecg_lightning.study.executors import StudyError, check_executor, with_room

SCRIPT: Final = find_config("configs/fit.yaml").parent / "slurm/fit_ddp.sbatch"
CORES: Final = ["--cores", str(worker_count(None))]


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def test_the_script_is_sound_bash() -> None:
    done = subprocess.run(["bash", "-n", str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_its_steps_are_command_lines_that_parse(tmp_path: Path) -> None:
    """It is run with an `srun` that writes down what it was to start."""
    called = tmp_path / "called.jsonl"
    record = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['OMP_NUM_THREADS']]))"
    executable(tmp_path / "bin/srun", f'#!/bin/bash\n{sys.executable} -c {shlex.quote(record)} "$@" >> {called}\n')
    (tmp_path / "venv/bin").mkdir(parents=True)
    (tmp_path / "venv/bin/activate").write_text("")
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "VENV": str(tmp_path / "venv"),
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_NTASKS_PER_NODE": "8",
        "SLURM_CPUS_PER_TASK": "3",
    }
    subprocess.run(["bash", str(SCRIPT), "sinus_rhythm", "7"], env=environment, check=True, cwd=SCRIPT.parents[2])
    (prepare, threads), (fit, _) = map(json.loads, called.read_text().splitlines())
    assert threads == "3"
    assert prepare[:2] == ["--nodes=1", "--ntasks=1"]  # the beats are made once
    parse = real_parser()
    for step, stage in ((prepare, "prepare"), (fit, "fit")):
        start = step.index("python")
        assert step[start : start + 4] == ["python", "-m", "ecg_lightning.cli", stage]
        arguments = [str(find_config(one)) if one.startswith("configs/") else one for one in step[start + 3 :]]
        config = parse(arguments)
        assert config.data.source.class_path.endswith("PtbXl")
    trainer = config.trainer
    assert (trainer.devices, trainer.num_nodes, trainer.strategy, trainer.accelerator) == ("8", 2, "ddp", "gpu")
    assert (config.target, config.seed_everything) == ("sinus_rhythm", 7)


@pytest.mark.parametrize("options", [["--executor", "slurm"], ["--executor=slurm"], ["-e", "slurm", "-n"]])
def test_without_the_plugin_the_message_says_how_to_install_it(
    options: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ecg_lightning.study.executors, "find_spec", lambda _name: None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"study: --executor slurm needs .*pip install 'ecg-lightning\[slurm\]'"):
        run("study", ["--config", "configs/studies/quickstart.yaml", *options])
    assert not list(tmp_path.iterdir())


def test_other_executors_are_named_by_their_package() -> None:
    with pytest.raises(StudyError, match="pip install snakemake-executor-plugin-no-such-cluster"):
        check_executor(["--executor", "no-such-cluster"])
    for built_in in ([], ["--executor", "local"], ["-e", "dryrun"], ["--cores", "3"]):
        check_executor(built_in)


@pytest.mark.parametrize(
    ("given", "added"),
    [
        ([], CORES),
        (["--dry-run"], CORES),
        (["--cores", "3"], []),
        (["--cores=3"], []),
        (["-c3"], []),
        (["-j", "4"], []),
        (["--executor", "slurm"], ["--jobs", "unlimited"]),
        (["--executor", "slurm", "--cores", "3"], ["--jobs", "unlimited"]),
        (["--executor=slurm", "--jobs", "20"], []),
    ],
)
def test_jobs_side_by_side(given: list[str], added: list[str]) -> None:
    assert with_room(given) == [*given, *added]
