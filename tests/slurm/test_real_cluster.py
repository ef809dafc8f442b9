"""On a real Slurm: a study to its report with a job cancelled on the way, and two ranks that `srun` starts.

Takes minutes and needs root, so that `make test` leaves it out: `make slurm-test`.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest
import yaml
from cluster import CPUS, DOWN, PARTITION, Cluster

pytestmark = pytest.mark.slurm

TARGET: Final = "first_degree_av_block"
METHODS: Final = ("saliency", "gradient_x_input")
DATA: Final = {
    "data.source.init_args.n_patients": 160,
    "data.source.init_args.evidence": False,
    "data.split_seed": 1,
    "data.n_backgrounds": 4,
    "data.cache_dir": "cache",
    "trainer.logger": False,
    "trainer.accelerator": "cpu",
    "trainer.enable_progress_bar": False,
}
MAPS: Final = {
    "trainer": {
        "callbacks": [
            {"class_path": "callbacks.AttributionMaps", "init_args": {"methods": list(METHODS)}},
            {"class_path": "callbacks.LogitsAndMetrics"},
        ]
    }
}
TWO_TASKS: Final = ("srun", "--nodes=1", "--ntasks-per-node=2")
TWO_RANKS: Final = ("--trainer.devices", "2", "--trainer.strategy", "ddp")
AS_ONE: Final = 3.6e-7
"""Greatest difference of logits between one process and two."""


class Place:
    """The folder where commands are given."""

    def __init__(self, folder: Path, slurm: Cluster) -> None:
        self.folder, self.slurm = folder, slurm
        (folder / "maps.yaml").write_text(yaml.safe_dump(MAPS))
        self.environment = {**slurm.environment, "OMP_NUM_THREADS": "1"}

    def study(self, **changes: object) -> list[str]:
        """Command of a study of two networks, as far as its report."""
        content = {
            "study": "micro",
            "targets": [TARGET],
            "seeds": [0, 1],
            "fit": {"configs": ["configs/fit.yaml", *CONFIGS], "options": {**DATA, "trainer.max_epochs": 2}},
            "test": {"configs": ["configs/test.yaml", CONFIGS[0], "maps.yaml"], "options": DATA},
            "prepare_threads": 3,
            **changes,
        }
        (self.folder / "study.yaml").write_text(yaml.safe_dump(content))
        slurm = ("--executor", "slurm", "--slurm-init-seconds-before-status-checks", "5", "report")
        return [sys.executable, "-m", "ecg_lightning.cli", "study", "--config", "study.yaml", *slurm]

    def stage(self, stage: str, study: str, *more: str) -> list[str]:
        """A command of one network."""
        configs = [f"configs/{stage}.yaml", CONFIGS[0], CONFIGS[1] if stage == "fit" else "maps.yaml"]
        options = [
            f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in DATA.items()
        ]
        named = [part for config in configs for part in ("--config", config)]
        run = ["--target", TARGET, "--seed_everything", "0", "--study", study]
        return [sys.executable, "-m", "ecg_lightning.cli", stage, *named, *options, *run, *more]

    def start(self, command: list[str], log: str) -> "subprocess.Popen[bytes]":
        with (self.folder / log).open("wb") as output:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )

    def run(self, *command: str) -> str:
        """To its end, which must be a good one."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=200
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def said(self, log: str) -> str:
        return (self.folder / log).read_text()


CONFIGS: Final = ("configs/data/synthetic.yaml", "configs/model/small.yaml")


@pytest.fixture(scope="module")
def place(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("place"), slurm)


@pytest.fixture(scope="module")
def closed(place: Place) -> Iterator["subprocess.Popen[bytes]"]:
    """A study on a partition that starts no job."""
    command = place.study(study="closed")
    process = place.start([*command, "--default-resources", f"slurm_partition={DOWN}"], "closed.log")
    yield process
    if process.poll() is None:
        process.kill()


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes]", said: Callable[[], str]) -> None:
    deadline = time.monotonic() + 150
    while not condition():
        assert process.poll() is None, said()
        assert time.monotonic() < deadline, said()
        time.sleep(0.3)


