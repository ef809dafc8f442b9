"""What is wrong with what the user has given is one sentence, and no traceback stands before it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ecg_lightning.cli import main
from ecg_lightning.data.label_checks import LabelsError, class_remedy
from ecg_lightning.data.sources import Synthetic
from ecg_lightning.ecg import TARGETS
from ecg_lightning.models import EcgClassifier, ResNet1d

CONFIGS = Path(__file__).parents[2] / "configs"
TARGET = "sinus_rhythm"


@pytest.fixture(scope="module")
def beats() -> tuple["np.ndarray", pd.DataFrame]:
    source = Synthetic(n_patients=24, evidence=False)
    entries = list(source.entries())
    signals = np.stack([source.beat(one).beat for one in entries]).astype(np.float32)
    table = pd.DataFrame({"ecg_id": one.ecg_id, "patient_id": one.patient_id, "age": 60, "sex": "F"} for one in entries)
    return signals, table


def archive(folder: Path, beats: tuple["np.ndarray", pd.DataFrame], **labels: float) -> Path:
    folder.mkdir()
    np.save(folder / "ecgs.npy", beats[0])
    beats[1].assign(**labels).to_csv(folder / "ecgs.csv", index=False)
    return folder


def arguments(stage: str, root: Path, *more: str) -> list[str]:
    return [
        *(stage, "--config", str(CONFIGS / f"{'fit' if stage == 'fit' else 'test'}.yaml")),
        *(
            "--config",
            str(CONFIGS / "data/arrays.yaml"),
            "--root",
            str(root),
            "--data.source.init_args.content",
            "beats",
        ),
        *("--target", TARGET, "--runs", str(root.parent / "runs"), "--data.cache_dir", str(root.parent / "cache")),
        *("--data.processes", "1", "--trainer.logger", "false", "--trainer.enable_progress_bar", "false", *more),
    ]


def checkpoint(path: Path) -> Path:
    """Of a network that nobody has trained."""
    module = EcgClassifier(ResNet1d(widths=(8, 8), strides=(1, 4)), TARGET)
    content = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "epoch": 0,
        "global_step": 1,
    }
    torch.save({**content, "pytorch-lightning_version": "2.6.6", "ecg_target": TARGET}, path)
    return path


NO_LABELS = "no ECG of this source has a label of any target"
SAID = {
    "no column": ({}, NO_LABELS),
    "empty column": (dict.fromkeys(TARGETS, np.nan), NO_LABELS),
    "another target": ({"atrial_fibrillation": 1.0}, "none of its ECGs has this label"),
    "one class": ({TARGET: 1.0}, "all of its labelled ECGs agree"),
}


@pytest.mark.parametrize("labels", SAID)
@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_an_archive_without_the_labels_that_a_stage_needs(
    tmp_path: Path, beats: tuple["np.ndarray", pd.DataFrame], labels: str, stage: str
) -> None:
    columns, words = SAID[labels]
    root = archive(tmp_path / "archive", beats, **columns)
    more = () if stage == "fit" else ("--ckpt_path", str(checkpoint(tmp_path / "a.ckpt")))
    with pytest.raises(
        LabelsError, match=rf"target {TARGET}: the \w+ split has .*{words}.*`?predict`? needs no labels"
    ):
        main(arguments(stage, root, *more))


def test_predict_needs_none(tmp_path: Path, beats: tuple["np.ndarray", pd.DataFrame]) -> None:
    root = archive(tmp_path / "archive", beats)
    path = str(checkpoint(tmp_path / "a.ckpt"))
    main(arguments("predict", root, "--ckpt_path", path, "--data.split", "test_only"))
    predicted = pd.read_parquet(tmp_path / "runs/default" / TARGET / "seed0/predictions.parquet")
    assert len(predicted) == len(beats[1])


@pytest.mark.parametrize("kind", ["labels", "checkpoint"])
def test_the_sentence_stands_alone(tmp_path: Path, beats: tuple["np.ndarray", pd.DataFrame], kind: str) -> None:
    root = archive(tmp_path / "archive", beats)
    path = checkpoint(tmp_path / "a.ckpt")
    if kind == "checkpoint":
        path.write_bytes(path.read_bytes()[:900])
    command = [sys.executable, "-m", "ecg_lightning.cli", *arguments("test", root, "--ckpt_path", str(path))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("test: ")
    assert (NO_LABELS if kind == "labels" else "can't be read as a checkpoint") in last


def test_a_source_with_labels_names_the_targets_that_it_has() -> None:
    table = pd.DataFrame({name: [np.nan] * 4 for name in TARGETS}).assign(source="arrays", patient_id=list("abcd"))
    assert class_remedy(table, "patients", TARGET).startswith(NO_LABELS)
    table["sinus_bradycardia"] = [0.0, 1.0, 1.0, 0.0]
    assert "this source has both classes of sinus_bradycardia" in class_remedy(table, "patients", TARGET)
