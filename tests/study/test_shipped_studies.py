"""The studies that come with the package: every job's command line is one that the command line takes."""

import pytest
import yaml
from jsonargparse import Namespace
from parsing import Parse, real_parser

from ecg_lightning.command_line.test_keys import TEST_KEYS
from ecg_lightning.data.sources.label_map import load_label_map
from ecg_lightning.ecg import TARGETS
from ecg_lightning.shipped import find_config, shipped_configs
from ecg_lightning.study.jobs import Job, all_jobs
from ecg_lightning.study.settings import StudySettings, load_study
from ecg_lightning.tuning.config import MAPS

STUDIES = [name for name in shipped_configs() if name.startswith("configs/studies/")]


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
        own = [callback.class_path for callback in stage.trainer.callbacks or ()]
        assert own == ["callbacks.SplitsAndFitSeal"] if job.rule == "fit" else stage.maps.class_path == MAPS
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
        if known[key].randomization is not None:
            found[option(job, "--target"), option(job, "--seed_everything")] = known[key].randomization.init_args
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


def test_the_shipped_keys_change_nothing_but_what_they_say() -> None:
    """The test's configuration spells out what is done without it, so that earlier lists may stand beside it."""
    content = yaml.safe_load(find_config("configs/test.yaml").read_text())
    spelt = {key: content[key] for key in content if key in TEST_KEYS}
    assert list(spelt) == list(TEST_KEYS)
    assert {key: value for key, value in spelt.items() if value} == {"randomization": {"max_examples": 24}}
