"""A damaged file is named, whatever the library that reads it stumbles over."""

import contextlib
import errno
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_lightning.storage.readers import DamagedFileError, read_array, read_json, read_table, reading

REMEDY = "write it anew"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"ecg_id": [f"ecg{k}" for k in range(200)], "age": np.arange(200.0)}).to_parquet(path)
    return path


def test_what_is_whole_comes_back(table: Path, tmp_path: Path) -> None:
    assert len(read_table(table, REMEDY, ("ecg_id", "age"))) == 200
    read_table(table, REMEDY).to_csv(tmp_path / "table.csv", index=False)
    assert read_table(tmp_path / "table.csv", REMEDY)["age"].tolist() == list(range(200))
    (tmp_path / "a.json").write_text('{"a": [1, null]}')
    assert read_json(tmp_path / "a.json", REMEDY) == {"a": [1, None]}
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    assert read_array(tmp_path / "a.npy", REMEDY).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("name", "content", "read", "cause"),
    [
        ("a.json", b'{"a": 1', read_json, "JSONDecodeError"),
        ("a.json", b'{"a": "\xff"}', read_json, "UnicodeDecodeError"),
        ("a.json", b"", read_json, "JSONDecodeError"),
        ("a.parquet", b"PAR1 and then nothing", read_table, "ArrowInvalid"),
        ("a.parquet", b"", read_table, "ArrowInvalid"),
        ("a.csv", b'a,b\n1,2\n1,2,3\n"', read_table, "ParserError"),
        ("a.csv", b"", read_table, "EmptyDataError"),
        ("a.npy", b"", read_array, "Error"),
        ("a.npy", b"\x93NUMPY", read_array, "ValueError"),
        ("a.npy", b"no array at all", read_array, "ValueError"),
    ],
)
def test_a_damaged_file_is_named_with_cause_and_remedy(
    tmp_path: Path, name: str, content: bytes, read: Callable[[Path, str], object], cause: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        DamagedFileError, match=rf"{name} is damaged: it can't be read \(.*{cause}.*\. Write it anew"
    ) as told:
        read(tmp_path / name, REMEDY)
    assert told.value.path == tmp_path / name


@pytest.mark.parametrize("change", [-7, 7])
def test_an_array_of_another_size_than_its_header_says_is_named(tmp_path: Path, change: int) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(100))
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + b"x" * change)
    with pytest.raises(DamagedFileError, match=r"a\.npy is damaged"):
        read_array(path, REMEDY)


def test_pickles_are_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DamagedFileError, match=r"a\.npy is damaged"):
        read_array(tmp_path / "a.npy", REMEDY)


def test_missing_columns_are_named(table: Path) -> None:
    with pytest.raises(DamagedFileError, match=r"table\.parquet is damaged: it lacks the columns label, sex"):
        read_table(table, REMEDY, ("sex", "age", "label"))


def test_an_error_without_a_file_name_gets_one(tmp_path: Path) -> None:
    with (
        pytest.raises(DamagedFileError, match=r"a\.npy is damaged: .*No space left"),
        reading(tmp_path / "a.npy", REMEDY),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_absent_files_are_no_damage(tmp_path: Path) -> None:
    for read in (read_json, read_table, read_array):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "nothing.npy", REMEDY)


def test_the_error_travels_between_processes(tmp_path: Path) -> None:
    error = DamagedFileError(tmp_path / "a", "it is cut", REMEDY)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path, copy.why, copy.remedy) == (str(error), error.path, error.why, error.remedy)


def test_every_cut_and_many_flips_of_a_table_are_named_or_read(table: Path) -> None:
    whole = table.read_bytes()
    draw = np.random.default_rng(0)
    for place in draw.integers(0, len(whole), 150):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(draw.integers(8))
        for content in (whole[:place], bytes(flipped)):
            table.write_bytes(content)
            with contextlib.suppress(DamagedFileError):  # any other error would end the test
                read_table(table, REMEDY)
