"""Runs a study's workflow: Snakemake does the work, this module starts it, unlocks it and shows how far it is."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from ecg_lightning.endings import before_end
from ecg_lightning.storage.atomic import atomic_path
from ecg_lightning.study.executors import StudyError, check_executor, executor_of, with_room
from ecg_lightning.study.job import environment
from ecg_lightning.study.job_server import job_server
from ecg_lightning.study.progress import Progress
from ecg_lightning.study.settings import StudySettings, load_study
from ecg_lightning.study.slurm import check_partition, who_waits, with_status_command
from ecg_lightning.study.snakemake_run import SECONDS_TO_STOP, stop_snakemake, what_failed

SNAKEMAKE_LOG: Final = "snakemake.log"
_NEEDS: Final = "pip install 'ecg-lightning[study]'"
_INFORMATIVE: Final = ("--dry-run", "--dryrun", "-n", "--summary", "--dag", "--rulegraph", "--list-rules", "--lint")
"""Options of Snakemake that run nothing: they print what was requested."""


def run_study(path: str, snakemake: Sequence[str], overrides: Mapping[str, Any]) -> Path:
    """Run a study to its end, or as far as it goes.

    Args:
        path: The study's YAML file.
        snakemake: Further options, passed on to Snakemake as they are.
        overrides: Settings that replace the file's.

    Returns:
        The study's folder.

    Raises:
        StudyError: A job failed, another process runs this study, or Snakemake or its plugin is not installed.
        ValueError: Impossible settings.
    """
    study = load_study(path, **overrides)
    _check_installed()
    check_executor(snakemake)
    wide_threads = check_partition(study, snakemake)
    study.folder.mkdir(parents=True, exist_ok=True)
    command = _command(study, path, snakemake, overrides, wide_threads)
    with _alone(study):
        _unlock(study, command)
        if any(option in snakemake for option in _INFORMATIVE):
            subprocess.run(command, check=True)
        else:
            _release_damaged(study)
            _run(study, command, on_this_machine=executor_of(snakemake) == "local")
    return study.folder


def _command(
    study: StudySettings, path: str, snakemake: Sequence[str], overrides: Mapping[str, Any], wide_threads: int | None
) -> list[str]:
    config = study.folder / ".snakemake" / "study.yaml"
    given_settings = {key: value for key, value in overrides.items() if value is not None}
    content: dict[str, Any] = {"study_file": str(path), "cwd": str(Path.cwd()), "overrides": given_settings}
    content["wide_threads"] = wide_threads
    config.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(config) as part:
        part.write_text(json.dumps(content), encoding="utf-8")  # YAML whose texts are all in quotes: a name stays one
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(files("ecg_lightning.study") / "Snakefile")),
        *("--configfile", str(config.resolve()), "--directory", str(study.folder.resolve())),
        *(("--prioritize", "first") if "first" in snakemake else ()),  # that page waits for no other network
        *("--rerun-incomplete", "--keep-going", "--nocolor"),
        # of the content of the configurations a job's own hash answers; how new a file is says nothing
        *("--rerun-triggers", "params", "input", "mtime"),
        *with_status_command(with_room(snakemake)),
    ]


def _run(study: StudySettings, command: Sequence[str], *, on_this_machine: bool) -> None:
    log = study.folder / "logs" / SNAKEMAKE_LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.time()
    server: AbstractContextManager[dict[str, str]] = nullcontext({})
    if on_this_machine:  # the nodes of a cluster start processes of their own
        server = job_server(environment(study.threads))
    with log.open("w") as output, server as variables:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | variables)
        before_end(lambda: stop_snakemake(process), SECONDS_TO_STOP)
        progress = Progress(study, started, lambda: who_waits(log))
        try:
            progress.watch(process)
        except BaseException:
            stop_snakemake(process)
            raise
    if process.returncode:
        raise StudyError(what_failed(study, log, started))


def _release_damaged(study: StudySettings) -> None:
    """Let stages run again whose files have changed since they ended, or that tested a part only; says which."""
    from ecg_lightning.runs.study_sealing import release_damaged  # brings pandas, which starting processes needs not

    for line in release_damaged(study.folder):
        print(f"{study.study}: {line}", flush=True)


def _check_installed() -> None:
    if find_spec("snakemake") is None:
        raise StudyError(f"a study needs Snakemake, which is not installed: {_NEEDS}")


@contextmanager
def _alone(study: StudySettings) -> Any:
    """Hold the study's lock; the system frees it when its holder dies, however it dies."""
    lock = FileLock(study.folder / ".study.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise StudyError(
            f"another process runs the study {study.folder}: wait for it, or give this one another --study"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _unlock(study: StudySettings, command: Sequence[str]) -> None:
    """Take away what a killed Snakemake has left: nobody else runs this study, since its own lock is ours."""
    locks = study.folder / ".snakemake" / "locks"
    if locks.is_dir() and any(locks.iterdir()):
        subprocess.run([*command, "--unlock"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
