import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_ecg import write_ptbxl

from ecg_lightning.data import cache as module
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import PtbXl


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ptbxl")
    write_ptbxl(root, [(50.0, "{'SR': 0.0}")] * 6)
    return prepare(PtbXl(root), root / "cache", processes=1, progress=False).folder


@pytest.fixture
def cache(prepared: Path, tmp_path: Path) -> BeatCache:
    """A copy that a test may damage."""
    return BeatCache.open(shutil.copytree(prepared, tmp_path / "cache"))


@pytest.mark.parametrize("chunk", [1, 4, 128])
@pytest.mark.parametrize("rows", [[0], [5, 0, 3], [2, 2, 1, 2], list(range(6)), []])
def test_rows_come_in_the_order_asked_for(
    cache: BeatCache, rows: list[int], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    out = cache.read_beats(np.array(rows, dtype=np.intp))
    assert out.dtype == np.float32
    assert out.shape == (len(rows), 8, 600)
    expected = np.load(cache.folder / "beats.npy")[np.array(rows, dtype=int)].astype(np.float64) / 1000
    np.testing.assert_allclose(out, expected, rtol=1e-6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=20))
def test_a_batch_is_its_rows(cache: BeatCache, rows: list[int]) -> None:
    out = cache.read_beats(np.array(rows, dtype=np.intp))
    for beat, row in zip(out, rows, strict=True):
        np.testing.assert_array_equal(beat, cache.read_beats(np.array([row]))[0])


def test_the_batch_is_a_copy_and_the_map_is_read_only(cache: BeatCache) -> None:
    cache.read_beats(np.array([0]))[:] = 0.0
    assert cache.beats[0].any()
    assert isinstance(cache.beats, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        cache.beats[0] = 0


@pytest.mark.parametrize("rows", [[6], [-1], [0, 99]])
def test_rows_that_are_not_there(cache: BeatCache, rows: list[int]) -> None:
    with pytest.raises(IndexError, match="expected 0 to 5"):
        cache.read_beats(np.array(rows))


@pytest.mark.parametrize("rows", [np.zeros((2, 2), dtype=int), np.array([0.5])])
def test_rows_that_are_no_rows(cache: BeatCache, rows: np.ndarray) -> None:
    with pytest.raises(IndexError, match=r"expected \(batch,\) integers"):
        cache.read_beats(rows)


def test_it_travels_as_a_path(cache: BeatCache) -> None:
    assert cache.beats.any()
    packed = pickle.dumps(cache)
    assert len(packed) < 1000
    again: BeatCache = pickle.loads(packed)
    np.testing.assert_array_equal(again.beats, cache.beats)


def test_an_unknown_region(cache: BeatCache) -> None:
    assert cache.regions == ()
    with pytest.raises(KeyError, match="it has none"):
        cache.masks("QRS")


def test_no_cache(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no finished cache"):
        BeatCache.open(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["beats.npy", "examples.parquet", "rejected.parquet"])
def test_a_missing_file(cache: BeatCache, name: str) -> None:
    (cache.folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: no such file; .*overwrite"):
        BeatCache.open(cache.folder)


def test_a_truncated_file(cache: BeatCache) -> None:
    path = cache.folder / "beats.npy"
    content = path.read_bytes()
    for size in (len(content) - 1, 50, 0):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"beats\.npy: .*overwrite"):
            BeatCache.open(cache.folder)


def test_files_of_different_sizes(cache: BeatCache) -> None:
    cache.examples.head(5).to_parquet(cache.folder / "examples.parquet")
    with pytest.raises(ValueError, match=r"shape \(6, 8, 600\), expected \(5, 8, 600\)"):
        BeatCache.open(cache.folder)


def test_counts_that_disagree(cache: BeatCache) -> None:
    pd.DataFrame({"ecg_id": ["x"]}).to_parquet(cache.folder / "rejected.parquet")
    with pytest.raises(ValueError, match="counts 6 examples and 0 rejected, the tables hold 6 and 1"):
        BeatCache.open(cache.folder)


def test_another_format(cache: BeatCache) -> None:
    path = cache.folder / "cache.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 0}))
    with pytest.raises(ValueError, match="format 0, expected 1"):
        BeatCache.open(cache.folder)
