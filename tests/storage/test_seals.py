"""Seals: any change of a sealed file, of a store's rows or of the record itself is found and named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecg_lightning.storage.readers import DamagedFileError
from ecg_lightning.storage.seals import SEALED, broken, inspect, read_record, seal, write_record
from ecg_lightning.storage.store import RowStore, StoreSpec

EARLIER = ("n_ecgs",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "study" / "target" / "seed0"
    for name, content in {"a.json": "{}", "tables/b.txt": "b" * 5000, "../../splits.txt": "s"}.items():
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    spec = StoreSpec(dims=("row", "method"), shape=(6, 4), settings={"of": "a test"})
    with RowStore.create(run / "maps" / "saliency", spec) as store:
        store.write(np.arange(4), np.arange(16.0).reshape(4, 4))  # two rows are not done
        store.merge()
    return run


def files(run: Path) -> list[Path]:
    return [path for path in run.parents[1].rglob("*") if path.is_file() and path.name != "test.done.json"]


def written(run: Path) -> dict[str, dict[str, object]]:
    write_record(run / "test.done.json", "test", {"n_ecgs": 6, "score": float("nan")}, files(run))
    sealed: dict[str, dict[str, object]] = read_record(run / "test.done.json", "test", "", EARLIER)[SEALED]
    return sealed


def test_untouched_files_are_whole(folder: Path) -> None:
    sealed = written(folder)
    found = inspect(folder, sealed, lambda name: name)
    assert found.damages == []
    assert found.files == len(sealed) == 7
    assert found.rows == 4
    assert found.bytes == sum(path.stat().st_size for path in files(folder))
    assert {"a.json", "tables/b.txt", "../../splits.txt", "maps/saliency/rows.npy"} < set(sealed)
    assert "digest" not in sealed["maps/saliency/rows.npy"]  # its rows have digests of their own


@pytest.mark.parametrize("change", ["flip", "cut", "delete", "grow", "empty"])
def test_any_change_of_any_file_is_named(folder: Path, change: str) -> None:
    sealed = written(folder)
    for path in files(folder):
        content = path.read_bytes()
        for place in {0, len(content) // 3, len(content) // 2, len(content) - 1}:
            changed = {
                "flip": content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :],
                "cut": content[:place],
                "grow": content + b"\0",
                "empty": b"",
            }
            path.unlink() if change == "delete" else path.write_bytes(changed[change])
            assert [one.path.resolve() for one in broken(folder, sealed)] == [path], (path, place)
            path.write_bytes(content)
    assert broken(folder, sealed) == []


def test_exchanged_files_are_both_named(folder: Path) -> None:
    sealed = written(folder)
    first, second = folder / "a.json", folder / "tables" / "b.txt"
    first.rename(folder / "c")
    second.rename(first)
    (folder / "c").rename(second)
    assert [one.path for one in broken(folder, sealed)] == [first, second]


def test_the_remedy_is_that_of_the_file(folder: Path) -> None:
    sealed = written(folder)
    (folder / "a.json").write_text("[]")
    (damage,) = inspect(folder, sealed, lambda name: f"make {name} again").damages
    assert str(damage) == f"{folder}/a.json: its content was changed after it was written. Make a.json again"
    assert damage.below(folder).startswith("a.json: ")


def test_files_that_are_not_there_are_not_sealed(folder: Path) -> None:
    assert seal(folder, [folder / "nothing"]) == {}


def test_a_record_comes_back_with_what_it_said(folder: Path) -> None:
    written(folder)
    record = read_record(folder / "test.done.json", "test", "", EARLIER)
    assert (record["n_ecgs"], record["score"], record["stage"]) == (6, None, "test")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"n_ecgs": 6', '"n_ecgs": 7'),
        lambda text: text.replace('"sealed"', '"sealee"'),
        lambda text: text.replace('"digest": "', '"digest": "0', 1),
        lambda text: text.replace('"a.json"', '"b.json"'),
        lambda text: text.replace('"stage"', '"stagf"'),
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: json.dumps({"auroc": {"value": 0.9}}),  # another file in its place
    ],
)
def test_a_changed_record_is_damaged(folder: Path, change: Callable[[str], str]) -> None:
    written(folder)
    path = folder / "test.done.json"
    assert change(path.read_text()) != path.read_text()
    path.write_text(change(path.read_text()))
    with pytest.raises(DamagedFileError, match=r"test\.done\.json is damaged: .*Test again"):
        read_record(path, "test", "test again", EARLIER)


def test_every_flip_of_a_record_is_found(folder: Path) -> None:
    written(folder)
    path = folder / "test.done.json"
    whole = path.read_bytes()
    meant = read_record(path, "test", "", EARLIER)
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            assert read_record(path, "test", "", EARLIER) == meant  # a space became another white space
        except DamagedFileError:
            continue


def test_the_record_of_another_stage_is_refused(folder: Path) -> None:
    written(folder)
    with pytest.raises(DamagedFileError, match="it is the record of a test, not of a fit"):
        read_record(folder / "test.done.json", "fit", "", EARLIER)


def test_records_of_earlier_versions_have_no_seals(folder: Path) -> None:
    path = folder / "test.done.json"
    path.write_text('{"n_ecgs": 6}')
    assert SEALED not in read_record(path, "test", "", EARLIER)
