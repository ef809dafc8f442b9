"""An offline run of ``test`` is complete: its own reader finds all in it, and ``wandb sync`` uploads all of it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wandb_server import WandbServer
from workplace import TARGET, Workplace

from ecg_lightning.attribution import METHODS

PROGRAM = Path(sys.executable).with_name("wandb")


def records(run: Path) -> list[dict[str, Any]]:
    told = subprocess.run([PROGRAM, "leet", "inspect", "--json", run], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in told.stdout.splitlines()]


def history(run: Path) -> set[str]:
    return logged([record["history"]["item"] for record in records(run) if record["type"] == "history"])


@pytest.fixture(scope="module")
def offline(tested: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the W&B run of ``test``: an upload leaves a mark in it."""
    # the one with scores: other tests give the same command too, and some of them are refused before they log any
    runs = sorted((tested.run() / "wandb").glob("offline-run-*"))
    run = next(one for one in runs if "test/auroc" in history(one) and any("overview" in key for key in history(one)))
    copy = tmp_path_factory.mktemp("offline") / run.name
    shutil.copytree(run, copy)
    return copy


def logged(items: list[dict[str, Any]]) -> set[str]:
    """Keys as they were logged: those of media have their properties behind a dot."""
    return {key.partition(".")[0] for item in items for key in item if not key.startswith("_")}


def media(run: Path) -> set[str]:
    files = run / "files"
    return {path.relative_to(files).as_posix() for path in (files / "media").rglob("*") if path.is_file()}


def test_a_run_s_reader_finds_keys_tables_and_media(offline: Path) -> None:
    keys = history(offline)
    assert {"test/auroc", "test/auroc_low", "test/auprc_high"} <= keys
    pictured = {key.split("/")[1] for key in keys if key.startswith("maps/")}
    assert {*METHODS, "overview"} <= pictured
    files = media(offline)
    assert any(name.startswith("media/table/examples_") for name in files)
    assert any(name.startswith("media/images/maps/saliency/") for name in files)


def test_the_whole_run_is_uploaded_by_wandb_sync(offline: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "DIR"):
        environment[f"WANDB_{name}"] = str(tmp_path)
    environment |= {"HOME": str(tmp_path), "WANDB_API_KEY": "0123456789" * 4}
    with WandbServer() as server:
        done = subprocess.run(
            [PROGRAM, "sync", offline],
            env={**environment, "WANDB_BASE_URL": server.url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.unknown == []
    assert server.ended
    (first, *_) = server.upserts
    assert (first["groupName"], first["jobType"]) == (f"tiny/{TARGET}/seed0", "test")
    sent = [record["history"]["item"] for record in records(offline) if record["type"] == "history"]
    assert logged(server.history) == logged(sent)
    assert len(server.history) == len(sent)
    assert media(offline) <= set(server.files)
    for name in media(offline):
        assert server.files[name] == (offline / "files" / name).read_bytes(), name
