"""What a ``fit`` leaves beside its checkpoints: the study's splits, and that it has ended."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from numpy.typing import NDArray

from callbacks.current_run import datamodule_of, on_rank_zero, run_folder
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.dataset import BeatDataset
from ecg_lightning.data.study_splits import check_study_splits
from ecg_lightning.runs.finished import TARGET_INFO
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.sealing import is_as_sealed, remedy_of, seal_fit
from ecg_lightning.storage.atomic import atomic_path, write_parquet_atomic
from ecg_lightning.storage.readers import CHANGED, DamagedFileError, read_array, read_table

MAX_KEPT_BEATS: Final = 20_000
"""Test ECGs that a study keeps beside its splits (384 MB)."""

_BLOCK: Final = 512


class SplitsAndFitSeal(Callback):
    """Writes the study's ECGs at the start of ``fit`` and ``fit.done.json`` at its end.

    In ``runs/<study>/``: ``splits.parquet``, ``population.parquet`` and ``rejected.parquet``.
    ``fit.done.json`` seals them, the checkpoints and ``fit.yaml``: a change of any of them is noticed from then on. It
    is not written where no network was kept (``fast_dev_run``, no epoch, a ``max_time`` that ends before it),
    and it says below ``limits`` which options left out a part of the training or validation ECGs.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Every run of a study shares one split of the ECGs."""
        datamodule, paths = datamodule_of(trainer, "SplitsAndFitSeal"), run_folder(trainer)
        on_rank_zero(trainer, lambda: record_splits(paths, datamodule))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take away the record of a fit that goes on; one that trains nothing does not come here."""
        if not _is_trial(trainer):
            on_rank_zero(trainer, lambda: run_folder(trainer).fit_record.unlink(missing_ok=True))

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Only a ``fit`` that came to its own end, and kept a network, is done; an interrupted one resumes."""
        if not trainer.interrupted:
            on_rank_zero(trainer, lambda: _record_end(trainer))


def record_splits(paths: RunPaths, datamodule: EcgDataModule) -> None:
    """Write the study's splits, or compare them with those that are there; and who the patients are.

    A file that is damaged, or says something else than the data, is written anew with a warning; readable splits that
    differ are of other data.

    Raises:
        ValueError: The study was split otherwise, or has other ECGs.
    """
    check_splits(paths, datamodule)
    for path, make in (
        (paths.population, datamodule.population),
        (paths.rejected, lambda: datamodule.cache.rejected),
        (paths.splits, datamodule.splits),
    ):
        table = make()
        if not path.is_file() or _is_other_table(path, table, paths):
            write_parquet_atomic(path, table)


def record_test_beats(paths: RunPaths, datamodule: EcgDataModule, most: int = MAX_KEPT_BEATS) -> None:
    """Keep the study's test ECGs once, so that its report can draw them where the data is not.

    Beats that are damaged, or are not those of the data, are written anew with a warning.

    Args:
        paths: Of a run.
        datamodule: Its data.
        most: No more than so many ECGs are kept.
    """
    dataset = datamodule.dataset("test")
    if len(dataset) > most or (paths.test_beats.is_file() and not _are_other_beats(paths.test_beats, dataset)):
        return
    first = dataset.__getitems__([0])["ecg"]
    with atomic_path(paths.test_beats) as part, part.open("wb") as file:
        shape = (len(dataset), *first.shape[1:])
        np.lib.format.write_array_header_2_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for _, beats in _beat_blocks(dataset):
            file.write(beats.tobytes())


def check_splits(paths: RunPaths, datamodule: EcgDataModule) -> None:
    """Compare this run's data with the study's, if that has any yet.

    Raises:
        ValueError: The study was split otherwise, or has other ECGs; the message names what differs.
        DamagedFileError: So it seems, because its splits were changed after they were written.
    """
    try:
        check_study_splits(paths.splits, datamodule.splits())
    except ValueError as error:
        if is_as_sealed(paths, paths.splits.name):
            raise
        why = f"{CHANGED}, and now contradicts the data: {error}"
        raise DamagedFileError(paths.splits, why, remedy_of(f"../../{paths.splits.name}")) from error


def _is_other_table(path: Path, table: pd.DataFrame, paths: RunPaths) -> bool:
    """Whether a table of the study has to be written anew; says so."""
    why = "" if is_as_sealed(paths, path.name) else CHANGED
    try:
        there = read_table(path, remedy_of(f"../../{path.name}"))
        if not there.equals(table) or (there.attrs and there.attrs != table.attrs):  # earlier versions kept none
            why = why or "it says something else than the data that this run reads"
    except DamagedFileError as error:
        why = error.why
    return _is_written_anew(path, why)


def _are_other_beats(path: Path, dataset: BeatDataset) -> bool:
    """Whether the kept beats have to be written anew; says so."""
    try:
        there = read_array(path, remedy_of(f"../../{path.name}"))
        blocks = _beat_blocks(dataset)
        same = len(there) == len(dataset) and all(np.array_equal(there[rows], beats) for rows, beats in blocks)
        why = "" if same else "it holds other beats than the data that this run reads"
    except DamagedFileError as error:
        why = error.why
    return _is_written_anew(path, why)


def _is_written_anew(path: Path, why: str) -> bool:
    if why:
        rank_zero_warn(f"{path} is written anew: {why}")
    return bool(why)


def _beat_blocks(dataset: BeatDataset) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Rows of the test ECGs, and their beats as they lie in the file."""
    for start in range(0, len(dataset), _BLOCK):
        rows = range(start, min(start + _BLOCK, len(dataset)))
        yield slice(rows.start, rows.stop), dataset.__getitems__(list(rows))["ecg"].numpy().astype("<f4")


