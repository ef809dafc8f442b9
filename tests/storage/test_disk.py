"""Room on the disk: what is known before anything is written, and what a full disk says."""

import errno
import os
import pickle
import shutil
from pathlib import Path

import pytest

from ecg_lightning.storage.disk import DiskSpaceError, full_disk_explained, preallocate

REMEDY = "buy another disk"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_the_message_has_folder_sizes_and_remedy(tmp_path: Path, code: int) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    with pytest.raises(DiskSpaceError) as caught, full_disk_explained(folder, 2_500_000_000, REMEDY):
        raise OSError(code, os.strerror(code))
    said = str(caught.value)
    assert f"no space left in {folder}: 2,500,000,000 bytes (2.50 GB) are needed, " in said
    assert said.endswith(f" GB) are free (a quota may allow less); {REMEDY}")
    assert caught.value.errno == code
    sent = pickle.loads(pickle.dumps(caught.value))  # from a worker process
    assert (type(sent), str(sent)) == (DiskSpaceError, said)


def test_a_relative_folder_is_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DiskSpaceError, match="no space left in new"), full_disk_explained(Path("new"), 1, REMEDY):
        raise OSError(errno.ENOSPC, "full")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken") as caught, full_disk_explained(tmp_path, 1, REMEDY):
        raise OSError(errno.EIO, "broken")
    assert not isinstance(caught.value, DiskSpaceError)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system can't reserve disk space")
@pytest.mark.parametrize("size", [0, 1, 10_000])
def test_room_is_taken(tmp_path: Path, size: int) -> None:
    with (tmp_path / "file").open("wb") as file:
        preallocate(file.fileno(), size, tmp_path)
        assert os.fstat(file.fileno()).st_blocks * 512 >= size


def test_more_than_is_free_is_refused_without_trying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate", raising=False)  # macOS
    too_much = 2 * shutil.disk_usage(tmp_path).free + 1
    with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        preallocate(file.fileno(), too_much, tmp_path)
