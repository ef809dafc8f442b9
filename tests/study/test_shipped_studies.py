"""The studies that come with the package: every job's command line is one that the command line takes."""

from collections.abc import Sequence

import pytest
import yaml
from jsonargparse import Namespace
from parsing import Parse, real_parser

from ecg_lightning.data.sources.label_map import load_label_map
from ecg_lightning.ecg import TARGETS
from ecg_lightning.shipped import find_config, shipped_configs
from ecg_lightning.study.jobs import Job, all_jobs
from ecg_lightning.study.settings import StudySettings, load_study

STUDIES = [name for name in shipped_configs() if name.startswith("configs/studies/")]
CASCADE = "callbacks.RandomizationCascade"


@pytest.fixture(scope="module")
def parse() -> Parse:
    return real_parser()


def study(name: str) -> StudySettings:
    reads_files = "synthetic" not in find_config(name).read_text()
    return load_study(name, root="/data" if reads_files else None)


def tells_runs_apart(job: Job) -> tuple[str, ...]:
    """The arguments without those of one run."""
    pairs = zip(["", *job.arguments], job.arguments, strict=False)
    return tuple(value for flag, value in pairs if flag not in ("--target", "--seed_everything"))


def callbacks(stage: Namespace) -> list[str]:
    return [callback.class_path for callback in stage.trainer.callbacks]


def option(job: Job, name: str) -> str:
    return job.arguments[job.arguments.index(name) + 1]


@pytest.mark.parametrize("name", STUDIES)
def test_every_job_is_a_command_line_that_parses(name: str, parse: Parse) -> None:
    """Jobs that differ in target and seed alone are alike: of these, each target and each seed once."""
    jobs, seen = list(all_jobs(study(name))), set[object]()
    for job in jobs:
        values: list[object] = [tells_runs_apart(job)]
        if job.rule != "prepare":
            values += [(job.rule, option(job, flag)) for flag in ("--target", "--seed_everything")]
        if set(values) <= seen:
            continue
        seen |= set(values)
        stage = parse(job.arguments)
        if job.rule == "prepare":
            continue
        assert stage.target == option(job, "--target")
        assert stage.seed_everything == int(option(job, "--seed_everything"))
        assert stage.trainer.default_root_dir == str(job.done.parent)
        assert "callbacks.FitRecord" in callbacks(stage) or callbacks(stage)[0] == "callbacks.AttributionMaps"
    assert {rule for one in seen if isinstance(one, tuple) for rule in one[:1]} >= {"prepare", "fit", "test"}


def with_cascade(name: str, parse: Parse) -> dict[tuple[str, str], Namespace]:
    """(target, seed) -> its cascade's arguments."""
    known: dict[tuple[str, ...], Namespace] = {}
    found = {}
    for job in all_jobs(study(name)):
        if job.rule != "test":
            continue
        key = tells_runs_apart(job)
        if key not in known:
            known[key] = parse(job.arguments)
        for callback in known[key].trainer.callbacks:
            if callback.class_path == CASCADE:
                found[option(job, "--target"), option(job, "--seed_everything")] = callback.init_args
    return found


def test_the_paper_s_study_is_that_of_the_paper(parse: Parse) -> None:
    paper = study("configs/studies/paper.yaml")
    assert set(paper.targets) == set(TARGETS)
    assert paper.seeds == tuple(range(10))
    ((run, cascade),) = with_cascade("configs/studies/paper.yaml", parse).items()
    assert run == ("atrial_fibrillation", "0")
    assert cascade.directions == ["from_output"]
    assert (cascade.max_examples, cascade.depths, cascade.methods) == (None, None, None)


def test_all_of_ptbxl(parse: Parse) -> None:
    ptbxl = study("configs/studies/ptbxl.yaml")
    assert set(ptbxl.targets) == set(load_label_map("ptbxl", None).codes.values())
    assert ptbxl.seeds == (0, 1, 2, 3, 4)
    assert list(with_cascade("configs/studies/ptbxl.yaml", parse)) == [("atrial_fibrillation", "0")]
    splits = {parse(job.arguments).data.split for job in list(all_jobs(ptbxl))[1:3]}
    assert splits == {"folds"}  # of fit and test alike


def listed(name: str) -> list[object]:
    content = yaml.safe_load(find_config(name).read_text())
    callbacks: list[object] = content["trainer"]["callbacks"]
    return callbacks


def without_cascade(callbacks: Sequence[object]) -> list[object]:
    return [
        callback for callback in callbacks if not (isinstance(callback, dict) and callback["class_path"] == CASCADE)
    ]


def test_lists_of_callbacks_are_those_of_the_test_s_configuration() -> None:
    """A list replaces another whole, so each is a copy: they must not drift apart."""
    every = listed("configs/test.yaml")
    assert listed("configs/callbacks/no_cascade.yaml") == without_cascade(every)
    whole = listed("configs/callbacks/whole_cascade.yaml")
    assert without_cascade(whole) == without_cascade(every)
    places = [[one["class_path"] for one in callbacks].index(CASCADE) for callbacks in (every, whole)]  # type: ignore[index]
    assert places[0] == places[1]
