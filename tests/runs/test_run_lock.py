"""Of one run folder one command at a time."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecg_lightning.runs.run_lock import LOCK, RunInUseError, RunLock

HOLD = """
import sys, time
from pathlib import Path
from ecg_lightning.runs.run_lock import RunLock
with RunLock(Path(sys.argv[1]), "fit"):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def held(tmp_path: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lock of ``seed0``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "seed0")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_one_is_refused_until_the_first_is_gone(held: "subprocess.Popen[str]", tmp_path: Path) -> None:
    lock = RunLock(tmp_path / "seed0", "test")
    who = rf"^test: `fit` \(process {held.pid} on {os.uname().nodename}, since 20.*\) works in {tmp_path}/seed0, .*wait"
    with pytest.raises(RunInUseError, match=who), lock:
        pass
    held.kill()
    held.wait()
    with lock:
        assert json.loads((tmp_path / "seed0" / LOCK).read_text())["pid"] == os.getpid()
        (tmp_path / "seed0/fit.yaml").touch()
    with lock:  # and back, and again
        pass
    assert (tmp_path / "seed0" / LOCK).is_file()


def test_a_folder_in_which_nothing_was_made_goes(tmp_path: Path) -> None:
    with RunLock(tmp_path / "seed1", "fit"):
        assert (tmp_path / "seed1").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_holder_that_has_not_said_who_it_is(held: "subprocess.Popen[str]", tmp_path: Path) -> None:
    (tmp_path / "seed0" / LOCK).write_text("")
    with pytest.raises(RunInUseError, match="test: another process works in"), RunLock(tmp_path / "seed0", "test"):
        pass
    held.kill()
    held.wait()


def test_a_folder_that_was_moved_aside_is_locked_again(tmp_path: Path) -> None:
    folder = tmp_path / "seed0"
    other = [sys.executable, "-c", HOLD.replace("time.sleep(100)", "pass"), str(folder)]
    with RunLock(folder, "fit") as lock:
        lock.renew()  # nothing to do
        folder.rename(tmp_path / "seed0.replaced")
        lock.renew()
        assert (folder / LOCK).is_file()
        assert subprocess.run(other, capture_output=True, check=False).returncode == 1
    assert subprocess.run(other, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.warns(UserWarning, match="has no locks .* no other command works in this folder"),
        RunLock(tmp_path, "fit"),
    ):
        pass
