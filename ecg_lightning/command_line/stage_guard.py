"""What guards a stage of one network: its folder's lock, its end by a signal, and a word about an unfinished fit."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn

from ecg_lightning.cards import CardError
from ecg_lightning.data.label_checks import LabelsError
from ecg_lightning.ecg import SignalFormatError
from ecg_lightning.endings import STOPPED, before_end, end_from_handler, ends_when_told, is_rank_zero
from ecg_lightning.models.plain_checkpoints import CheckpointError
from ecg_lightning.runs.checkpoints import epoch_of
from ecg_lightning.runs.finished import unfinished_fit
from ecg_lightning.runs.run_lock import RunLock
from ecg_lightning.runs.same_run import RunMismatchError
from ecg_lightning.storage.manifest import StoreError
from ecg_lightning.storage.plain_values import UntrustedContentError
from ecg_lightning.storage.readers import DamagedFileError
from ecg_lightning.wandb_logger import RunLogger

TOLD: Final = (
    CardError,
    CheckpointError,
    DamagedFileError,
    LabelsError,
    RunMismatchError,
    SignalFormatError,
    StoreError,
    UntrustedContentError,
)
"""Errors of what the user has given: their words say all, and a traceback before them hides it."""

_ALONE: Final = ("fit", "test", "tune")
"""Stages that write what another one of them writes too."""


def lock_of(stage: str, folder: str) -> RunLock | None:
    """The lock that this process takes for a stage; None for stages that need none, and for other ranks than zero."""
    return RunLock(Path(folder), stage) if stage in _ALONE and is_rank_zero() else None


def end_trainer_when_told(trainer: Trainer) -> None:
    """Have a process that ends when it is told to do so under Lightning too, with ranks and loggers.

    Lightning's own handler of SIGTERM notes it for the loops, which look for it between two batches, skip what is
    left and end with status 0; in the other ranks it waits for a broadcast. Its handler of SIGUSR1, which Slurm sends
    before a time limit if asked to, stays.
    """
    if not ends_when_told():
        return
    trainer._signal_connector._sigterm_notifier_fn = end_from_handler  # type: ignore[assignment, method-assign]
    launcher = trainer.strategy.launcher
    if launcher is not None:
        before_end(lambda: launcher.kill(signal.SIGTERM))
    for logger in trainer.loggers:
        if isinstance(logger, RunLogger):
            before_end(lambda logger=logger: logger.finish(STOPPED[signal.SIGTERM]))  # type: ignore[misc]


def warn_if_unfinished(checkpoint: Path, content: Mapping[str, Any]) -> None:
    """Say that a checkpoint is of a run folder whose ``fit`` has not come to its end.

    Args:
        checkpoint: The file.
        content: What it holds.
    """
    if folder := unfinished_fit(checkpoint):
        rank_zero_warn(
            f"{checkpoint} is of a fit that is not finished ({folder.fit_record} is missing): it is the network of "
            f"{epoch_of(content)}. Give the fit's command again, which goes on where it was; what is computed now is "
            "of the epochs so far"
        )
