"""The grid as a W&B sweep: what its agent will run is what the study runs."""

import itertools
from typing import Any, Final

import pytest
from parsing import real_parser

from ecg_lightning.shipped import find_config
from ecg_lightning.study.jobs import fit_job
from ecg_lightning.study.settings import load_study

MODULE: Final = "ecg_lightning.cli"


@pytest.fixture(scope="module")
def sweep() -> dict[str, Any]:
    from wandb.sdk.launch.sweeps.utils import load_sweep_config  # takes seconds to import

    config = load_sweep_config(str(find_config("configs/wandb/sweep.yaml")))
    assert config is not None
    return config


def commands(sweep: dict[str, Any]) -> list[list[str]]:
    """The command of every run of the grid, put together as W&B's agent does."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    names = list(sweep["parameters"])
    found = []
    for values in itertools.product(*(sweep["parameters"][name]["values"] for name in names)):
        given = {"args": {name: {"value": value} for name, value in zip(names, values, strict=True)}}
        words = {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
        words |= create_sweep_command_args(given)
        command = []
        for part in create_sweep_command(list(sweep["command"])):
            command += words[part[2:-1]] if part.startswith("${") else [str(part)]
        found.append(command)
    return found


@pytest.mark.slow
def test_the_sweep_has_the_keys_of_a_grid(sweep: dict[str, Any]) -> None:
    assert set(sweep) == {"program", "method", "name", "project", "command", "parameters"}
    assert (sweep["method"], sweep["program"]) == ("grid", MODULE)
    assert {tuple(parameter) for parameter in sweep["parameters"].values()} == {("values",)}


@pytest.mark.slow
def test_its_grid_is_that_of_the_paper_s_study(sweep: dict[str, Any]) -> None:
    paper = load_study("configs/studies/paper.yaml")
    values = {name: tuple(parameter["values"]) for name, parameter in sweep["parameters"].items()}
    assert values == {"target": paper.targets, "seed_everything": paper.seeds}


def test_its_commands_train_what_the_study_trains(sweep: dict[str, Any]) -> None:
    runs, parse = commands(sweep), real_parser()
    assert len({tuple(run) for run in runs}) == 90
    for run in (runs[0], runs[-1]):
        assert run[:4] == ["/usr/bin/env", "python", "-m", MODULE]
        arguments = [str(find_config(one)) if one.startswith("configs/") else one for one in run[4:]]
        swept = parse(arguments)
        paper = load_study("configs/studies/paper.yaml", study="sweep", root="/data/ecgs")
        studied = parse(fit_job(paper, swept.target, swept.seed_everything).arguments)
        for key in ("model", "data", "trainer", "early_stopping", "checkpoint"):
            assert swept[key] == studied[key], key