def _is_trial(trainer: Trainer) -> bool:
    """Whether it runs a few batches without keeping anything (``fast_dev_run``)."""
    return bool(trainer.fast_dev_run)  # type: ignore[attr-defined]


def _record_end(trainer: Trainer) -> None:
    paths = run_folder(trainer)
    if _is_trial(trainer) or not trainer.global_step or not _kept_a_network(trainer):
        rank_zero_warn(f"{paths.path} is not trained: {_why_no_network(trainer)}; fit.done.json is not written")
        return
    limits = _limits(trainer)
    if limits:
        words = ", ".join(f"{name} {value}" for name, value in limits.items())
        rank_zero_info(f"{paths.path}: the training or its validation was limited, as its record says: {words}")
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    checkpoint = next((c for c in callbacks if isinstance(c, ModelCheckpoint) and c.monitor), None)
    score = None if checkpoint is None or checkpoint.best_model_score is None else float(checkpoint.best_model_score)
    seal_fit(
        paths,
        {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "monitor": None if checkpoint is None else checkpoint.monitor,
            "best_score": score,
            "limits": limits,
            TARGET_INFO: datamodule_of(trainer, "SplitsAndFitSeal").target_info.as_dict(),
        },
    )


def _kept_a_network(trainer: Trainer) -> bool:
    """Whether a checkpoint is in the run's folder, or where a callback of the user's has put it."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    paths = [one.best_model_path for one in callbacks if isinstance(one, ModelCheckpoint)]
    elsewhere = any(path and Path(path).exists() for path in paths)
    return elsewhere or any(run_folder(trainer).checkpoints.glob("*.ckpt"))


def _why_no_network(trainer: Trainer) -> str:
    if _is_trial(trainer):
        return "fast_dev_run tries a batch of each kind and keeps no network. Give `fit` again without it"
    if not trainer.global_step:
        return (
            f"no step was made (max_epochs {trainer.max_epochs}, max_steps {trainer.max_steps}, limit_train_batches "
            f"{trainer.limit_train_batches}, or a max_time that was over). Give `fit` again with an epoch or more"
        )
    return (
        f"it ended after {trainer.global_step} steps, before a checkpoint was kept (one is kept after each epoch's "
        "validation). Give `fit` again with more time or steps, or with checkpoints"
    )


def _limits(trainer: Trainer) -> dict[str, int | float]:
    """The options that left out a part of the training or validation ECGs."""
    whole: dict[str, int | float] = {"limit_train_batches": 1.0, "limit_val_batches": 1.0, "overfit_batches": 0.0}
    given = {name: getattr(trainer, name) for name in whole}
    # of a limit, 1 is one batch and 1.0 is all of them
    return {
        name: value for name, value in given.items() if value != whole[name] or type(value) is not type(whole[name])
    }
