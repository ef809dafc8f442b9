"""A store that was changed after it was written: named by readers, computed again by writers, never believed."""

import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ecg_lightning.storage.stored_rows as reading
from ecg_lightning.storage import store_files
from ecg_lightning.storage.hashing import digest_file
from ecg_lightning.storage.manifest import StoreError, read_manifest
from ecg_lightning.storage.store import RowStore, StoreCorruptError, StoreDamagedError, StoreSpec
from ecg_lightning.storage.store_repair import restore_digests

ROWS = 40
SPEC = StoreSpec(dims=("row", "x"), shape=(ROWS, 3), settings={"method": "saliency"}, network="aa", examples="bb")
ALL = np.arange(ROWS)
FILES = ("rows.npy", "done.0.npy", "digests.0.npy", "manifest.json")


def values_of(rows: np.ndarray | list[int], version: int = 0) -> np.ndarray:
    return (np.asarray(rows)[:, None] * 10 + np.arange(3) + 1000 * version).astype(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> RowStore:
    """A finished store."""
    return finished(tmp_path / "saliency")


def finished(path: Path, spec: StoreSpec = SPEC, version: int = 0) -> RowStore:
    with RowStore.create(path, spec) as store:
        store.write(ALL, values_of(ALL, version))
        store.merge()
    return store


def flip(path: Path, offset: int, mask: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= mask
    path.write_bytes(content)


def flip_row(store: RowStore, row: int) -> None:
    flip(store.path / "rows.npy", 128 + row * SPEC.row_bytes + 5, 0x40)


def make_older(store: RowStore) -> None:
    """As the version before this one left it."""
    (store.path / "digests.0.npy").unlink()
    lines = (store.path / "manifest.json").read_text().splitlines()
    kept = [line for line in lines if "manifest_digest" not in line]
    kept[-2] = kept[-2].rstrip(",")
    text = "\n".join(kept).replace('"format_version": 2', '"format_version": 1')
    (store.path / "manifest.json").write_text(text)


# ---- readers


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flip_is_an_error_or_changes_nothing(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "saliency"
    shutil.rmtree(path, ignore_errors=True)
    finished(path)
    file = path / data.draw(st.sampled_from(FILES))
    flip(file, data.draw(st.integers(0, file.stat().st_size - 1)), 1 << data.draw(st.integers(0, 7)))
    try:
        read = RowStore.open(path).read(ALL)
    except StoreCorruptError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        np.testing.assert_array_equal(read, values_of(ALL))


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_after_any_damage_a_writer_computes_again_what_is_lost(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "saliency"
    for old in tmp_path.iterdir():
        shutil.rmtree(old)
    finished(path)
    file = path / data.draw(st.sampled_from(FILES))
    place = data.draw(st.integers(0, file.stat().st_size - 1))
    match data.draw(st.sampled_from(["flip", "cut", "delete"])):
        case "flip":
            flip(file, place, 1 << data.draw(st.integers(0, 7)))
        case "cut":
            os.truncate(file, place)
        case "delete":
            file.unlink()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        resumed = RowStore.create(path, SPEC, on_damage="replace")
    missing = resumed.missing()
    assert not len(missing) or any(str(path) in str(one.message) for one in said)
    resumed.write(missing, values_of(missing))
    np.testing.assert_array_equal(RowStore.open(path).read(ALL), values_of(ALL))
    assert not resumed.damaged().size


def test_a_damaged_row_is_named_with_its_folder_and_what_to_do(store: RowStore) -> None:
    assert store.damaged().tolist() == []
    for row in (3, 17):
        flip_row(store, row)
    assert store.damaged().tolist() == [3, 17]
    assert store.damaged([17, 4]).tolist() == [17]
    np.testing.assert_array_equal(store.read([4, 2]), values_of([4, 2]))
    with pytest.raises(StoreDamagedError, match=r"saliency: row 17 contradicts its digest.*run the command .*`test`"):
        store.read([1, 17])
    for row in range(20, 30):
        flip_row(store, row)
    with pytest.raises(StoreDamagedError, match=r"12 rows contradict.*\(rows 3, 17, 20, 21, 22, \.\.\.: "):
        store.read(ALL)


def test_rows_of_another_store_or_another_place_are_damage(store: RowStore, tmp_path: Path) -> None:
    other = finished(tmp_path / "other", version=1)
    shutil.copy(other.path / "rows.npy", store.path / "rows.npy")
    assert store.damaged().tolist() == ALL.tolist()
    rows = np.lib.format.open_memmap(other.path / "rows.npy", mode="r+")
    rows[[3, 4]] = rows[[4, 3]]
    rows.flush()
    assert other.damaged().tolist() == [3, 4]


def test_a_mask_that_speaks_of_rows_never_written_is_damage(tmp_path: Path) -> None:
    with RowStore.create(tmp_path / "s", SPEC) as store:
        store.write([0], values_of([0]))
    flip(store.path / "done.0.npy", 128 + 9)
    assert store.damaged().tolist() == [9]
    with pytest.warns(UserWarning, match="row 9 contradicts its digest.*: computed again"):
        assert np.flatnonzero(RowStore.create(store.path, SPEC).done).tolist() == [0]


# ---- writers


def test_damaged_rows_are_not_done_any_more(store: RowStore) -> None:
    flip_row(store, 17)
    with pytest.warns(UserWarning, match=r"saliency: row 17 contradicts its digest .*: computed again") as said:
        resumed = RowStore.create(store.path, SPEC)
    assert len(said) == 1
    assert resumed.missing().tolist() == [17]
    assert not resumed.damaged().size
    assert np.isnan(resumed.read([17])).all()
    resumed.write([17], values_of([17]))
    np.testing.assert_array_equal(resumed.read(ALL), values_of(ALL))


def test_a_whole_store_is_left_as_it_is(store: RowStore) -> None:
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in store.path.iterdir()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RowStore.create(store.path, SPEC)
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in store.path.iterdir()} == before


STEPS = ("rows", "flush", "digests", "mask")
KILLED = """
import os, signal, sys
import numpy as np
sys.path.insert(0, {tests!r})
import ecg_lightning.storage.store as module
from test_damaged_stores import SPEC, values_of
store = module.RowStore.attach({path!r}, SPEC, rank={rank})
step, seen = {step!r}, []
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def after(function, name):
    def call(*arguments):
        function(*arguments)
        seen.append(name)
        if step == name or (name == "marks" and step == ("digests", "mask")[seen.count("marks") - 1]):
            die()
    return call
module.write_all = after(module.write_all, "rows")
module.flush_data = after(module.flush_data, "flush")
module.mark_runs = after(module.mark_runs, "marks")
store.write(np.arange(8, 12), values_of(np.arange(8, 12), {version}))
"""


def killed_write(path: Path, step: str, rank: int, version: int = 0) -> None:
    script = KILLED.format(tests=str(Path(__file__).parent), path=str(path), rank=rank, step=step, version=version)
    code = subprocess.run([sys.executable, "-c", script], check=False).returncode
    assert code == -signal.SIGKILL


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_between_any_two_steps_of_a_write_loses_at_most_those_rows(tmp_path: Path, step: str, rank: int) -> None:
    with RowStore.create(tmp_path / "s", SPEC) as store:
        store.write([0, 1], values_of([0, 1]))
    killed_write(store.path, step, rank)
    assert not store.damaged().size
    read = store.read(store.missing())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a kill is no damage
        resumed = RowStore.create(store.path, SPEC)
    written = [8, 9, 10, 11] if step in ("digests", "mask") else []  # what is proven need not be computed again
    assert np.flatnonzero(resumed.done).tolist() == [0, 1, *written]
    np.testing.assert_array_equal(resumed.read([0, 1, *written]), values_of([0, 1, *written]))
    if step != "digests":
        assert np.isnan(read).all()


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_while_done_rows_are_written_again_leaves_old_new_or_none(store: RowStore, step: str) -> None:
    killed_write(store.path, step, rank=1, version=1)
    new, expected = [8, 9, 10, 11], values_of(ALL)
    if step in ("rows", "flush"):
        assert store.damaged().tolist() == new
        with pytest.warns(UserWarning, match="4 rows contradict"):
            resumed = RowStore.create(store.path, SPEC)
        assert resumed.missing().tolist() == new
        expected[new] = np.nan
    else:
        expected[new] = values_of(new, 1)
        np.testing.assert_array_equal(store.read(ALL), expected)
        resumed = RowStore.create(store.path, SPEC)
    resumed.merge()
    np.testing.assert_array_equal(resumed.read(ALL), expected)
    assert not resumed.damaged().size


@pytest.mark.parametrize("dies_at", range(6))
def test_a_merge_killed_anywhere_loses_nothing(store: RowStore, monkeypatch: pytest.MonkeyPatch, dies_at: int) -> None:
    spec_rows = [ALL[:10], ALL[10:30], ALL[25:]]  # the last two overlap: another number of ranks after a resume
    path = store.path.with_name("ranks")
    stores = [RowStore.create(path, SPEC), *(RowStore.attach(path, SPEC, rank=rank) for rank in (1, 2))]
    for version, (one, rows) in enumerate(zip(stores, spec_rows, strict=True)):
        one.write(rows, values_of(rows, version))
    expected = stores[0].read(ALL)
    steps = 0

    def count() -> None:
        nonlocal steps
        if steps == dies_at:
            raise KeyboardInterrupt
        steps += 1

    def write(path: Path, array: np.ndarray) -> None:
        count()
        real_write(path, array)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if not path.name.startswith("."):  # not atomic_path's own
            count()
        real_unlink(path, missing_ok)

    real_write, real_unlink = store_files.write_array_atomic, Path.unlink
    with monkeypatch.context() as patch:
        patch.setattr(store_files, "write_array_atomic", write)
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(KeyboardInterrupt):
            stores[0].merge()
    assert stores[0].complete
    assert not stores[0].damaged().size
    np.testing.assert_array_equal(RowStore.open(path).read(ALL), expected)
    stores[0].merge()
    assert sorted(file.name for file in path.iterdir()) == sorted(FILES)
    np.testing.assert_array_equal(RowStore.open(path).read(ALL), expected)


def test_a_rank_writes_on_after_a_merge(tmp_path: Path) -> None:
    with RowStore.create(tmp_path / "s", SPEC) as store, RowStore.attach(store.path, SPEC, rank=2) as other:
        other.write([1], values_of([1]))
        store.merge()
        other.write([2], values_of([2]))
        np.testing.assert_array_equal(store.read([1, 2]), values_of([1, 2]))


# ---- stores of the version before, and seals


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_told_of_older_stores", False)


@pytest.mark.usefixtures("silent")
def test_older_stores_are_used_and_that_is_said_once(store: RowStore, tmp_path: Path) -> None:
    other = finished(tmp_path / "other")
    make_older(store)
    make_older(other)
    flip_row(store, 3)
    with pytest.warns(UserWarning, match=r"saliency was made by an earlier version, which kept no digests") as said:
        opened = [RowStore.open(path) for path in (store.path, other.path, store.path)]
    assert len(said) == 1
    assert not opened[0].damaged().size
    assert opened[0].read([3]).shape == (1, 3)  # nothing says that it is wrong
    np.testing.assert_array_equal(opened[1].read(ALL), values_of(ALL))
    assert opened[1].spec.digest == SPEC.digest


@pytest.mark.usefixtures("silent")
def test_an_older_store_gets_digests_when_it_is_written_to(tmp_path: Path) -> None:
    with RowStore.create(tmp_path / "s", SPEC) as store:
        store.write(ALL[:20], values_of(ALL[:20]))
    make_older(store)
    np.save(store.path / "done.1.npy", ALL == 25)  # a rank that was killed
    with pytest.warns(UserWarning, match="gets digests when it is written to") as said:
        resumed = RowStore.create(store.path, SPEC)
    assert len(said) == 1
    assert read_manifest(store.path).version == 2
    assert np.flatnonzero(resumed.done).tolist() == [*range(20), 25]
    assert not resumed.damaged().size
    resumed.write([30], values_of([30]))
    flip_row(resumed, 7)
    assert RowStore.open(store.path).damaged().tolist() == [7]


@pytest.mark.usefixtures("silent")
@pytest.mark.filterwarnings("ignore:.*earlier version")
@pytest.mark.parametrize("name", ["replace_marks", "raise_version"])
def test_a_kill_while_digests_are_added_loses_nothing(
    store: RowStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make_older(store)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"ecg_lightning.storage.store_repair.{name}", killed)
        with pytest.raises(KeyboardInterrupt):
            RowStore.create(store.path, SPEC)
    resumed = RowStore.create(store.path, SPEC)
    assert resumed.has_digests
    np.testing.assert_array_equal(resumed.read(ALL), values_of(ALL))


@pytest.mark.parametrize("breakage", ["flip", "cut", "delete"])
def test_a_seal_proves_rows_whose_digests_are_damaged(store: RowStore, breakage: str) -> None:
    file = store.path / "digests.0.npy"
    sealed, content = digest_file(file), file.read_bytes()
    match breakage:
        case "flip":
            flip(file, 128 + 8 * 5)
        case "cut":
            os.truncate(file, 100)
        case "delete":
            file.unlink()
    assert restore_digests(store.path, sealed)
    assert file.read_bytes() == content
    flip_row(store, 5)
    file.unlink()
    assert not restore_digests(store.path, sealed)  # rows and digests: nothing is proven
    assert not file.exists()


def test_errors_of_a_store_are_value_errors() -> None:
    assert issubclass(StoreDamagedError, StoreCorruptError)
    assert issubclass(StoreCorruptError, StoreError)
    assert issubclass(StoreError, ValueError)
