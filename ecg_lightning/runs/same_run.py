"""A ``fit`` may go on where its run's folder holds an earlier one of the same settings."""

import time
from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path
from typing import Final, get_args

import yaml

from ecg_lightning.runs.layout import OnMismatch, RunPaths
from ecg_lightning.storage.hashing import differences, listed
from ecg_lightning.storage.readers import DamagedFileError, reading

SETTINGS_IGNORED_ON_RESUME: Final = (
    "config",
    "ckpt_path",
    "ids",
    "on_mismatch",
    "root",
    "runs",
    "study",
    "verbose",
    "weights_only",
    "data.cache_dir",
    "data.num_workers",
    "data.processes",
    "data.eval_batch_size",
    "data.source.init_args.root",
    "checkpoint.dirpath",
    "checkpoint.verbose",
    "last_checkpoint",
    "trainer.accelerator",
    "trainer.strategy",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.logger",
    "trainer.callbacks",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.profiler",
    "trainer.log_every_n_steps",
)
"""Settings that do not change what a network learns: where, with how many devices, and what is logged."""


class RunMismatchError(ValueError):
    """A run folder holds a run of other settings."""


def check_same_run(run: RunPaths, config: Mapping[str, object], on_mismatch: OnMismatch, *, moves: bool = True) -> bool:
    """Find out if the folder holds an earlier ``fit`` of the same settings, which may be resumed.

    Args:
        run: The run whose folder it is.
        config: The resolved configuration of this ``fit``.
        on_mismatch: ``error``, or ``replace``: move a folder of other settings aside.
        moves: Whether this process moves it; among several ranks only one may.

    Raises:
        RunMismatchError: Other settings (the message names each with both values), or unknown ones.
        ValueError: Another ``on_mismatch``.
    """
    if on_mismatch not in get_args(OnMismatch):
        raise ValueError(f"on_mismatch must be one of {', '.join(get_args(OnMismatch))}; got {on_mismatch!r}")
    problem = _mismatch(run, config)
    if problem is None:
        return run.last_checkpoint.is_file()
    if on_mismatch == "replace":
        if moves:
            _move_aside(run.path)
        return False
    raise RunMismatchError(
        f"{problem}\nGive this run another --study, repeat the earlier settings to resume it, or pass "
        "--on_mismatch replace to move the old folder aside"
    )


def _mismatch(run: RunPaths, config: Mapping[str, object]) -> str | None:
    """What keeps the folder's run from being this one, in words; None where nothing does."""
    earlier = run.config("fit")
    if not earlier.is_file():
        if not run.last_checkpoint.is_file():
            return None
        return f"{run.last_checkpoint} is of a run whose settings are not known: {earlier} is missing."
    try:
        with reading(earlier, "Put a copy back"):
            before = yaml.safe_load(earlier.read_text(encoding="utf-8"))
    except DamagedFileError as error:
        return f"{error}."
    if not isinstance(before, dict):
        return f"{earlier} is not a configuration."
    lines = differences(before, config, ("there", "now"), apart_from=SETTINGS_IGNORED_ON_RESUME)
    return "\n  ".join([f"{run.path} holds a run of other settings:", listed(lines, "\n  ")]) if lines else None


def _move_aside(folder: Path) -> None:
    name = f"{folder.name}.replaced-{time.strftime('%Y%m%d-%H%M%S')}"
    names = chain([name], (f"{name}-{number}" for number in count(2)))  # more than one in a second
    folder.rename(next(aside for aside in map(folder.with_name, names) if not aside.exists()))
