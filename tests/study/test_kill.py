"""A study that is killed again and again ends as one that nobody disturbed, and repeats nothing that was done."""

import base64
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pytest
import yaml

from ecg_lightning.study.job import EVENTS, environment
from ecg_lightning.study.jobs import LOGS

pytest.importorskip("snakemake", reason="pip install 'ecg-lightning[study]'")

SEED: Final = int(os.environ.get("ECG_LIGHTNING_KILL_SEED", "20"))
TARGET: Final = "first_degree_av_block"
JOBS: Final = 5  # prepare, and fit and test of two seeds
KILLS: Final = {
    "prepare": "cache/*/parts/*",
    "fit": f"runs/micro/{TARGET}/seed*/fit.yaml",
    "test": f"runs/micro/{TARGET}/seed*/maps/saliency",
}
"""Rule in which a kill falls -> what its job makes when its imports are behind it and its work begins."""

LATEST: Final = 1.0
"""Greatest delay of a kill from there on, in s. The work of a job takes one to two here."""

TABLES: Final = ("self_consistency", "network_agreement", "method_ranks")
DATA: Final = {
    "data.source.init_args.n_patients": 160,
    "data.source.init_args.evidence": False,
    "data.split_seed": 1,
    "data.n_backgrounds": 4,
    "data.cache_dir": "cache",
    "trainer.logger": False,
    "trainer.accelerator": "cpu",
}
FEW_MAPS: Final = {
    "trainer": {
        "callbacks": [
            {
                "class_path": "callbacks.AttributionMaps",
                "init_args": {
                    "methods": [
                        "saliency",
                        "gradient_x_input",
                        {"class_path": "ecg_lightning.attribution.methods.SmoothGrad", "init_args": {"n_samples": 8}},
                    ]
                },
            },
            {"class_path": "callbacks.LogitsAndMetrics"},
        ]
    }
}


def write_study(folder: Path) -> Path:
    folder.mkdir()
    (folder / "few_maps.yaml").write_text(yaml.safe_dump(FEW_MAPS))
    content = {
        "study": "micro",
        "targets": [TARGET],
        "seeds": [0, 1],
        "fit": {
            "configs": ["configs/fit.yaml", "configs/data/synthetic.yaml", "configs/model/small.yaml"],
            "options": {**DATA, "trainer.max_epochs": 2},
        },
        "test": {"configs": ["configs/test.yaml", "configs/data/synthetic.yaml", "few_maps.yaml"], "options": DATA},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    return folder


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """The real command in a process group of its own; its jobs and their workers belong to it.

    As far as the tables: what comes behind them, report and dashboard, only reads.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "ecg_lightning.cli", "study", "--config", "study.yaml", "--cores", "2", "compare"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"},
        stdout=(folder / "output.log").open("ab"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def run_to_the_end(folder: Path) -> None:
    process = start(folder)
    try:
        assert process.wait(timeout=240) == 0, (folder / "output.log").read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def events(folder: Path) -> list[dict[str, object]]:
    path = folder / "runs/micro" / LOGS / EVENTS
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def kill_in(folder: Path, rule: str, delay: float) -> None:
    """Kill the study and all its jobs, some time after a job of a rule has begun its work."""
    before, made = len(events(folder)), set(folder.glob(KILLS[rule]))

    def works() -> bool:
        begun = any(str(one["job"]).startswith(rule) and one["what"] == "begins" for one in events(folder)[before:])
        return begun and not set(folder.glob(KILLS[rule])) <= made

    process = start(folder)
    _wait_for(works, process, folder)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_for(condition: Callable[[], bool], process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, (folder / "output.log").read_text()
        assert time.monotonic() < deadline, (folder / "output.log").read_text()
        time.sleep(0.02)


ONE_BY_ONE: Final = """
import sys
from ecg_lightning.cli import main
from ecg_lightning.study.jobs import all_jobs
from ecg_lightning.study.settings import load_study

arguments, sys.argv = sys.argv[1:], ["ecg_lightning"]
for job in all_jobs(load_study(arguments[0])):
    main(list(job.arguments))
main(["compare", arguments[1], "--processes", "1"])
"""


def run_undisturbed(folder: Path) -> None:
    """The study's own commands one after another in one process: Snakemake starts jobs and changes no number."""
    subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, "study.yaml", "runs/micro"],
        cwd=folder,
        env=environment(1),
        check=True,
        timeout=240,
        stdout=(folder / "output.log").open("ab"),
        stderr=subprocess.STDOUT,
    )


def finished(folder: Path) -> dict[Path, int]:
    """Records of ended jobs that Snakemake has noted, with their time of modification.

    A job that was killed between writing its record and Snakemake's noting it runs again, which costs seconds: its
    settings are not noted either, so that a change of them would go unseen.
    """
    study = folder / "runs/micro"
    open_ = set()
    for marker in (study / ".snakemake/incomplete").rglob("*"):
        if marker.is_file():
            name = "".join(part.removeprefix("@") for part in marker.relative_to(study / ".snakemake/incomplete").parts)
            open_.add(Path(base64.urlsafe_b64decode(name).decode()))
    return {path: path.stat().st_mtime_ns for path in study.rglob("*.done.json") if path not in open_}


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"runs/micro/tables/{name}.parquet")


def test_a_study_that_is_killed_three_times_ends_as_one_that_was_not(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    moments = [(rule, round(draw.uniform(0.0, LATEST), 2)) for rule in KILLS]
    print(f"kill seed {SEED}: " + ", ".join(f"{delay} s into the work of {rule}" for rule, delay in moments))
    killed, whole = write_study(tmp_path / "killed"), write_study(tmp_path / "whole")
    kept: dict[Path, int] = {}
    for rule, delay in moments:
        kill_in(killed, rule, delay)
        kept |= {path: when for path, when in finished(killed).items() if path not in kept}
        print(f"after the kill in {rule}: done are {sorted(str(path.relative_to(killed)) for path in kept)}")
    assert not (killed / "runs/micro/compare.done.json").exists()
    run_to_the_end(killed)
    assert len(kept) >= 1  # the last kill comes after `prepare` at least
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list((killed / "runs/micro").rglob("*.done.json"))) == JOBS + 1  # and that of compare

    shutil.copytree(killed / "cache", whole / "cache")  # its making is tested on its own
    run_undisturbed(whole)
    for name in TABLES:
        one, other = table(whole, name), table(killed, name)
        assert len(one) > 0
        pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-6, check_exact=False)
    maps = [np.load(f / f"runs/micro/{TARGET}/seed1/maps/smoothgrad/rows.npy") for f in (whole, killed)]
    assert np.isfinite(maps[0]).all()
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6 * np.abs(maps[0]).max())
