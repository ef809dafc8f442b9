"""Clusters: the script of one network on several GPUs, and what a study asks Slurm (here stand-ins of its commands).

On a real Slurm: tests/slurm.
"""

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
from ecg_lightning.data.worker_pool import worker_count
from ecg_lightning.report.commands import run
from ecg_lightning.shipped import find_config
from ecg_lightning.study.executors import StudyError, check_executor, with_room
from ecg_lightning.study.settings import StudySettings, load_study
from ecg_lightning.study.slurm import check_partition, in_words, who_waits, with_status_command

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


ON_SLURM: Final = ["--executor", "slurm"]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm's commands as stand-ins: two partitions, one of them of unequal nodes; nothing is accounted."""
    answers = {
        "sinfo": "echo 'small*|up|4'; echo 'large|up|16'; echo 'large|up|64'; echo 'closed|down|8'",
        "sacct": "echo 'Slurm accounting storage is disabled' >&2; exit 1",
        "scontrol": "echo 'MinJobAge               = 300 sec'",
        "squeue": "true",
    }
    for name, answer in answers.items():
        executable(tmp_path / "bin" / name, f"#!/bin/bash\n{answer}\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "bin"


def settings(**changes: object) -> StudySettings:
    return load_study("configs/studies/quickstart.yaml", **changes)


@pytest.mark.parametrize(
    ("options", "changes", "threads"),
    [
        ([], {}, None),
        (ON_SLURM, {}, 1),
        (ON_SLURM, {"threads": 3}, 3),
        (ON_SLURM, {"prepare_threads": 8}, 4),  # no more than the node has
        ([*ON_SLURM, "--default-resources", "runtime=60", "slurm_partition=large"], {"prepare_threads": 48}, 48),
        ([*ON_SLURM, "--default-resources=slurm_partition=large"], {"prepare_threads": 80}, 64),
        ([*ON_SLURM, "--workflow-profile", "mine"], {"prepare_threads": 8}, 8),  # may name any partition
        (["--executor", "drmaa"], {"prepare_threads": 8}, 8),
    ],
)
def test_prepare_asks_for_what_was_said_and_a_node_has(
    commands: Path, options: list[str], changes: dict[str, object], threads: int | None
) -> None:
    assert check_partition(settings(**changes), options) == threads


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ([], {"threads": 5}, "threads: 5: no node of the partition small has more than 4 CPUs.*another partition"),
        (["--default-resources", "slurm_partition=gpu"], {}, "slurm_partition=gpu: .*there are small, large, closed"),
    ],
)
def test_what_can_never_run_is_refused(
    commands: Path, options: list[str], changes: dict[str, object], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        check_partition(settings(**changes), [*ON_SLURM, *options])


def test_a_closed_partition_is_said(commands: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_partition(settings(), [*ON_SLURM, "--default-resources", "slurm_partition=closed"])
    assert "the partition closed is closed: jobs wait there until it is opened" in capsys.readouterr().out


def test_the_status_command_is_one_that_answers(commands: Path) -> None:
    assert with_status_command(ON_SLURM) == [*ON_SLURM, "--slurm-status-command", "squeue"]
    given = [*ON_SLURM, "--slurm-status-command=sacct"]
    assert with_status_command(given) == given
    assert with_status_command([]) == []
    # the plugin falls back to sacct where ended jobs are forgotten before it has looked three times
    executable(commands / "scontrol", "#!/bin/bash\necho 'MinJobAge               = 60 sec'\n")
    sooner = ["--slurm-init-seconds-before-status-checks", "20"]
    assert with_status_command(ON_SLURM) == [*ON_SLURM, "--slurm-status-command", "squeue", *sooner]
    executable(commands / "sacct", "#!/bin/bash\ntrue\n")
    assert with_status_command(ON_SLURM) == ON_SLURM


def test_reasons_of_waiting(commands: Path, tmp_path: Path) -> None:
    assert in_words([]) is None
    assert in_words(["Priority", "Resources", "Resources"]) == "3 waiting (Resources; Priority)"
    never = "1 waiting (PartitionConfig: no node of the partition has what the job asks for)"
    assert in_words(["PartitionConfig"]) == never
    log = tmp_path / "snakemake.log"
    assert who_waits(log) is None
    executable(commands / "squeue", '#!/bin/bash\n[[ "$*" == *--name=run-7* ]] && echo "(PartitionConfig)"\n')
    log.write_text("Building DAG of jobs...\nSLURM run ID: run-7\nJob stats:\n")
    assert who_waits(log) == never
