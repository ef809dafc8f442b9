"""Files are written whole or not at all."""

import errno
import json
import math
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecg_lightning.storage import atomic
from ecg_lightning.storage.disk import DiskSpaceError


def test_atomic_writers_write(tmp_path: Path) -> None:
    atomic.write_text_atomic(tmp_path / "new" / "a.txt", "µV")
    assert (tmp_path / "new" / "a.txt").read_text(encoding="utf-8") == "µV"
    value = {"n": np.int64(3), "x": [np.float32(0.5), math.nan], "array": np.eye(2), "t": (True, None, "δ")}
    atomic.write_json_atomic(tmp_path / "a.json", value)
    expected = {"n": 3, "x": [0.5, None], "array": [[1, 0], [0, 1]], "t": [True, None, "δ"]}
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == expected
    frame = pd.DataFrame({"row": [0, 1], "ecg_id": ["a", "b"]}, index=[5, 6])
    atomic.write_parquet_atomic(tmp_path / "a.parquet", frame)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), frame.reset_index(drop=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.parquet", "new"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": {"b": math.inf}}, "a: b is inf"),
        ({"a": [Path("x")]}, r"a\[0\] is a PosixPath"),
        ({3: 1}, "the key 3 of type int"),
    ],
)
def test_json_that_cannot_be_written_is_an_error(tmp_path: Path, value: object, message: str) -> None:
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(ValueError, match=message):
        atomic.write_json_atomic(tmp_path / "a.json", value)
    assert (tmp_path / "a.json").read_text() == "old"


def draw_half(target: Path) -> None:
    with atomic.atomic_path(target) as path:
        assert path.suffix == ".png"
        path.write_text("half")
        raise RuntimeError("no more ink")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    (tmp_path / "figure.png").write_text("old")
    with pytest.raises(RuntimeError, match="no more ink"):
        draw_half(tmp_path / "figure.png")
    assert [file.name for file in tmp_path.iterdir()] == ["figure.png"]
    assert (tmp_path / "figure.png").read_text() == "old"


@pytest.mark.parametrize("raised", [OSError(errno.EIO, "Input/output error"), OSError("the device says no")])
def test_an_error_without_a_file_name_gets_one(tmp_path: Path, raised: OSError) -> None:
    path = tmp_path / "table.parquet"
    with pytest.raises(OSError, match=r"(Input|says no).*table\.parquet") as told, atomic.atomic_path(path):
        raise raised
    assert (told.value.errno, told.value.filename) == (errno.EIO, str(path))
    with pytest.raises(FileNotFoundError, match="other"), atomic.atomic_path(path):
        (tmp_path / "other").read_text()


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files of at most 10 kB: the system's own way to say that there is no room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("kind", ["text", "json", "array", "parquet"])
def test_a_full_disk_is_told_with_the_file(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    content = {"text": "x" * 20_000, "json": values, "array": values, "parquet": pd.DataFrame({"a": values})}
    write = getattr(atomic, f"write_{kind}_atomic")
    with pytest.raises(
        DiskSpaceError, match=rf"no space left for {tmp_path}/a\.{kind}: .*are free.*same command again"
    ):
        write(tmp_path / f"a.{kind}", content[kind])
    assert list(tmp_path.iterdir()) == []