@pytest.mark.usefixtures("closed")  # which waits meanwhile
def test_two_tasks_fit_and_test_as_one_process_does(place: Place) -> None:
    place.run(*TWO_TASKS, *place.stage("fit", "two", *TWO_RANKS, "--trainer.max_epochs=2", "--data.batch_size=32"))
    runs = {study: place.folder / "runs" / study / TARGET / "seed0" for study in ("one", "two")}
    assert json.loads((runs["two"] / "fit.done.json").read_text())["epochs"] == 2
    said = place.run(*TWO_TASKS, *place.stage("test", "two", *TWO_RANKS))
    assert "distributed_backend=gloo" in said
    assert "2 processes" in said
    place.run(*place.stage("test", "one", "--ckpt_path", str(runs["two"] / "checkpoints/best.ckpt")))
    logits = [np.load(run / "logits/rows.npy") for run in runs.values()]
    assert len(logits[0]) > 10
    print(f"logits: {np.abs(logits[0] - logits[1]).max():.1e}")
    assert np.abs(logits[0] - logits[1]).max() <= AS_ONE
    for name in METHODS:
        one, two = (np.load(run / "maps" / name / "rows.npy") for run in runs.values())
        assert np.abs(one - two).max() <= 1e-5 * np.abs(one).max()


def test_who_waits_is_told_why_and_may_stop(place: Place, closed: "subprocess.Popen[bytes]") -> None:
    def said() -> str:
        return place.said("closed.log")

    wait_for(lambda: "0 running, 1 waiting (PartitionDown: the partition is closed)" in said(), closed, said)
    assert f"the partition {DOWN} is closed: jobs wait there" in said()
    began = time.monotonic()
    closed.send_signal(signal.SIGTERM)
    assert closed.wait(40) == 143
    print(f"the study ended {time.monotonic() - began:.1f} s after SIGTERM")
    assert "stopped by SIGTERM" in said()
    assert place.slurm.jobs() == []  # taken from the queue


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"threads": CPUS + 1}, [], f"threads: {CPUS + 1}: no node of the partition {PARTITION} has more than {CPUS}"),
        ({}, ["--default-resources", "slurm_partition=gpu"], f"slurm_partition=gpu: .* there are {PARTITION}, {DOWN}"),
    ],
)
def test_what_can_never_run_is_refused(
    place: Place, changes: dict[str, object], options: list[str], message: str
) -> None:
    process = place.start([*place.study(study="never", **changes), *options], "never.log")
    assert process.wait(30) == 1
    assert message.split(" .* ")[0] in place.said("never.log")
    assert message.split(" .* ")[-1] in place.said("never.log")
    assert not (place.folder / "runs/never").exists()


def test_a_study_with_a_cancelled_job_comes_to_its_report(place: Place) -> None:
    """The status command is `squeue`, since nothing is accounted: nobody has said so."""
    study = place.folder / "runs/micro"
    process = place.start(place.study(), "study.log")

    def said() -> str:
        return place.said("study.log")

    cancelled = f"rule_fit_wildcards_{TARGET}_0"
    begun = study / TARGET / "seed0/fit.yaml"
    wait_for(begun.exists, process, said)
    (number,) = (number for number, _, comment in place.slurm.jobs() if comment == cancelled)
    place.slurm.ask("scancel", number)
    assert process.wait(200) == 1
    log = study / "logs" / f"fit_{TARGET}_seed0.log"
    assert "is not complete; what failed, with its log:" in said()
    assert f"fit {TARGET} seed0: {log.relative_to(place.folder)}" in said()
    assert f"SLURM-job '{number}' failed, SLURM status is: 'CANCELLED'" in said()
    assert "give the same command again" in said()
    assert "stopped by SIGTERM" in log.read_text()
    assert not (study / TARGET / "seed0/fit.done.json").exists()  # named, and not submitted again
    kept = study / TARGET / "seed1/test.done.json"
    before = kept.stat().st_mtime_ns

    process = place.start(place.study(), "again.log")
    assert process.wait(200) == 0, place.said("again.log")
    assert (study / "report.html").is_file()
    assert kept.stat().st_mtime_ns == before
    assert place.slurm.jobs() == []
