"""What can't be read as a checkpoint is named for what it is, with what to do about it."""

import gzip
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch

from ecg_lightning.models import EcgClassifier, ResNet1d
from ecg_lightning.models.plain_checkpoints import CheckpointError
from ecg_lightning.runs.checkpoints import find_checkpoint, read_checkpoint
from ecg_lightning.runs.layout import RunPaths

WHOLE: dict[str, Any] = {
    "state_dict": OrderedDict(weight=torch.zeros(400)),
    "epoch": 2,
    "pytorch-lightning_version": "2.6.6",
    "hyper_parameters": {"target": "sinus_rhythm"},
}


def safetensors(path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(12))


def script(path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(path)


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("best.ckpt", b"weights")


def saved(content: object) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path)


OTHER: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.touch(), "can't be read as a checkpoint: it is empty"),
    "zeros": (lambda path: path.write_bytes(bytes(900)), "nothing but zeros"),
    "lfs": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 9\n"),
        "a Git LFS pointer.*git lfs pull",
    ),
    "page": (lambda path: path.write_text("\n<!DOCTYPE HTML>\n<title>Sign in</title>"), "an HTML page.*download it ag"),
    "text": (lambda path: path.write_text("404: Not Found"), "a text, which begins with '404: Not Found'"),
    "safetensors": (safetensors, "a safetensors file"),
    "script": (script, "a TorchScript archive"),
    "keras": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(90)), "an HDF5 file"),
    "array": (lambda path: np.save(path.open("wb"), np.zeros(3)), "an array of NumPy"),
    "arrays": (lambda path: np.savez(path.open("wb"), a=np.zeros(3)), r"NumPy's arrays \(.npz\)"),
    "packed": (lambda path: path.write_bytes(gzip.compress(b"weights")), r"packed \(gzip\)"),
    "zip": (archive, r"packed \(zip\)"),
    "weights": (saved(WHOLE["state_dict"]), "holds no `state_dict`.*the weights alone.*save_checkpoint"),
    "other": (saved({"model": {}, "optimizer": {}}), "holds no `state_dict`.*it holds model, optimizer"),
    "list": (saved([1, 2]), "it is not a Lightning checkpoint, but a list"),
    "no version": (saved({"state_dict": WHOLE["state_dict"]}), "no pytorch-lightning_version.*save_checkpoint"),
    "protocol": (lambda path: torch.save(WHOLE, path, pickle_protocol=4), "by protocol 4 and not by torch.save's own"),
    "network": (saved(torch.nn.Linear(2, 2)), r"pickled objects.*the whole content \(torch.nn.modules.linear.Linear\)"),
    "pickle": (
        lambda path: path.write_bytes(pickle.dumps({"state_dict": {"a": np.zeros(2)}})),
        r"pickled objects.*state_dict\.a \(numpy",
    ),
}


@pytest.mark.parametrize("name", OTHER)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str) -> None:
    make, words = OTHER[name]
    make(tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=rf"(?s)a\.ckpt .*{words}") as told:
        read_checkpoint(tmp_path / "a.ckpt")
    assert "cut short" not in str(told.value)
    assert "delet" not in str(told.value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("hyper_parameters", {"learning_rate": np.float32(1e-3)}, r"hyper_parameters\.learning_rate \(numpy"),
        ("hyper_parameters", {"where": PurePosixPath("/x")}, r"hyper_parameters\.where \(pathlib\.PurePosixPath\)"),
        ("loops", {"fit_loop": [np.int64(3)]}, r"loops\.fit_loop \(numpy"),
        ("callbacks", {f"c{n}": PurePosixPath("/x") for n in range(7)}, r"callbacks\.c0 .*callbacks\.c4 .* and 2 more"),
    ],
)
def test_pickled_objects_are_named_and_no_reason_to_delete(tmp_path: Path, key: str, value: Any, words: str) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({**WHOLE, key: value}, path)
    with pytest.raises(CheckpointError, match=rf"holds pickled objects, .*{words}.*If you trust whoever") as told:
        read_checkpoint(path)
    assert "cut short" not in str(told.value)
    assert "delet" not in str(told.value)
    with pytest.raises(CheckpointError, match="holds pickled objects"):
        EcgClassifier.load_from_checkpoint(path, network=ResNet1d(widths=(8, 8), strides=(1, 4)))
    content = torch.load(path, weights_only=False)  # the remedy
    torch.save({**content, key: {}}, path)
    assert read_checkpoint(path)["epoch"] == 2


@pytest.mark.parametrize(
    "damage", [lambda b: b[:300], lambda b: b[: len(b) - 9], lambda b: b[:90] + b"\x95" * 60 + b[150:]]
)
def test_a_damaged_checkpoint_keeps_its_words(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.ckpt"
    torch.save(WHOLE, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        CheckpointError, match=r"can't be read as a checkpoint .*it was cut short.*--ckpt_path last"
    ) as told:
        read_checkpoint(path)
    assert "weights_only" not in str(told.value)


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a folder: name the file in it"):
        find_checkpoint(RunPaths(tmp_path), str(tmp_path))


def test_a_checkpoint_of_an_old_torch_is_read(tmp_path: Path) -> None:
    torch.save(WHOLE, tmp_path / "a.ckpt", _use_new_zipfile_serialization=False)
    assert read_checkpoint(tmp_path / "a.ckpt")["epoch"] == 2
