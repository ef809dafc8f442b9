"""This module says where a study's jobs run: on this machine, or by a plugin of Snakemake on a cluster."""

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from ecg_lightning.data.worker_pool import worker_count

BUILT_IN: Final = ("local", "dryrun", "touch")
"""Executors of this machine."""

_EXTRAS: Final = {"slurm": "'ecg-lightning[slurm]'"}
"""Plugins that are extras of this package, in the versions that it was tested with."""


class StudyError(RuntimeError):
    """A workflow that did not come to its end; the message names what failed and where its log is."""


def check_executor(snakemake: Sequence[str]) -> None:
    """Refuse an executor whose plugin is not there, before anything runs.

    Args:
        snakemake: Options of Snakemake.

    Raises:
        StudyError: The message says how to install it.
    """
    executor = executor_of(snakemake)
    if executor in BUILT_IN or find_spec(f"snakemake_executor_plugin_{executor.replace('-', '_')}") is not None:
        return
    package = _EXTRAS.get(executor, f"snakemake-executor-plugin-{executor}")
    raise StudyError(
        f"--executor {executor} needs a plugin of Snakemake, which is not installed: pip install {package}"
    )


def executor_of(snakemake: Sequence[str]) -> str:
    """Return where the jobs run: ``local``, ``slurm`` ..."""
    return str(_given(snakemake).executor)


def with_room(snakemake: Sequence[str]) -> list[str]:
    """Add to Snakemake's options the number of jobs side by side, where it was not given.

    On this machine one job a core. A cluster has its own queue and limits, so that all jobs are handed over at once.

    Args:
        snakemake: Options of Snakemake.
    """
    given = _given(snakemake)
    local = given.executor in BUILT_IN
    if given.jobs is not None or (local and given.cores is not None):
        return list(snakemake)
    return [*snakemake, *(("--cores", str(worker_count(None))) if local else ("--jobs", "unlimited"))]


def _given(snakemake: Sequence[str]) -> argparse.Namespace:
    """The options that say where and how many; the others are Snakemake's own affair."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--executor", "-e", default="local")
    parser.add_argument("--cores", "-c", nargs="?", const="all")
    parser.add_argument("--jobs", "-j", nargs="?", const="unlimited")
    return parser.parse_known_args(snakemake)[0]
