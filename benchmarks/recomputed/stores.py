"""Reads the files of a run by their documented format alone (docs/contract.md)."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Store:
    """A RowStore.

    Attributes:
        values: (row, ...) float64, NaN in rows that are not done.
        done: (row,).
        dims: Names of the dimensions.
        coords: Dimension -> what stands along it.
        settings: What determined the rows.
    """

    values: Array
    done: NDArray[np.bool_]
    dims: list[str]
    coords: dict[str, list]
    settings: dict

    @classmethod
    def open(cls, folder: Path) -> "Store":
        """Read everything; a NumPy array and masks of finished rows."""
        manifest = json.loads((folder / "manifest.json").read_text())
        rows = np.load(folder / "rows.npy", mmap_mode="r")
        done = np.zeros(len(rows), dtype=bool)
        for mask in folder.glob("done.*.npy"):
            done |= np.load(mask).astype(bool)
        values = np.asarray(rows, dtype=np.float64).copy()
        values[~done] = np.nan
        return cls(values, done, manifest["dims"], manifest["coords"], manifest["settings"])


@dataclass(frozen=True)
class RunFiles:
    """A finished run.

    Attributes:
        path: ``runs/<study>/<target>/seed<k>``.
    """

    path: Path

    def has(self, store: str) -> bool:
        """Whether there is such a store."""
        return (self.path / store / "manifest.json").is_file()

    def store(self, name: str) -> Store:
        """Open one."""
        return Store.open(self.path / name)

    def store_row(self, name: str, row: int) -> Array:
        """One row of a store that is too large to be read for it."""
        return np.asarray(np.load(self.path / name / "rows.npy", mmap_mode="r")[row], dtype=np.float64)

    def names(self, folder: str) -> list[str]:
        """Stores in a folder."""
        return store_names(self.path / folder)

    @cached_property
    def examples(self) -> pd.DataFrame:
        """The test ECGs."""
        return pd.read_parquet(self.path / "examples.parquet")

    @cached_property
    def label(self) -> Array:
        """(row,) 1, 0 or NaN."""
        return self.examples["label"].to_numpy(dtype=np.float64)

    @cached_property
    def metrics(self) -> dict:
        """``metrics.json``."""
        return json.loads((self.path / "metrics.json").read_text())

    @property
    def seed(self) -> int:
        """Of the training."""
        return int(self.path.name.removeprefix("seed"))

    @property
    def target(self) -> str:
        """The diagnosis."""
        return self.path.parent.name

    @property
    def methods(self) -> list[str]:
        """Methods with stored maps."""
        return self.names("maps")

    @property
    def asked(self) -> list[str]:
        """Methods that were asked for, those among them that give wrong maps on this network."""
        lint = self.path / "tables" / "lint.parquet"
        return sorted({*self.methods, *(pd.read_parquet(lint)["method"] if lint.is_file() else ())})

    def unit(self, store: str) -> str:
        """Of a store's values."""
        return json.loads((self.path / store / "manifest.json").read_text())["unit"]

    def settings(self, store: str) -> dict:
        """What determined a store's rows."""
        return json.loads((self.path / store / "manifest.json").read_text())["settings"]


def store_names(folder: Path) -> list[str]:
    """Stores in a folder, without those that were moved aside."""
    found = (one.parent.name for one in folder.glob("*/manifest.json"))
    return sorted(name for name in found if ".replaced-" not in name)


def finished_runs(study: Path) -> dict[str, list[RunFiles]]:
    """Target -> its tested runs by seed."""
    found: dict[str, list[RunFiles]] = {}
    for done in sorted(study.glob("*/seed*/test.done.json")):
        run = RunFiles(done.parent)
        found.setdefault(run.target, []).append(run)
    return {target: sorted(runs, key=lambda run: run.seed) for target, runs in found.items()}


def joined(runs: list[RunFiles]) -> list[np.ndarray]:
    """Rows of each run in the order of the first one's ECGs."""
    ids = runs[0].examples["ecg_id"]
    return [run.examples.set_index("ecg_id").loc[ids, "row"].to_numpy() for run in runs]


def read_runs(runs: list[RunFiles], name: str) -> tuple[Array, Store]:
    """(seed, ecg, ...) in the order of the first run's ECGs, and one of the stores."""
    stores = [run.store(name) for run in runs]
    return np.stack([one.values[rows] for one, rows in zip(stores, joined(runs), strict=True)]), stores[0]
