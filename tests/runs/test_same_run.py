"""A fit goes on in its folder where the settings are the same, and is refused by name where they are not."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.same_run import SETTINGS_IGNORED_ON_RESUME, RunMismatchError, check_same_run

SETTINGS: dict[str, Any] = {
    "seed_everything": 0,
    "target": "sinus_rhythm",
    "study": "s",
    "runs": "runs",
    "root": "/data",
    "model": {"learning_rate": 5e-4, "network": {"class_path": "ResNet1d", "init_args": {"widths": [8, 16]}}},
    "data": {"batch_size": 128, "eval_batch_size": 128, "cache_dir": "cache", "num_workers": 0, "split_seed": 0},
    "trainer": {"max_epochs": 15, "devices": "auto", "callbacks": [{"class_path": "A"}], "logger": None},
}


def changed(path: str, value: object) -> dict[str, Any]:
    settings = copy.deepcopy(SETTINGS)
    *parents, last = path.split(".")
    node = settings
    for parent in parents:
        node = node.setdefault(parent, {})
    node[last] = value
    return settings


@pytest.fixture
def run(tmp_path: Path) -> RunPaths:
    """A run that was trained for at least one epoch."""
    made = RunPaths.of(str(tmp_path), "s", "sinus_rhythm", 0)
    made.checkpoints.mkdir(parents=True)
    made.last_checkpoint.write_bytes(b"weights")
    (made.path / "fit.yaml").write_text(yaml.safe_dump(SETTINGS))
    return made


def test_a_new_folder_is_not_resumed(tmp_path: Path) -> None:
    assert check_same_run(RunPaths(tmp_path / "nothing"), SETTINGS, "error") is False


def test_the_same_settings_are_resumed_from_their_last_checkpoint(run: RunPaths) -> None:
    assert check_same_run(run, copy.deepcopy(SETTINGS), "error") is True
    run.last_checkpoint.unlink()  # killed in its first epoch
    assert check_same_run(run, SETTINGS, "error") is False


def test_a_tuple_is_the_list_that_yaml_made_of_it(run: RunPaths) -> None:
    assert check_same_run(run, changed("model.network.init_args.widths", (8, 16)), "error")


def test_a_new_setting_whose_default_is_none_is_no_difference(run: RunPaths) -> None:
    assert check_same_run(run, changed("model.new_option", None), "error")


@pytest.mark.parametrize("key", SETTINGS_IGNORED_ON_RESUME)
def test_settings_that_do_not_change_what_is_learnt(run: RunPaths, key: str) -> None:
    assert check_same_run(run, changed(key, "elsewhere"), "error")
    assert check_same_run(run, changed(key, {"deeper": {"still": 1}}), "error")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.learning_rate", 1e-3, "model.learning_rate: 0.0005 there, 0.001 now"),
        ("model.network.init_args.widths", [8, 32], r"widths\[1\]: 16 there, 32 now"),
        ("model.network", None, r'model.network.class_path: "ResNet1d" there, \(absent\) now'),
        ("data.split_seed", 1, "data.split_seed: 0 there, 1 now"),
        ("data.extra", 2, r"data.extra: \(absent\) there, 2 now"),
        ("trainer.max_epochs", 20, "trainer.max_epochs: 15 there, 20 now"),
        (
            "trainer.devices_of_mine",
            2,
            r"trainer.devices_of_mine: \(absent\) there, 2 now",
        ),  # only begins like `devices`
    ],
)
def test_other_settings_are_named_with_both_values(run: RunPaths, key: str, value: object, message: str) -> None:
    with pytest.raises(RunMismatchError, match=message) as caught:
        check_same_run(run, changed(key, value), "error")
    assert str(run.path) in str(caught.value)
    assert "--on_mismatch replace" in str(caught.value)
    assert run.last_checkpoint.read_bytes() == b"weights"


def test_every_difference_is_named(run: RunPaths) -> None:
    settings = changed("model.learning_rate", 1.0)
    settings["target"] = "atrial_fibrillation"
    with pytest.raises(RunMismatchError, match=r'(?s)model\.learning_rate: .*target: "sinus_rhythm" there'):
        check_same_run(run, settings, "error")


def test_replace_moves_the_old_run_aside_whole(run: RunPaths) -> None:
    assert check_same_run(run, changed("data.split_seed", 1), "replace") is False
    assert not run.path.exists()
    (aside,) = run.path.parent.iterdir()
    assert aside.name.startswith("seed0.replaced-")
    assert RunPaths(aside).last_checkpoint.read_bytes() == b"weights"


def test_replacing_twice_in_a_second_keeps_both(run: RunPaths) -> None:
    for _ in range(3):
        run.path.mkdir(exist_ok=True)
        (run.path / "fit.yaml").write_text(yaml.safe_dump(SETTINGS))
        check_same_run(run, changed("data.split_seed", 1), "replace")
    assert len(list(run.path.parent.iterdir())) == 3


def test_replace_leaves_the_same_run_alone(run: RunPaths) -> None:
    assert check_same_run(run, SETTINGS, "replace") is True
    assert run.last_checkpoint.is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a configuration"),
        ("- a\n- b\n", "is not a configuration"),
        ("a: [1", "can't be read"),
        (None, r"settings are not known: .*fit\.yaml is missing"),
    ],
)
def test_a_run_of_unknown_settings_is_not_resumed(run: RunPaths, content: str | None, message: str) -> None:
    path = run.path / "fit.yaml"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(RunMismatchError, match=message):
        check_same_run(run, SETTINGS, "error")
    assert check_same_run(run, SETTINGS, "replace") is False
    assert not run.path.exists()


def test_on_mismatch_is_checked(run: RunPaths) -> None:
    with pytest.raises(ValueError, match="error, replace; got 'overwrite'"):
        check_same_run(run, SETTINGS, "overwrite")  # type: ignore[arg-type]
