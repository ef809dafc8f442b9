"""The W&B logger where there is no key, no network, or no wish for either."""

import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from jsonargparse import ArgumentParser
from lightning.pytorch.utilities import rank_zero_only

from ecg_lightning.wandb_logger import RunLogger, run_group

REPOSITORY = Path(__file__).parents[1]
FAKE_KEY = "0123456789" * 4
NAMES_OF_WANDB = ("WANDB", "NETRC", "XDG")
TWO_STAGES = """
from ecg_lightning.wandb_logger import RunLogger, run_group
for stage, value in (("fit", 0.5), ("test", 0.25)):
    group = run_group("demo", "atrial_fibrillation", 3)
    logger = RunLogger(save_dir="made/here", group=group, job_type=stage, tags=["a", "b"], notes="a note")
    logger.log_hyperparams({"lr": 0.001})
    logger.log_metrics({"loss": value}, step=7)
    logger.finish()
"""


def run_at_a_terminal(program: str, folder: Path) -> str:
    """Run a program where nobody ever heard of W&B, at a terminal so that W&B could ask; its output."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NAMES_OF_WANDB)}
    own = {"HOME": str(home), "MPLCONFIGDIR": str(folder / "matplotlib"), "PYTHONPATH": str(REPOSITORY)}
    main, terminal = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=work,
            env=kept | own,
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(main)
    assert done.returncode == 0, done.stdout
    return done.stdout


def records(run: Path) -> dict[str, list[dict[str, Any]]]:
    """Read an offline run back with W&B's own reader: type of a record -> its contents."""
    program = Path(sys.executable).with_name("wandb")
    done = subprocess.run([program, "leet", "inspect", "--json", run], capture_output=True, text=True, check=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, done.stdout.splitlines()):
        found.setdefault(line["type"], []).append(line.get(line["type"], {}))
    return found


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def test_without_a_key_two_stages_become_two_offline_runs_of_one_group(tmp_path: Path) -> None:
    output = run_at_a_terminal(TWO_STAGES, tmp_path)

    runs = sorted((tmp_path / "work/made/here/wandb").glob("offline-run-*"))
    assert len(runs) == 2
    lines = [line for line in output.splitlines() if "W&B" in line or "wandb" in line]
    assert len(lines) == 2, output
    for line in lines:
        assert "offline, because there is no API key; upload this run with: wandb sync" in line
    assert {Path(line.split()[-1]).name for line in lines} == {run.name for run in runs}

    losses = {}
    for read in map(records, runs):
        (run,) = read["run"]
        assert run["run_group"] == "demo/atrial_fibrillation/seed3"
        assert (run["project"], run["tags"], run["notes"]) == ("ecg_lightning", ["a", "b"], "a note")
        assert run["display_name"] == f"{run['run_group']} {run['job_type']}"
        assert {"update": {"lr": 0.001}} in read["config"]
        (item,) = [entry["item"] for entry in read["history"]]
        assert item["trainer/global_step"] == 7
        losses[run["job_type"]] = item["loss"]
    assert losses == {"fit": 0.5, "test": 0.25}

    assert not files(tmp_path / "home"), "W&B wrote into the home folder"
    outside = {name for name in files(tmp_path / "work") if not name.startswith("made/here/wandb/")}
    assert not outside, "W&B wrote outside save_dir"


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Path]:
    """This process on a machine where nobody ever heard of W&B; gives its empty working folder."""
    before, folder = dict(os.environ), Path.cwd()
    for name in [name for name in os.environ if name.startswith(NAMES_OF_WANDB)]:
        del os.environ[name]
    work = tmp_path / "work"
    work.mkdir()
    os.environ["HOME"] = str(tmp_path / "home")
    os.chdir(work)
    wandb.teardown()  # its settings are read once per process
    yield work
    wandb.teardown()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(before)
    os.environ.pop("WANDB_SERVICE", None)  # the service of before is torn down


def test_without_a_server_the_run_goes_offline_and_says_why(stranger: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.environ |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "1", "WANDB_API_KEY": FAKE_KEY}
    logger = RunLogger(save_dir="runs")
    with caplog.at_level(logging.INFO):
        logger.log_metrics({"x": 1.0})
    logger.finish()
    said = [record.getMessage() for record in caplog.records if "W&B" in record.getMessage()]
    assert len(said) == 1
    assert "offline, because the server can't be reached (" in said[0]
    (run,) = (stranger / "runs/wandb").glob("offline-run-*")
    assert records(run)["history"][0]["item"]["x"] == 1


def test_who_insists_on_being_online_gets_the_error_of_the_server(stranger: Path) -> None:
    os.environ |= {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "1", "WANDB_API_KEY": FAKE_KEY}
    with pytest.raises(wandb.errors.CommError):
        RunLogger(save_dir="runs", offline=False).log_metrics({"x": 1.0})
    assert not list((stranger / "runs/wandb").glob("offline-run-*"))


@pytest.mark.parametrize(
    ("offline", "variables", "problem"),
    [
        (False, {}, "there is no API key"),
        (None, {"WANDB_MODE": "online"}, "there is no API key"),
        (False, {"WANDB_API_KEY": "short"}, "WANDB_API_KEY invalid: API key must have"),
    ],
)
def test_who_insists_on_being_online_without_a_key_gets_an_error(
    stranger: Path, offline: bool | None, variables: dict[str, str], problem: str
) -> None:
    os.environ |= variables
    with pytest.raises(
        ValueError, match="expected to log to W&B online, as offline=False or WANDB_MODE=online"
    ) as error:
        RunLogger(save_dir="runs", offline=offline).log_metrics({"x": 1.0})
    assert problem in str(error.value)
    assert "run 'wandb login', set WANDB_API_KEY, or leave both unset to log offline" in str(error.value)


