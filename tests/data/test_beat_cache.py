import json
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from older_caches import make_older
from synthetic_ecg import write_ptbxl

from ecg_lightning.data import cache as module
from ecg_lightning.data import cache_files
from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.cache_files import DamagedCacheError
from ecg_lightning.data.examples import digest_examples
from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import PtbXl, Synthetic


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


@pytest.mark.filterwarnings("ignore:.*earlier version")
def test_files_of_different_sizes(cache: BeatCache) -> None:
    make_older(cache.folder)
    cache.examples.head(5).to_parquet(cache.folder / "examples.parquet")
    with pytest.raises(ValueError, match=r"shape \(6, 8, 600\), expected \(5, 8, 600\)"):
        BeatCache.open(cache.folder)


@pytest.mark.filterwarnings("ignore:.*earlier version")
def test_counts_that_disagree(cache: BeatCache) -> None:
    make_older(cache.folder)
    pd.DataFrame({"ecg_id": ["x"]}).to_parquet(cache.folder / "rejected.parquet")
    with pytest.raises(ValueError, match=r"cache\.json: it counts 6 examples and 0 rejected, the tables hold 6 and 1"):
        BeatCache.open(cache.folder)


def test_another_format(cache: BeatCache) -> None:
    path = cache.folder / "cache.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 3}))
    with pytest.raises(ValueError, match="format 3, expected 2"):
        BeatCache.open(cache.folder)


# ---- damage


FILES = (
    "beats.npy",
    "beats.digests.npy",
    "examples.parquet",
    "rejected.parquet",
    "cache.json",
    "masks/causal/sinus_rhythm.npy",
    "masks/causal/sinus_rhythm.present.npy",
)
REGION = "causal/sinus_rhythm"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With masks."""
    return prepare(Synthetic(n_patients=12), tmp_path_factory.mktemp("simulated"), processes=1, progress=False).folder


def contents(folder: Path) -> dict[str, object]:
    """All that a cache gives, read by a process that has not read it before."""
    cache = BeatCache.open(folder)
    packed, present = cache.masks(REGION)
    return {
        "beats": cache.read_beats(np.arange(len(cache))),
        "microvolts": cache.read_microvolts(np.arange(len(cache))),
        "masks": np.array(packed),
        "present": present,
        "examples": cache.examples,
        "rejected": cache.rejected,
        "info": cache.info,
    }


def assert_same(found: dict[str, object], expected: dict[str, object]) -> None:
    for name, value in expected.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(found[name], value)
        else:
            np.testing.assert_equal(found[name], value)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_is_an_error_that_names_the_file_or_changes_nothing(
    simulated: Path, tmp_path: Path, data: st.DataObject
) -> None:
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(simulated, folder)
    file = folder / data.draw(st.sampled_from(FILES))
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "delete"])):
        case "flip":
            content[place] ^= 1 << data.draw(st.integers(0, 7))
            file.write_bytes(content)
        case "cut":
            file.write_bytes(content[:place])
        case "delete":
            file.unlink()
    try:
        found = contents(folder)
    except (DamagedCacheError, FileNotFoundError) as error:
        assert file.name in str(error)  # noqa: PT017
        assert "--overwrite true" in str(error) or file.name == "cache.json"  # noqa: PT017
    else:
        assert_same(found, contents(simulated))


@pytest.mark.slow
@pytest.mark.parametrize("one", [name for name in FILES if name != "rejected.parquet"])  # none is in either
def test_files_of_another_cache_are_damage(simulated: Path, tmp_path: Path, one: str) -> None:
    folder = shutil.copytree(simulated, tmp_path / "one")
    other = prepare(Synthetic(n_patients=12, simulation_seed=1), tmp_path, processes=1, progress=False).folder
    shutil.copy(other / one, folder / one)
    with pytest.raises(DamagedCacheError):
        contents(folder)


def test_a_damaged_beat_is_named_and_the_others_are_read(cache: BeatCache) -> None:
    beats = np.lib.format.open_memmap(cache.folder / "beats.npy", mode="r+")
    beats[4, 7, 599] ^= 1
    beats.flush()
    assert cache.read_beats(np.array([0, 5])).any()
    for read in (cache.read_beats, cache.read_microvolts):
        with pytest.raises(DamagedCacheError, match=r"beats\.npy: 1 of 3 beats .* row 4 .*`prepare`.*--overwrite true"):
            read(np.array([0, 4, 5]))
    with pytest.raises(DamagedCacheError, match="row 4"):  # what a run's stores are named by
        digest_examples(cache, pd.DataFrame({"cache_row": np.arange(6), "ecg_id": list("abcdef")}))


def test_a_beat_is_hashed_once_a_process(cache: BeatCache, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []

    def record(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        hashed.extend(rows.tolist())
        return digest_rows(rows, values)

    digest_rows = module.digest_rows
    monkeypatch.setattr(module, "digest_rows", record)
    for _ in range(3):
        cache.read_beats(np.array([1, 3, 2]))
        cache.read_beats(np.array([3, 4]))
    assert sorted(hashed) == [1, 2, 3, 4]


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_files, "_told_of_older_caches", False)


@pytest.mark.usefixtures("silent")
def test_an_older_cache_is_used_and_that_is_said_once(cache: BeatCache, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = cache.read_beats(np.arange(6))
    make_older(cache.folder)
    with pytest.warns(
        UserWarning, match=r"made by an earlier version, which kept no digests.*--overwrite true"
    ) as said:
        opened = [BeatCache.open(cache.folder) for _ in range(3)]
    assert len(said) == 1
    np.testing.assert_array_equal(opened[0].read_beats(np.arange(6)), expected)
    monkeypatch.setattr(cache_files, "_told_of_older_caches", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again: BeatCache = pickle.loads(pickle.dumps(opened[0]))  # a worker process
    np.testing.assert_array_equal(again.read_beats(np.arange(6)), expected)


def test_an_older_cache_is_found_by_the_same_settings(tmp_path: Path) -> None:
    folder = prepare(Synthetic(n_patients=12), tmp_path, processes=1, progress=False).folder
    make_older(folder)
    before = (folder / "cache.json").stat().st_mtime_ns
    assert prepare(Synthetic(n_patients=12), tmp_path, processes=1, progress=False).folder == folder
    assert (folder / "cache.json").stat().st_mtime_ns == before
    made_anew = prepare(Synthetic(n_patients=12), tmp_path, processes=1, progress=False, overwrite=True)
    assert made_anew.folder == folder
    assert made_anew.info["format"] == 2
