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
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pytest
import yaml

from ecg_lightning.study.job import EVENTS
from ecg_lightning.study.jobs import LOGS

pytest.importorskip("snakemake", reason="pip install 'ecg-lightning[study]'")

SEED: Final = int(os.environ.get("ECG_LIGHTNING_KILL_SEED", "20"))
TARGET: Final = "first_degree_av_block"
JOBS: Final = 5  # prepare, and fit and test of two seeds
KILLS: Final = (("prepare", 0.0, 8.0), ("fit", 2.0, 10.0), ("test", 2.0, 10.0))
"""Rule in which a kill falls, and the bounds of its delay in s. A job takes 10 to 20 s here."""
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
NO_DROPOUT: Final = {"model.network.init_args.dropout": 0.0}
"""A fit that is resumed behind a checkpoint draws other dropout than an undisturbed one: the global random state is
seeded anew."""

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
            {"class_path": "callbacks.TestRecord"},
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
            "options": {**DATA, "trainer.max_epochs": 2, **NO_DROPOUT},
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
    """Kill the study and all its jobs, some seconds after a job of a rule has begun."""
    before = len(events(folder))
    process = start(folder)
    deadline = time.monotonic() + 120
    while not any(str(one["job"]).startswith(rule) and one["what"] == "begins" for one in events(folder)[before:]):
        if process.poll() is not None:  # the rule was done: the study had nothing left to be killed in
            assert process.returncode == 0, (folder / "output.log").read_text()
            return
        assert time.monotonic() < deadline, (folder / "output.log").read_text()
        time.sleep(0.05)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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
    moments = [(rule, round(draw.uniform(low, high), 2)) for rule, low, high in KILLS]
    print(f"kill seed {SEED}: " + ", ".join(f"{delay} s after {rule} began" for rule, delay in moments))
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
    run_to_the_end(whole)
    for name in TABLES:
        one, other = table(whole, name), table(killed, name)
        assert len(one) > 0
        pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-6, check_exact=False)
    maps = [np.load(f / f"runs/micro/{TARGET}/seed1/maps/smoothgrad/rows.npy") for f in (whole, killed)]
    assert np.isfinite(maps[0]).all()
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6 * np.abs(maps[0]).max())
