"""RowStore: what was marked done is right, whatever was killed, merged, resumed or broken."""

import errno
import io
import json
import math
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ecg_lightning.storage.store_files as files
from ecg_lightning.storage.manifest import read_manifest, write_manifest
from ecg_lightning.storage.store import (
    DiskSpaceError,
    RowStore,
    StoreCorruptError,
    StoreDamagedError,
    StoreMismatchError,
    StoreSpec,
)

ROWS = 40
SPEC = StoreSpec(
    dims=("row", "lead", "sample"),
    shape=(ROWS, 2, 3),
    coords={"lead": ("I", "II"), "sample": np.arange(3)},
    unit="1",
    settings={"method": "saliency", "sigma": 0.1, "nested": {"passes": [1, 2]}},
    network="aa",
    examples="bb",
)


def values_of(rows: np.ndarray, shape: tuple[int, ...] = (2, 3)) -> np.ndarray:
    """Every row its own values, so that a misplaced row shows."""
    size = math.prod(shape)
    return (np.asarray(rows)[:, None] * 100 + np.arange(size)).reshape(-1, *shape).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    return RowStore.create(tmp_path / "maps" / "saliency", SPEC)


# ---- writing and reading


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_sequence_of_writes_equals_an_array_in_memory(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shape = (data.draw(st.integers(1, 12)), *data.draw(st.lists(st.integers(1, 3), max_size=2)))
    dtype = data.draw(st.sampled_from(["float32", "float64", "float16", "int32", "bool", "uint8"]))
    spec = StoreSpec(dims=("row", "a", "b")[: len(shape)], shape=shape, dtype=dtype)
    expected, done = np.zeros(shape, dtype), np.zeros(shape[0], bool)
    with RowStore.create(tmp_path_factory.mktemp("store") / "s", spec) as store:
        for _ in range(data.draw(st.integers(0, 4))):
            rows = data.draw(st.lists(st.integers(0, shape[0] - 1), unique=True))
            noise = np.random.default_rng(data.draw(st.integers(0, 99))).normal(0, 9, (len(rows), *shape[1:]))
            values = np.abs(noise).astype(dtype)
            store.write(rows, values)
            expected[rows], done[rows] = values, True
        np.testing.assert_array_equal(store.done, done)
        np.testing.assert_array_equal(store.read(np.flatnonzero(done)), expected[done])
        np.testing.assert_array_equal(store.missing(), np.flatnonzero(~done))
        assert store.complete == done.all()


def test_rows_that_were_not_written_are_nan_and_missing(store: RowStore) -> None:
    store.write([7, 3, 4], values_of([7, 3, 4]))
    assert store.missing([4, 5, 3, 39]).tolist() == [5, 39]
    assert np.isnan(store.array[5]).all()
    read = store.read([3, 5, 7])
    np.testing.assert_array_equal(read[[0, 2]], values_of([3, 7]))
    assert np.isnan(read[1]).all()


def test_files_are_plain_numpy_and_json(store: RowStore) -> None:
    store.write([1], values_of([1]))
    np.testing.assert_array_equal(np.load(store.path / "rows.npy")[1], values_of([1])[0])
    done = np.load(store.path / "done.0.npy")
    assert done.dtype == np.bool_
    assert np.flatnonzero(done).tolist() == [1]
    manifest = json.loads((store.path / "manifest.json").read_text())
    assert manifest["dims"] == ["row", "lead", "sample"]
    assert manifest["coords"] == {"lead": ["I", "II"], "sample": [0, 1, 2]}
    assert manifest["digest"] == SPEC.digest
    assert manifest["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_array_is_a_read_only_memory_map(store: RowStore) -> None:
    assert isinstance(store.array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.array[0] = 1


def test_nan_may_be_a_value(store: RowStore) -> None:
    store.write([2], np.full((1, 2, 3), np.nan))
    assert store.done[2]


def test_tensors_are_taken(store: RowStore) -> None:
    store.write(torch.tensor([6]), torch.from_numpy(values_of([6])))
    np.testing.assert_array_equal(store.read([6]), values_of([6]))


def test_integers_have_no_nan_so_rows_not_done_are_an_error(tmp_path: Path) -> None:
    spec = StoreSpec(dims=("row",), shape=(4,), dtype="int32")
    with RowStore.create(tmp_path / "s", spec) as store:
        store.write([1], [5])
        assert store.read([1]).tolist() == [5]
        with pytest.raises(ValueError, match=r"1 of 2 rows .* not done, the first is row 2"):
            store.read([1, 2])


def test_short_writes_are_continued(store: RowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def short(descriptor: int, data: memoryview, offset: int) -> int:
        calls.append(len(data))
        return real(descriptor, data[:5], offset)

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", short)
    store.write(np.arange(10), values_of(np.arange(10)))
    np.testing.assert_array_equal(store.read(np.arange(10)), values_of(np.arange(10)))
    assert len(calls) > 48  # 240 bytes of rows, 5 at a time, and the mask


def test_rows_are_flushed_before_their_mask(store: RowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk went away")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="went away"):
        store.write([1], values_of([1]))
    assert not store.done.any()
    assert np.isnan(store.read([1])).all()  # although its bytes may be there


@pytest.mark.parametrize(
    ("rows", "values", "message"),
    [
        ([0, ROWS], np.zeros((2, 2, 3)), f"row {ROWS} does not exist.*rows 0 to {ROWS - 1}"),
        ([-1], np.zeros((1, 2, 3)), "row -1 does not exist"),
        ([0.0], np.zeros((1, 2, 3)), "expected a list of integers"),
        (np.ones(ROWS, bool), np.zeros((ROWS, 2, 3)), "flatnonzero"),
        ([[0]], np.zeros((1, 2, 3)), "expected a list of integers"),
        ([0, 1], np.zeros((1, 2, 3)), r"shape \(1, 2, 3\).*takes \(2, 2, 3\)"),
        ([0], np.zeros((1, 3, 2)), r"shape \(1, 3, 2\)"),
        ([3, 1, 3], np.zeros((3, 2, 3)), "row 3 .* twice"),
        ([0], np.full((1, 2, 3), "x"), "expected numbers"),
        ([0], np.full((1, 2, 3), 1e300), "row 0 .* holds 1e\\+300, which float32 can't hold"),
    ],
)
def test_bad_writes_are_errors_and_write_nothing(
    store: RowStore, rows: object, values: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        store.write(rows, values)
    assert not store.done.any()
    assert np.isnan(store.array).all()


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        ("float16", 7e4, "float16 can't hold"),
        ("float16", 1e-6, "largest magnitude in row 2 .* is 1e-06"),
        ("uint8", 256, "uint8 can't hold"),
        ("int32", 0.5, "int32 can't hold"),
        ("bool", np.nan, "bool can't hold"),
    ],
)
def test_values_beyond_the_dtype_are_errors(tmp_path: Path, dtype: str, value: float, message: str) -> None:
    spec = StoreSpec(dims=("row", "x"), shape=(3, 2), dtype=dtype)
    with RowStore.create(tmp_path / "s", spec) as store:
        with pytest.raises(ValueError, match=message):
            store.write([2], np.array([[0, value]]))
        assert not store.done.any()


def test_float16_keeps_what_it_can(tmp_path: Path) -> None:
    spec = StoreSpec(dims=("row", "x"), shape=(3, 4), dtype="float16")
    with RowStore.create(tmp_path / "s", spec) as store:
        values = np.array([[1, -6e4, np.nan, 1e-9], [0, 0, 0, 0], [np.inf, 1, 1, 1]], np.float32)
        store.write([0, 1, 2], values)
        np.testing.assert_array_equal(store.read([0, 1, 2]), values.astype(np.float16))


def test_closed_and_read_only_stores_refuse_to_write_and_still_read(store: RowStore) -> None:
    store.write([1], values_of([1]))
    store.close()
    store.close()
    for refusing in (store, RowStore.open(store.path)):
        with pytest.raises(io.UnsupportedOperation, match="attach to write"):
            refusing.write([2], values_of([2]))
        np.testing.assert_array_equal(refusing.read([1]), values_of([1]))


def test_open_gives_the_spec_back(store: RowStore) -> None:
    opened = RowStore.open(store.path)
    assert opened.spec.digest == SPEC.digest
    assert opened.spec.coords == SPEC.coords
    assert "0 of 40 rows done" in repr(opened)


# ---- resuming and mismatch


def test_creating_again_resumes(store: RowStore) -> None:
    store.write([1, 2], values_of([1, 2]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = RowStore.create(store.path, SPEC)
    assert np.flatnonzero(again.done).tolist() == [1, 2]


def test_an_empty_folder_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    assert not RowStore.create(tmp_path / "s", SPEC).done.any()


OTHERS = {
    "settings.sigma: 0.1 in the store, 0.2 now": replace(
        SPEC, settings={"method": "saliency", "sigma": 0.2, "nested": {"passes": [1, 2]}}
    ),
    r"settings.nested.passes\[1\]: 2 in the store, 3 now": replace(
        SPEC, settings={"method": "saliency", "sigma": 0.1, "nested": {"passes": [1, 3]}}
    ),
    "settings.sigma: 0.1 in the store, \\(absent\\) now": replace(SPEC, settings={"method": "saliency"}),
    'network: "aa" in the store, "cc" now': replace(SPEC, network="cc"),
    'examples: "bb" in the store, "cc" now': replace(SPEC, examples="cc"),
    'dtype: "float32" in the store, "float16" now': replace(SPEC, dtype="float16"),
    "shape\\[0\\]: 40 in the store, 41 now": replace(SPEC, shape=(41, 2, 3)),
    'coords.lead\\[1\\]: "II" in the store, "V1" now': replace(SPEC, coords={"lead": ("I", "V1")}),
}


@pytest.mark.parametrize("difference", OTHERS)
def test_another_spec_is_an_error_that_names_both_sides(store: RowStore, difference: str) -> None:
    for enter in (lambda spec: RowStore.create(store.path, spec), lambda s: RowStore.attach(store.path, s, rank=1)):
        with pytest.raises(StoreMismatchError, match=difference) as caught:
            enter(OTHERS[difference])
        assert str(store.path) in str(caught.value)
        assert "--study" in str(caught.value)
        assert "on_mismatch: replace" in str(caught.value)
    assert list(store.path.parent.iterdir()) == [store.path]


def test_many_differences_are_counted(tmp_path: Path) -> None:
    spec = StoreSpec(dims=("row", "x"), shape=(1, 99), coords={"x": range(99)})
    RowStore.create(tmp_path / "s", spec)
    with pytest.raises(StoreMismatchError, match="and 87 more"):
        RowStore.create(tmp_path / "s", replace(spec, coords={"x": range(1, 100)}))


def test_replace_moves_the_old_store_aside(store: RowStore) -> None:
    store.write([1], values_of([1]))
    new = RowStore.create(store.path, replace(SPEC, network="cc"), on_mismatch="replace")
    assert not new.done.any()
    (old,) = store.path.parent.glob("saliency.replaced-*")
    np.testing.assert_array_equal(RowStore.open(old).read([1]), values_of([1]))


def test_replace_resumes_the_same_store(store: RowStore) -> None:
    store.write([1], values_of([1]))
    assert RowStore.create(store.path, SPEC, on_mismatch="replace").done[1]


def test_other_package_versions_are_a_warning(store: RowStore) -> None:
    write_manifest(store.path, SPEC, packages={**read_manifest(store.path).packages, "captum": "0"})
    with pytest.warns(UserWarning, match="captum 0"):
        RowStore.create(store.path, SPEC)


def test_bad_arguments_of_create(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on_mismatch is 'overwrite'"):
        RowStore.create(tmp_path / "s", SPEC, on_mismatch="overwrite")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dims": ("lead", "row")}, "first is 'row'"),
        ({"dims": ("row", "row")}, "distinct"),
        ({"shape": (4,)}, "expected 2 positive lengths"),
        ({"shape": (0, 2)}, "positive"),
        ({"coords": {"sample": [1]}}, "'sample', which is not one of the dimensions"),
        ({"coords": {"lead": ["I"]}}, "1 labels for 'lead', whose length is 2"),
        ({"dtype": "complex64"}, "dtype is 'complex64'"),
        ({"settings": {"sigma": math.nan}}, "settings.settings.sigma is nan"),
        ({"settings": {"path": Path("x")}}, "PosixPath"),
    ],
)
def test_bad_specs(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StoreSpec(**({"dims": ("row", "lead"), "shape": (4, 2)} | change))


# ---- ranks


def test_attach_before_create_says_to_wait(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"rank 2 found no store .* barrier"):
        RowStore.attach(tmp_path / "s", SPEC, rank=2)
    with pytest.raises(FileNotFoundError, match="no store"):
        RowStore.open(tmp_path / "s")
    with pytest.raises(ValueError, match="rank is -1"):
        RowStore.attach(tmp_path / "s", SPEC, rank=-1)


def write_every_other(path: Path, rank: int) -> None:
    """What a rank does, in a process of its own."""
    with RowStore.attach(path, SPEC, rank=rank) as store:
        for start in range(rank, ROWS, 8):
            rows = np.arange(start, min(start + 8, ROWS), 2)
            store.write(rows, values_of(rows))


def test_two_processes_write_disjoint_rows_and_rank_zero_merges(store: RowStore) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_every_other, args=(store.path, rank)) for rank in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert {path.name for path in store.path.glob("done.*")} == {"done.0.npy", "done.1.npy"}
    assert np.flatnonzero(np.load(store.path / "done.1.npy")).tolist() == list(range(1, ROWS, 2))
    store.merge()
    files_left = {"done.0.npy", "digests.0.npy", "rows.npy", "manifest.json"}
    assert {path.name for path in store.path.iterdir()} == files_left
    assert store.complete
    assert not store.damaged().size
    np.testing.assert_array_equal(store.array, values_of(np.arange(ROWS)))


def test_a_merge_killed_before_it_removes_masks_loses_nothing(store: RowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    other = RowStore.attach(store.path, SPEC, rank=3)
    store.write([0], values_of([0]))
    other.write([1], values_of([1]))

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name == "done.3.npy":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            store.merge()
    assert np.flatnonzero(store.done).tolist() == [0, 1]
    store.merge()
    assert np.flatnonzero(store.done).tolist() == [0, 1]
    other.write([2], values_of([2]))  # a mask that was merged away comes back
    assert np.flatnonzero(store.done).tolist() == [0, 1, 2]


def test_only_rank_zero_merges(store: RowStore) -> None:
    with pytest.raises(ValueError, match="only rank zero merges"):
        RowStore.attach(store.path, SPEC, rank=1).merge()


WRITER = """
import sys, numpy as np
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_store import SPEC, values_of
from ecg_lightning.storage.store import RowStore
store = RowStore.attach(Path({path!r}), SPEC, rank=1)
for row in np.tile(np.arange(1, 40, 2), 100000):
    store.write([row], values_of([row]))
    print(row, flush=True)
"""


def test_kill_in_the_middle_leaves_exactly_the_done_rows_right(store: RowStore) -> None:
    script = WRITER.format(tests=str(Path(__file__).parent), path=str(store.path))
    writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    said = [int(writer.stdout.readline()) for _ in range(7)]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    resumed = RowStore.create(store.path, SPEC)
    done = np.flatnonzero(resumed.done)
    assert set(said) <= set(done.tolist())
    np.testing.assert_array_equal(resumed.read(done), values_of(done))
    missing = resumed.missing()
    assert np.isnan(resumed.read(missing)).all()
    resumed.write(missing, values_of(missing))
    resumed.merge()
    np.testing.assert_array_equal(resumed.array, values_of(np.arange(ROWS)))


# ---- disk


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_error_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def full(descriptor: int, offset: int, size: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskSpaceError, match=r"1,088 bytes .* needed, .* are free .*--runs.*float16") as caught:
        RowStore.create(tmp_path / "s", SPEC)
    assert f"no space left in {tmp_path / 's'}:" in str(caught.value)
    assert caught.value.errno == code
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_when_ranks_are_united_loses_nothing(
    store: RowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, array: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with RowStore.attach(store.path, SPEC, rank=1) as other:
        other.write([1], values_of([1]))
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_array_atomic", full)
        with pytest.raises(DiskSpaceError, match=f"no space left in {store.path}: 360 bytes"):
            store.merge()
        with pytest.raises(DiskSpaceError, match="no space left"):
            RowStore.attach(store.path, SPEC, rank=2)
    np.testing.assert_array_equal(store.read([1]), values_of([1]))


def test_more_than_is_free_is_not_even_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(descriptor: int, offset: int, size: int) -> None:
        pytest.fail("where fallocate is emulated by writing, this would fill the disk before it fails")

    monkeypatch.setattr(os, "posix_fallocate", tried)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(DiskSpaceError, match="GB"):
        RowStore.create(tmp_path / "s", StoreSpec(dims=("row", "x"), shape=(free // 4000, 2000)))
    assert list(tmp_path.iterdir()) == []


def test_without_fallocate_the_fill_takes_the_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int, offset: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "not on this file system")

    monkeypatch.setattr(os, "posix_fallocate", unsupported)
    RowStore.create(tmp_path / "a", SPEC)
    monkeypatch.delattr(os, "posix_fallocate")  # macOS
    monkeypatch.delattr(os, "fdatasync")
    with RowStore.create(tmp_path / "b", SPEC) as store:
        store.write([0], values_of([0]))
    for name in "ab":
        assert np.isnan(RowStore.open(tmp_path / name).array[1:]).all()


def test_other_failures_of_the_disk_keep_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int, offset: int, size: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "posix_fallocate", broken)
    with pytest.raises(OSError, match="broken") as caught:
        RowStore.create(tmp_path / "s", SPEC)
    assert not isinstance(caught.value, DiskSpaceError)


def test_stores_larger_than_a_block_are_filled_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_FILL_BYTES", 64)
    with RowStore.create(tmp_path / "s", SPEC) as store:
        assert np.isnan(store.array).all()
        assert (store.path / "rows.npy").stat().st_blocks * 512 >= 40 * 24


def test_what_a_killed_creation_left_is_cleared(tmp_path: Path) -> None:
    leftover = tmp_path / ".s.01234567.creating"
    leftover.mkdir()
    (leftover / "rows.npy").write_bytes(b"x")
    RowStore.create(tmp_path / "s", SPEC)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


# ---- broken stores


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 5)


def lengthen(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"12345")


def remove(path: Path) -> None:
    path.unlink()


def scribble(path: Path) -> None:
    path.write_bytes(b"no array at all")


def other_array(path: Path) -> None:
    np.save(path, np.zeros(3))


@pytest.mark.parametrize("argument", ["on_mismatch", "on_damage"])
@pytest.mark.parametrize("breakage", [truncate, lengthen, remove, scribble, other_array])
def test_broken_rows_are_an_error_that_says_what_to_do(store: RowStore, breakage: object, argument: str) -> None:
    breakage(store.path / "rows.npy")  # type: ignore[operator]
    for enter in (lambda: RowStore.open(store.path), lambda: RowStore.create(store.path, SPEC)):
        with pytest.raises(StoreCorruptError, match=r"rows\.npy.*run the command that made it again"):
            enter()
    with pytest.warns(UserWarning, match=r"saliency is made anew, what was there is kept as saliency\.replaced-.*rows"):
        assert not RowStore.create(store.path, SPEC, **{argument: "replace"}).done.any()
    (kept,) = store.path.parent.glob("saliency.replaced-*")
    assert (kept / "done.0.npy").exists()


def strange_bytes(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")


BREAKAGES = (truncate, lengthen, remove, scribble, other_array)


@pytest.mark.parametrize(("name", "breakage"), [*product(("done", "digests"), BREAKAGES), ("done", strange_bytes)])
def test_broken_masks_and_digests_are_an_error_for_readers_and_made_anew_for_writers(
    store: RowStore, breakage: object, name: str
) -> None:
    store.write([3, 7], values_of([3, 7]))
    breakage(store.path / f"{name}.0.npy")  # type: ignore[operator]
    with pytest.raises(StoreDamagedError, match=rf"{name}\.0\.npy is not .* of 40 rows.*run the command that made it"):
        RowStore.open(store.path).read([3])
    with pytest.raises(StoreDamagedError, match=rf"{name}\.0\.npy"):
        RowStore.attach(store.path, SPEC, rank=1).read([3])
    again = "" if name == "done" else r"; 2 rows contradict their digests \(rows 3, 7: .*computed again"
    with pytest.warns(UserWarning, match=rf"saliency: {name}\.0\.npy missing or broken and made anew{again}"):
        resumed = RowStore.create(store.path, SPEC)
    assert resumed.missing([3, 7]).tolist() == ([] if name == "done" else [3, 7])  # rows prove themselves, not digests
    resumed.write([3, 7], values_of([3, 7]))
    np.testing.assert_array_equal(RowStore.open(store.path).read([3, 7]), values_of([3, 7]))


def changed_by_hand(path: Path) -> None:
    path.write_text(path.read_text().replace('"sigma": 0.1', '"sigma": 0.3'))


def other_format(path: Path) -> None:
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 99'))


def older_format(path: Path) -> None:
    path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 1'))


def other_versions(path: Path) -> None:
    path.write_text(path.read_text().replace('"captum": "', '"captum": "0'))


@pytest.mark.parametrize("breakage", [truncate, scribble, changed_by_hand, other_format, older_format, other_versions])
def test_broken_manifests_are_an_error(store: RowStore, breakage: object) -> None:
    breakage(store.path / "manifest.json")  # type: ignore[operator]
    with pytest.raises(StoreCorruptError, match=r"manifest\.json is not the manifest"):
        RowStore.open(store.path)


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreCorruptError, match="is no RowStore"):
        RowStore.create(tmp_path, SPEC, on_mismatch="replace", on_damage="replace")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
