"""Checkpoints hold paths of their run's folder only, and ``ModelCheckpoint`` doesn't notice."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from ecg_lightning.models import EcgClassifier, ResNet1d
from ecg_lightning.models.checkpoint_paths import with_absolute_paths, with_relative_paths

STATE = {
    "monitor": "val/loss",
    "dirpath": "{}/checkpoints",
    "best_model_path": "{}/checkpoints/best.ckpt",
    "kth_best_model_path": "{}/checkpoints/best.ckpt",
    "last_model_path": "",
    "best_k_models": {"{}/checkpoints/best.ckpt": 0.5},
    "best_model_score": 0.5,
}


def state(folder: Path | str) -> dict[str, object]:
    """The state of a checkpoint callback of a run in a folder."""
    text = {key: value.format(folder) if isinstance(value, str) else value for key, value in STATE.items()}
    return text | {"best_k_models": {f"{folder}/checkpoints/best.ckpt": 0.5}}


def test_paths_are_kept_relative_and_follow_a_folder_that_moves(tmp_path: Path) -> None:
    states = {"ModelCheckpoint": state(tmp_path / "here"), "EarlyStopping": {"wait_count": 1}, "Other": None}
    kept = with_relative_paths(states, tmp_path / "here")
    assert str(tmp_path) not in repr(kept)
    assert kept["ModelCheckpoint"]["best_k_models"] == {"checkpoints/best.ckpt": 0.5}
    assert states["ModelCheckpoint"] == state(tmp_path / "here")  # the callback's own is left alone
    assert with_absolute_paths(kept, tmp_path / "here") == states
    moved = with_absolute_paths(kept, tmp_path / "there")
    assert moved["ModelCheckpoint"] == state(tmp_path / "there")


def test_checkpoints_of_earlier_versions_keep_their_absolute_paths(tmp_path: Path) -> None:
    states = {"ModelCheckpoint": state(tmp_path / "before")}
    assert with_absolute_paths(states, tmp_path / "now") == states


def test_model_checkpoint_takes_its_best_score_back_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    before = ModelCheckpoint(tmp_path / "link/checkpoints")
    before.best_model_path = f"{before.dirpath}/best.ckpt"
    saved = with_relative_paths({before.state_key: before.state_dict()}, tmp_path / "link")
    assert str(tmp_path) not in repr(saved)
    resumed = ModelCheckpoint(tmp_path / "real/checkpoints")
    resumed.load_state_dict(with_absolute_paths(saved, tmp_path / "real")[before.state_key])  # warns where they differ
    assert resumed.best_model_path == f"{resumed.dirpath}/best.ckpt"


def fit(folder: Path, epochs: int, resumed: Path | None = None) -> ModelCheckpoint:
    """Train a tiny network; its checkpoint callback at the end."""
    torch.manual_seed(0)
    ecg, label = torch.randn(8, 8, 600), torch.tensor([0.0, 1.0] * 4)
    batches = DataLoader([{"ecg": ecg, "label": label, "row": torch.arange(8)}], batch_size=None)
    kept = ModelCheckpoint(folder / "checkpoints", "best", monitor="val/loss", enable_version_counter=False)
    trainer = Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=[kept],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    module = EcgClassifier(ResNet1d(widths=(8, 8, 16), strides=(1, 4, 4)), learning_rate=1e-12)
    trainer.fit(module, batches, batches, ckpt_path=resumed, weights_only=True)
    return kept


@pytest.mark.filterwarnings("error:The dirpath has changed")
def test_a_fit_goes_on_with_its_best_score_where_its_folder_lies_now(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    first = fit(here, 1)
    assert str(tmp_path).encode() not in (here / "checkpoints/best.ckpt").read_bytes()
    here.rename(there)
    resumed = fit(there, 1, there / "checkpoints/best.ckpt")  # no epoch is left
    assert resumed.best_model_score is not None
    assert resumed.best_model_score == first.best_model_score
    assert resumed.best_model_path == str(there / "checkpoints/best.ckpt")
    assert list(resumed.best_k_models) == [resumed.best_model_path]