def test_a_key_in_netrc_is_found(stranger: Path) -> None:
    netrc = stranger / "netrc"
    os.environ |= {"NETRC": str(netrc), "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_INIT_TIMEOUT": "1"}
    netrc.write_text(f"machine 127.0.0.1:9\n  login user\n  password {FAKE_KEY}\n")
    with pytest.raises(wandb.errors.CommError):  # it goes online, where nobody answers
        RunLogger(save_dir="runs", offline=False).log_metrics({"x": 1.0})


@pytest.mark.parametrize("machine", [False, True])
def test_the_machine_is_recorded_by_choice_only(stranger: Path, machine: bool) -> None:
    logger = RunLogger(save_dir="runs", offline=True, machine=machine)
    logger.log_metrics({"x": 1.0})
    print("printed while the run goes on")
    logger.finish()
    (run,) = (stranger / "runs/wandb").glob("offline-run-*")
    read = records(run)
    (begun,) = read["run"]
    assert ("host" in begun) == machine
    assert ("environment" in read) == machine
    assert any(sys.executable in str(one) for one in read.get("environment", [])) == machine
    assert (
        any("printed while" in str(one) for kind in read if kind.startswith("output") for one in read[kind]) == machine
    )


def test_only_rank_zero_makes_a_run(stranger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger = RunLogger(save_dir="runs", offline=True)
    logger.log_metrics({"x": 1.0})
    logger.experiment.log({"x": 1.0})
    logger.finish()
    assert not list(stranger.iterdir())


def test_wandb_mode_disabled_is_respected(stranger: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.environ["WANDB_MODE"] = "disabled"
    with caplog.at_level(logging.INFO):
        logger = RunLogger(save_dir="runs")
        logger.log_metrics({"x": 1.0})
        logger.finish()
    assert not [record for record in caplog.records if "W&B" in record.getMessage()]
    assert not files(stranger)


def test_an_unwritable_folder_is_an_error_and_not_a_run_elsewhere(stranger: Path) -> None:
    (stranger / "taken").write_text("a file")
    with pytest.raises(NotADirectoryError):
        RunLogger(save_dir="taken", offline=True).log_metrics({"x": 1.0})


def test_yaml_configures_the_logger_and_the_constructor_writes_nothing(tmp_path: Path) -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(RunLogger, "logger")
    group = run_group("demo", "sinus_rhythm", 0)
    given = {"save_dir": str(tmp_path / "runs"), "group": group, "job_type": "test", "tags": ["x"], "offline": True}
    config = parser.parse_string(yaml.safe_dump({"logger": given}))
    logger = parser.instantiate(config).logger
    assert isinstance(logger, RunLogger)
    assert logger.save_dir == given["save_dir"]
    assert logger.name == "ecg_lightning"
    assert logger.version is None
    assert list(tmp_path.iterdir()) == []
    # What is not typed can't be set in YAML.
    assert set(config.logger.as_dict()) == set(RunLogger.__init__.__annotations__) - {"return"}


STAGES = """
from ecg_lightning.wandb_logger import RunLogger, run_group
for seed in (0, 1):
    for stage in ("fit", "test", "fit"):
        group = run_group("demo", "left_ventricular_hypertrophy", seed)
        logger = RunLogger(save_dir=f"made/seed{seed}", group=group, job_type=stage)
        logger.log_metrics({"loss": 1.0})
        print("id", logger.experiment.id)
        logger.finish()
"""


@pytest.mark.parametrize(
    ("variables", "fit", "test"),
    [
        ({"WANDB_RUN_ID": "abc"}, "abc-demo-left_ventricular_hypertrophy-seed0-fit", "-seed0-test"),
        ({"WANDB_RUN_ID": "abc", "WANDB_RESUME": "must"}, "abc-demo-left_ventricular_hypertrophy-seed0-fit", "-test"),
        ({"WANDB_RUN_ID": "a" * 40, "WANDB_NAME": "x", "WANDB_RUN_GROUP": "g"}, "a" * 40 + "-demo-", "a" * 40),
    ],
)
def test_stages_that_inherit_one_identifier_are_runs_of_their_own(
    tmp_path: Path, variables: dict[str, str], fit: str, test: str
) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NAMES_OF_WANDB)}
    own = {"WANDB_MODE": "offline", "PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path), **variables}
    done = subprocess.run(
        [sys.executable, "-c", STAGES], cwd=tmp_path, env=inherited | own, capture_output=True, text=True, check=True
    )
    ids = [line.removeprefix("id ") for line in done.stdout.splitlines() if line.startswith("id ")]
    assert ids[0].startswith(fit)
    assert test in ids[1]
    assert ids[0] == ids[2]  # a stage that is resumed goes on with its own
    assert len(set(ids)) == 4
    assert max(map(len, ids)) <= 64
    for run in ids:
        assert list(tmp_path.glob(f"made/seed*/wandb/offline-run-*-{run}"))


def test_an_identifier_that_was_asked_for_or_is_a_sweep_s_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "abc")
    logger = RunLogger(save_dir=tmp_path, group="a/b/seed0", job_type="test", version="mine")
    logger._take_own_id()
    assert logger._wandb_init["id"] == "mine"
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    logger = RunLogger(save_dir=tmp_path, group="a/b/seed0", job_type="fit")
    logger._take_own_id()
    assert logger._wandb_init["id"] is None  # W&B takes that of the sweep
