"""The jobs of a study: the command line of each, and a hash of all that determines its result."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecg_lightning.storage.hashing import digest_file, digest_settings
from ecg_lightning.study.settings import Stage, StudySettings

PREPARED: Final = "prepare.done.json"
LOGS: Final = "logs"
_FIGURES: Final = ("--figures", "none")
"""What every test of a study begins with, so that its own settings win: the report draws its figures from tables."""

_NO_FILE_NAME: Final = re.compile(r"[^0-9A-Za-z_.-]")


@dataclass(frozen=True)
class Job:
    """One call of the command line.

    Attributes:
        name: Such as ``fit sinus_rhythm seed0``.
        rule: ``prepare``, ``fit`` or ``test``.
        arguments: Arguments of ``python -m ecg_lightning.cli``.
        done: The file that says that it has ended.
        settings: Hash of arguments and of the content of the configurations: another one runs the job again.
        log: Where its output goes.
        lock: Held while it runs.
    """

    name: str
    rule: str
    arguments: tuple[str, ...]
    done: Path
    settings: str
    log: Path
    lock: Path


def prepare_job(study: StudySettings) -> Job:
    """Return the job that prepares the beats of every run."""
    stage = _data_arguments(study) if study.prepare is None else study.prepare.arguments()
    return _job(study, "prepare", "prepare", stage, study.folder / PREPARED)


def fit_job(study: StudySettings, target: str, seed: int) -> Job:
    """Return the job that trains one network."""
    folder = study.run(target, seed)
    name = f"fit {target} seed{seed}"
    return _job(study, "fit", name, study.fit.arguments(), folder.fit_record, target, seed)


def test_job(study: StudySettings, target: str, seed: int) -> Job:
    """Return the job that makes and audits the maps of one network."""
    folder = study.run(target, seed)
    name = f"test {target} seed{seed}"
    stage = study.test_of(target, seed).arguments()
    return _job(study, "test", name, stage, folder.test_record, target, seed)


def all_jobs(study: StudySettings) -> Iterator[Job]:
    """Yield the jobs of every run, in the order of the grid."""
    yield prepare_job(study)
    for target in study.targets:
        for seed in study.seeds:
            yield fit_job(study, target, seed)
            yield test_job(study, target, seed)


def _job(
    study: StudySettings,
    rule: str,
    name: str,
    stage: list[str],
    done: Path,
    target: str | None = None,
    seed: int | None = None,
) -> Job:
    own = [rule, *stage]
    if study.root is not None:
        own += ["--root", study.root]
    if target is not None:
        own += ["--target", target, "--seed_everything", str(seed), "--study", study.study, "--runs", study.runs]
        # the workflow repeats a job only where its settings have changed
        own += ["--on_mismatch", "replace"]
    # not in the digest: what was finished before there was a choice of figures is not repeated
    arguments = [rule, *(_FIGURES if rule == "test" else ()), *own[1:]]
    log = study.folder / LOGS / f"{_NO_FILE_NAME.sub('_', name)}.log"
    lock = study.folder / LOGS / f"{_NO_FILE_NAME.sub('_', name)}.lock"
    return Job(name, rule, tuple(arguments), done, _digest(own), log, lock)


def _data_arguments(study: StudySettings) -> list[str]:
    """Return those of the fit's arguments that say what the data is."""
    data = [config for config in study.fit.configs if "/data/" in Path(config).as_posix()]
    if not data:
        raise ValueError(
            f"{study.study}: `prepare` must name the source's configuration, since none of fit.configs lies in a "
            "folder named data"
        )
    own = ("data.source", "data.representation", "data.cache_dir", "data.processes", "data.neighbours")
    options = {option: value for option, value in study.fit.options.items() if option.startswith(own)}
    return Stage(tuple(data), options).arguments()


def _digest(arguments: list[str]) -> str:
    """Configurations count by their content, so that an edited file runs its jobs again, and only these."""
    content = [
        digest_file(value) if flag == "--config" else value
        for flag, value in zip(["", *arguments], arguments, strict=False)
    ]
    return digest_settings({"arguments": list(content)})
