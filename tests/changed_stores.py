"""Stores whose rows are changed by a test, as if they had been computed so."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecg_lightning.storage.manifest import read_manifest
from ecg_lightning.storage.store import RowStore


def rewrite_rows(folder: Path, values: np.ndarray) -> None:
    """Make the store anew with other values, all done; it may get another number of rows."""
    spec = read_manifest(folder).spec
    shutil.rmtree(folder)
    with RowStore.create(folder, replace(spec, shape=(len(values), *spec.shape[1:]))) as store:
        store.write(np.arange(len(values)), values)


def forget_rows(folder: Path, rows: list[int]) -> None:
    """Rows that were never written."""
    for name in ("done", "digests"):
        marks = np.load(folder / f"{name}.0.npy")
        marks[rows] = 0
        np.save(folder / f"{name}.0.npy", marks)
