"""Checkpoints hold paths of their run's folder only, and ``ModelCheckpoint`` doesn't notice."""

from pathlib import Path

from lightning.pytorch.callbacks import ModelCheckpoint

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
