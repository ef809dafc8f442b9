"""This module asks Slurm which partitions there are, whether ended jobs are on record, and why jobs wait."""

import argparse
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecg_lightning.study.executors import BUILT_IN, StudyError, executor_of
from ecg_lightning.study.settings import StudySettings

_TIMEOUT: Final = 30  # s
_STATUS_COMMAND: Final = "--slurm-status-command"
_FIRST_CHECK: Final = "--slurm-init-seconds-before-status-checks"
_CHECKS: Final = 3
"""The plugin trusts `squeue` where an ended job is remembered for as many times its first interval (40 s)."""

_CHOSEN_ELSEWHERE: Final = ("--set-resources", "--profile", "--workflow-profile", "--slurm-partition-config")
"""Options of Snakemake that may say a job's partition in ways that only Snakemake reads."""

_RUN: Final = re.compile(r"SLURM run ID: (\S+)")
_NEVER: Final = {
    "PartitionConfig": "no node of the partition has what the job asks for",
    "PartitionDown": "the partition is closed",
    "PartitionInactive": "the partition is closed",
    "PartitionNodeLimit": "the partition does not allow so many nodes, or CPUs of one",
    "PartitionTimeLimit": "the partition does not allow so long a time",
    "BadConstraints": "no node has what the job asks for",
    "ReqNodeNotAvail": "its nodes are down or reserved",
    "AccountNotAllowed": "the partition does not take this account",
    "JobHeldAdmin": "an administrator holds it",
    "JobHeldUser": "you hold it: scontrol release",
}
"""Reasons that waiting alone does not take away, in words."""


@dataclass(frozen=True)
class Partition:
    """A queue of jobs, and its largest node.

    Attributes:
        name: Name of the partition.
        default: Jobs that name none go there.
        up: It starts jobs.
        cpus: CPUs of the node that has most.
    """

    name: str
    default: bool
    up: bool
    cpus: int


def ask(*command: str) -> str | None:
    """Return the output of one of Slurm's commands; None where it is not there, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def partitions() -> dict[str, Partition]:
    """Map each name to its partition, as far as Slurm can be queried."""
    found: dict[str, Partition] = {}
    for line in (ask("sinfo", "--Node", "--noheader", "--format=%P|%a|%c") or "").splitlines():
        name, available, cpus = line.strip().split("|")
        default, name = name.endswith("*"), name.rstrip("*")
        most = max(int(cpus), found[name].cpus if name in found else 0)
        found[name] = Partition(name, default, available == "up", most)
    return found


def partition_of(snakemake: Sequence[str], known: dict[str, Partition]) -> Partition | None:
    """Return where the study's jobs go; None where Slurm can't be queried, or where only Snakemake knows.

    Raises:
        StudyError: There is no such partition.
    """
    if not known or any(one.split("=")[0] in _CHOSEN_ELSEWHERE for one in snakemake):
        return None
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--default-resources", "--default-res", nargs="*", default=[])
    resources = dict(one.split("=", 1) for one in parser.parse_known_args(snakemake)[0].default_resources if "=" in one)
    asked = resources.get("slurm_partition", "").strip("'\"")
    if asked and asked not in known:
        raise StudyError(f"slurm_partition={asked}: there is no such partition; there are {', '.join(known)}")
    return known[asked] if asked else next((one for one in known.values() if one.default), None)


def check_partition(study: StudySettings, snakemake: Sequence[str]) -> int | None:
    """Refuse what can never run, before anything is submitted.

    Args:
        study: Settings of the study.
        snakemake: Options of Snakemake.

    Returns:
        Threads of ``prepare`` and ``compare``, no more than the largest node has; None where they have this machine.

    Raises:
        StudyError: There is no such partition, or none of its nodes has as many CPUs as a job needs.
    """
    executor = executor_of(snakemake)
    if executor in BUILT_IN:
        return None
    partition = partition_of(snakemake, partitions()) if executor == "slurm" else None
    if partition is None:
        return study.wide_threads
    if study.threads > partition.cpus:
        raise StudyError(
            f"threads: {study.threads}: no node of the partition {partition.name} has more than {partition.cpus} CPUs, "
            "so that no job would ever start: ask for fewer threads in the study's file, or name another partition "
            "with --default-resources slurm_partition=NAME"
        )
    if not partition.up:
        print(f"study: the partition {partition.name} is closed: jobs wait there until it is opened")
    return min(study.wide_threads, partition.cpus)


def with_status_command(snakemake: Sequence[str]) -> list[str]:
    """Add to Snakemake's options the command by which it learns which jobs have ended, where it was not given.

    The plugin takes `sacct` where it is installed, and waits for ever where it is and nothing is accounted.
    """
    given = {one.split("=")[0] for one in snakemake}
    if executor_of(snakemake) != "slurm" or _STATUS_COMMAND in given or shutil.which("squeue") is None:
        return list(snakemake)
    if ask("sacct", "--allocations", "--noheader") is not None:
        return list(snakemake)
    added = [_STATUS_COMMAND, "squeue"]
    remembered = re.search(r"^MinJobAge\s*=\s*(\d+)", ask("scontrol", "show", "config") or "", re.MULTILINE)
    if remembered and int(remembered[1]) < 40 * _CHECKS and _FIRST_CHECK not in given:
        added += [_FIRST_CHECK, str(max(1, int(remembered[1]) // _CHECKS))]
    return [*snakemake, *added]


def who_waits(log: Path) -> str | None:
    """Say how many jobs wait and why, such as ``2 waiting (Resources)``; lasting reasons are explained.

    Args:
        log: Log of Snakemake, which names its run.

    Returns:
        None where no job waits, or where Slurm has none of them.
    """
    run = _RUN.search(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else None
    said = ask("squeue", "--noheader", "--states=PENDING", f"--name={run[1]}", "--format=%r") if run else None
    return in_words([line.strip().strip("()") for line in (said or "").splitlines() if line.strip()])


def in_words(reasons: Sequence[str]) -> str | None:
    """Say the reasons of jobs that wait, most frequent first."""
    counted = Counter(reasons).most_common()
    named = [f"{reason}: {_NEVER[reason]}" if reason in _NEVER else reason for reason, _ in counted]
    return f"{len(reasons)} waiting ({'; '.join(named)})" if reasons else None
