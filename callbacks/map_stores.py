"""The stores of the maps and of their reliability, with what every rank may ask of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray
from torch import Tensor

from callbacks.current_run import open_store
from callbacks.test_seal import close_store
from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.experiments.example_choice import balanced_choice
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.storage.kept_rows import keep_rows
from ecg_lightning.storage.store import Rows, RowStore, StoreSpec


class MapStores:
    """``maps/<method>/`` (n, lead, sample), and ``reliability/<method>/`` (n,) of the stochastic methods.

    Attributes:
        maps: Name -> store.
        reliability: Name -> store.
    """

    def __init__(self) -> None:
        self.maps: dict[str, RowStore] = {}
        self.reliability: dict[str, RowStore] = {}

    def open(
        self,
        trainer: Trainer,
        folder: Path,
        methods: Sequence[AttributionMethod],
        specs: Mapping[str, StoreSpec],
        on_mismatch: OnMismatch,
    ) -> None:
        """Make or resume the stores.

        Args:
            trainer: The trainer.
            folder: Of the run.
            methods: The methods.
            specs: What the store of each method's maps holds.
            on_mismatch: What to do with a store of other settings.
        """
        for method in methods:
            name, spec = method.name, specs[method.name]
            self.maps[name] = open_store(trainer, folder / "maps" / name, spec, on_mismatch)
            if method.stochastic:
                alone = replace(
                    spec, dims=("row",), shape=spec.shape[:1], coords={}, dtype="float32", unit="correlation"
                )
                self.reliability[name] = open_store(trainer, folder / "reliability" / name, alone, on_mismatch)

    def missing(self, name: str, rows: Rows | None = None) -> Rows:
        """Rows without a map, or without the reliability of a map that has one."""
        missing = self.maps[name].missing(rows)
        if name in self.reliability:
            missing = np.union1d(missing, self.reliability[name].missing(rows))
        return missing

    def write(self, name: str, rows: Rows, maps: Tensor, reliability: Tensor | None = None) -> None:
        """Write maps (k, lead, sample), and the reliability (k,) of a stochastic method's."""
        if (
            name in self.reliability and reliability is not None
        ):  # before the maps: a row of these is done when both are
            self.reliability[name].write(rows, reliability.float().numpy())
        maps = maps.cpu()
        self.maps[name].write(rows, (maps if maps.dtype == torch.float64 else maps.float()).numpy())

    def read(self, name: str, rows: Rows, device: torch.device | str) -> Tensor:
        """Maps (k, lead, sample) float32; NaN where there is none."""
        return torch.from_numpy(self.maps[name].read(rows)).to(device, torch.float32)

    def close(self, trainer: Trainer) -> None:
        """Unite the ranks' rows once all have written."""
        for store in (*self.reliability.values(), *self.maps.values()):
            close_store(trainer, store)

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Give back the disk of the maps of other ECGs; on rank zero, when nobody reads them any more."""
        for store in self.maps.values():
            keep_rows(RowStore.open(store.path), kept)

    @property
    def gigabytes(self) -> float:
        """On the disk, all maps together."""
        return sum(store.spec.row_bytes * len(store) for store in self.maps.values()) / 1e9

    def digests(self, names: Sequence[str], drawn_by: JSON) -> dict[str, JSON]:
        """Name -> hash of everything that determines the maps of a method; of a control, what it is drawn by."""
        return {name: self.maps[name].spec.digest if name in self.maps else drawn_by for name in names}


def check_kept(ecgs: int | None) -> int | None:
    """Return how many ECGs keep their maps.

    Raises:
        ValueError: None of them.
    """
    if ecgs is not None and ecgs < 1:
        raise ValueError(f"keep_maps: expected 1 ECG or more, or null for all, got {ecgs}")
    return ecgs


def chosen_to_keep(examples: pd.DataFrame, most: int) -> NDArray[np.bool_]:
    """Choose the ECGs whose maps stay, (n,), by a hash of their ids: half of them with the diagnosis, where there are.

    Args:
        examples: The test ECGs.
        most: How many at most.
    """
    label = examples["label"].to_numpy(dtype=np.float64)
    return balanced_choice(examples["ecg_id"].tolist(), label, most, examples["patient_id"].tolist())
