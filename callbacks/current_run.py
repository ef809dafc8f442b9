"""What every callback needs of the run that goes on: its folder, its datamodule, and stores that all ranks write."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from lightning.pytorch import Callback, LightningModule, Trainer

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.ecg import format_settings
from ecg_lightning.models.classifier import EcgClassifier
from ecg_lightning.models.own_statistics import has_own_statistics
from ecg_lightning.runs.layout import OnMismatch, RunPaths
from ecg_lightning.storage.hashing import JSON, digest_settings, digest_state_dict
from ecg_lightning.storage.store import RowStore, StoreMismatchError, StoreSpec

T = TypeVar("T")
C = TypeVar("C", bound=Callback)


def run_folder(trainer: Trainer) -> RunPaths:
    """The run's folder: the trainer's ``default_root_dir``.

    Raises:
        ValueError: It isn't ``.../<study>/<target>/seed<k>``; without that, results would land anywhere.
    """
    path = Path(trainer.default_root_dir)
    if not re.fullmatch(r"seed\d+", path.name):
        raise ValueError(
            f"results belong into a run folder runs/<study>/<target>/seed<k>, the trainer's folder is {path}: pass "
            "`Trainer(default_root_dir='runs/my_study/sinus_rhythm/seed0')`"
        )
    return RunPaths(path)


def callback_before(trainer: Trainer, reader: Callback, kind: type[C]) -> C:
    """The callback of a kind that stands before another one that reads its results.

    Raises:
        ValueError: There is none, or it comes later.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks[: callbacks.index(reader)]:
        if isinstance(callback, kind):
            return callback
    name = kind.__name__
    raise ValueError(
        f"{type(reader).__name__} reads what {name} computes: put {name} before it in the trainer's `callbacks`"
    )


def check_interval_settings(asks: str, n_resamples: int, confidence: float) -> None:
    """Raise a ValueError for fewer than 100 bootstrap resamples, or a confidence outside (0, 1)."""
    if n_resamples < 100 or not 0 < confidence < 1:
        raise ValueError(
            f"{asks}: expected at least 100 resamples and a confidence between 0 and 1, got {n_resamples} and "
            f"{confidence}"
        )


def datamodule_of(trainer: Trainer, asks: str) -> EcgDataModule:
    """Return the trainer's datamodule.

    Args:
        trainer: The trainer.
        asks: Name of the callback that needs it, for the error.

    Raises:
        TypeError: There is none, or one that doesn't tell ECG ids and backgrounds.
    """
    datamodule = getattr(trainer, "datamodule", None)
    if not isinstance(datamodule, EcgDataModule):
        raise TypeError(
            f"{asks} needs an EcgDataModule, which knows the ECGs' ids, got {type(datamodule).__name__}: call "
            "`trainer.test(model, datamodule=EcgDataModule(source=...))`, with a Source of your own for your data"
        )
    return datamodule


def classifier_of(module: LightningModule, asks: str) -> EcgClassifier:
    """The module as an EcgClassifier.

    Raises:
        TypeError: Another kind of module.
    """
    if not isinstance(module, EcgClassifier):
        raise TypeError(
            f"{asks} needs an EcgClassifier, got {type(module).__name__}: wrap your network, `EcgClassifier(network)`"
        )
    return module


def on_rank_zero(trainer: Trainer, action: Callable[[], T]) -> T | None:
    """Run an action on rank zero while the others wait; if it fails, every rank stops.

    Without this, the other ranks would wait at the next barrier until the process group times out.

    Returns:
        What the action gave on rank zero, None elsewhere.
    """
    result, error = None, None
    if trainer.is_global_zero:
        try:
            result = action()
        except Exception as caught:  # told to the other ranks, then raised again
            error = caught
    told = trainer.strategy.broadcast(None if error is None else f"{type(error).__name__}: {error}")
    if error is not None:
        raise error
    if told is not None:
        raise RuntimeError(f"rank zero stopped: {told}")
    return result


def open_store(trainer: Trainer, path: Path, spec: StoreSpec, on_mismatch: OnMismatch) -> RowStore:
    """Make or resume a store on rank zero, attach to it on the others; what is damaged in it is computed again."""
    made = on_rank_zero(trainer, lambda: RowStore.create(path, spec, on_mismatch=on_mismatch, on_damage="replace"))
    return made if made is not None else RowStore.attach(path, spec, rank=trainer.global_rank)


def open_derived_store(trainer: Trainer, path: Path, spec: StoreSpec) -> RowStore:
    """As ``open_store``, for rows that follow from other stores in no time: other settings delete the old ones."""

    def make() -> RowStore:
        try:
            return RowStore.create(path, spec, on_damage="replace")
        except StoreMismatchError:
            shutil.rmtree(path)
            return RowStore.create(path, spec)

    made = on_rank_zero(trainer, make)
    return made if made is not None else RowStore.attach(path, spec, rank=trainer.global_rank)


def identity(module: EcgClassifier, datamodule: EcgDataModule) -> tuple[str, str, dict[str, JSON]]:
    """What every test-time store depends on: hash of the weights, hash of the test ECGs, and the network's structure.

    The state dict alone would not tell a max-pooling shortcut from an average-pooling one.
    """
    structure = digest_settings({"structure": str(module.network)})
    settings: dict[str, JSON] = {"target": datamodule.target, "network_structure": structure}
    settings |= format_settings(datamodule.signal_format)
    if has_own_statistics(module.network):
        settings["statistics"] = "of each ECG, held for its maps"
    return digest_state_dict(module.network.state_dict()), datamodule.examples_digest("test"), settings
