"""Rows that nobody keeps: their disk is given back, and what stays is what was written."""

from pathlib import Path

import numpy as np
import pytest

from ecg_lightning.storage.kept_rows import keep_rows
from ecg_lightning.storage.store import RowStore, StoreSpec


def store(folder: Path, dtype: str = "float32") -> RowStore:
    spec = StoreSpec(dims=("row", "sample"), shape=(40, 4096), dtype=dtype, unit="1", network="n", examples="e")
    made = RowStore.create(folder, spec)
    made.write(np.arange(39), np.arange(39 * 4096).reshape(39, 4096) % 2000)
    made.merge()
    return made


def disk(path: Path) -> int:
    return (path / "rows.npy").stat().st_blocks * 512


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_stays_is_what_was_written(tmp_path: Path, dtype: str) -> None:
    made = store(tmp_path / "s", dtype)
    before, room, size = made.read(np.arange(40)), disk(made.path), (made.path / "rows.npy").stat().st_size
    kept = np.isin(np.arange(40), (3, 17, 39))  # row 39 was never done
    keep_rows(made, kept)
    opened = RowStore.open(tmp_path / "s")
    assert np.flatnonzero(opened.done).tolist() == [3, 17]
    np.testing.assert_array_equal(opened.read([3, 17]), before[[3, 17]])
    assert np.isnan(opened.read(np.flatnonzero(~opened.done))).all()
    assert not len(opened.damaged())
    assert (made.path / "rows.npy").stat().st_size == size
    assert disk(made.path) < 0.25 * room


def test_they_can_be_written_again(tmp_path: Path) -> None:
    made = store(tmp_path / "s")
    spec, before = made.spec, made.read(np.arange(40))
    keep_rows(made, np.arange(40) < 2)
    again = RowStore.create(tmp_path / "s", spec)
    assert again.missing().tolist() == list(range(2, 40))
    again.write(np.arange(2, 39), before[2:39])
    again.merge()
    np.testing.assert_array_equal(RowStore.open(tmp_path / "s").read(np.arange(39)), before[:39])


def test_another_number_of_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 40 rows, got \\(3,\\) of which to keep"):
        keep_rows(store(tmp_path / "s"), np.ones(3, dtype=np.bool_))
