"""What a ``fit`` leaves beside its checkpoints: the study's splits, and that it has ended."""

import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.ranks import datamodule_of, on_rank_zero, run_folder
from ecg_lightning.atomic import write_json_atomic, write_parquet_atomic
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.run_layout import RunFolder


class FitRecord(Callback):
    """Writes ``runs/<study>/splits.parquet`` at the start of ``fit`` and ``fit.done.json`` at its end."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Every run of a study shares one split of the ECGs."""
        datamodule = datamodule_of(trainer, "FitRecord")
        on_rank_zero(trainer, lambda: record_splits(run_folder(trainer), datamodule))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Only a ``fit`` that came to its own end is done; an interrupted one resumes."""
        if not trainer.interrupted:
            on_rank_zero(trainer, lambda: _record_end(trainer))


def record_splits(folder: RunFolder, datamodule: EcgDataModule) -> None:
    """Write the study's splits, or compare them with those that are there.

    Raises:
        ValueError: The study was split otherwise, or has other ECGs.
    """
    check_splits(folder, datamodule)
    if not folder.splits.is_file():
        write_parquet_atomic(folder.splits, datamodule.splits())


def check_splits(folder: RunFolder, datamodule: EcgDataModule) -> None:
    """Compare this run's splits with the study's, if that has any yet.

    Raises:
        ValueError: The study was split otherwise, or has other ECGs.
    """
    if not folder.splits.is_file():
        return
    before, splits = pd.read_parquet(folder.splits), datamodule.splits()
    if not before.equals(pd.DataFrame(splits).reset_index(drop=True)):
        raise ValueError(
            f"the study {folder.splits.parent.name} was split otherwise, or from other ECGs: {folder.splits} has "
            f"{_counts(before)}, this run has {_counts(splits)}. Use another --study (a test on another archive "
            "needs one of its own), or the same source, `data.split` and `data.split_seed`"
        )


def _counts(splits: pd.DataFrame) -> str:
    return ", ".join(f"{count} {name}" for name, count in splits["split"].value_counts().sort_index().items())


def _record_end(trainer: Trainer) -> None:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    checkpoint = next((c for c in callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)
    score = None if checkpoint is None or checkpoint.best_model_score is None else float(checkpoint.best_model_score)
    write_json_atomic(
        run_folder(trainer).fit_record,
        {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "monitor": None if checkpoint is None else checkpoint.monitor,
            "best_score": score,
        },
    )
