"""What a ``fit`` leaves beside its checkpoints: the study's splits, and that it has ended."""

from typing import Final

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from callbacks.ranks import datamodule_of, on_rank_zero, run_folder
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.study_splits import check_study_splits
from ecg_lightning.runs.layout import RunFolder
from ecg_lightning.storage.atomic import atomic_path, write_json_atomic, write_parquet_atomic

MAX_KEPT_BEATS: Final = 20_000
"""Test ECGs that a study keeps beside its splits (384 MB)."""

_BLOCK: Final = 512


class FitRecord(Callback):
    """Writes the study's ECGs at the start of ``fit`` and ``fit.done.json`` at its end.

    In ``runs/<study>/``: ``splits.parquet``, ``population.parquet`` and ``rejected.parquet``.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Every run of a study shares one split of the ECGs."""
        datamodule = datamodule_of(trainer, "FitRecord")
        on_rank_zero(trainer, lambda: record_splits(run_folder(trainer), datamodule))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Only a ``fit`` that came to its own end is done; an interrupted one resumes."""
        if not trainer.interrupted:
            on_rank_zero(trainer, lambda: _record_end(trainer))


def record_splits(folder: RunFolder, datamodule: EcgDataModule) -> None:
    """Write the study's splits, or compare them with those that are there; and who the patients are.

    Raises:
        ValueError: The study was split otherwise, or has other ECGs.
    """
    check_splits(folder, datamodule)
    for path, table in (
        (folder.population, datamodule.population),
        (folder.rejected, lambda: datamodule.cache.rejected),
        (folder.splits, datamodule.splits),
    ):
        if not path.is_file():
            write_parquet_atomic(path, table())


def record_test_beats(folder: RunFolder, datamodule: EcgDataModule, most: int = MAX_KEPT_BEATS) -> None:
    """Keep the study's test ECGs once, so that its report can draw them where the data is not.

    Args:
        folder: Of a run.
        datamodule: Its data.
        most: No more than so many ECGs are kept.
    """
    dataset = datamodule.dataset("test")
    if folder.test_beats.is_file() or len(dataset) > most:
        return
    first = dataset.__getitems__([0])["ecg"]
    with atomic_path(folder.test_beats) as part, part.open("wb") as file:
        shape = (len(dataset), *first.shape[1:])
        np.lib.format.write_array_header_2_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for start in range(0, len(dataset), _BLOCK):
            rows = list(range(start, min(start + _BLOCK, len(dataset))))
            file.write(dataset.__getitems__(rows)["ecg"].numpy().astype("<f4").tobytes())


def check_splits(folder: RunFolder, datamodule: EcgDataModule) -> None:
    """Compare this run's data with the study's, if that has any yet.

    Raises:
        ValueError: The study was split otherwise, or has other ECGs; the message names what differs.
    """
    check_study_splits(folder.splits, datamodule.splits())


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
