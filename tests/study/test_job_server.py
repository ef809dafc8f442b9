"""Jobs that are forked from a server behave as processes of their own do."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from ecg_lightning.study import job_server
from ecg_lightning.study.job import environment
from ecg_lightning.study.job_server import ADDRESS, ServedProcess, start_served

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems start a process for each job")

FIT = ["fit", "--config", "configs/fit.yaml", "--config", "configs/data/synthetic.yaml", "--config"]
FIT += ["configs/model/small.yaml", "--target", "first_degree_av_block", "--trainer.accelerator", "cpu"]
FIT += ["--data.source.init_args.n_patients", "160", "--data.source.init_args.evidence", "false"]
FIT += ["--data.split_seed", "1", "--trainer.max_epochs", "1", "--trainer.logger", "false"]


@pytest.fixture(scope="module")
def served() -> Iterator[None]:
    """A server for the jobs of this file; it needs seconds to import."""
    with job_server.job_server(environment(1)) as variables, patch.dict(os.environ, variables):
        yield


def start(folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> ServedProcess:
    monkeypatch.chdir(folder)
    with (folder / "lock").open("w") as held, (folder / "log").open("w") as output:
        fcntl.flock(held, fcntl.LOCK_EX)
        process = start_served(arguments, environment(1), output, held)
    assert process is not None
    return process


def is_locked(path: Path) -> bool:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [(["study", "--help"], 0, "usage: python -m ecg_lightning.cli study"), (["nonsense"], 2, "invalid choice")],
)
@pytest.mark.usefixtures("served")
def test_status_and_output_are_those_of_the_command(
    arguments: list[str], status: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start(tmp_path, arguments, monkeypatch).wait() == status
    assert said in (tmp_path / "log").read_text()


@pytest.mark.usefixtures("served")
def test_a_job_holds_its_lock_and_ends_when_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(tmp_path, [*FIT, "--data.source.init_args.n_patients", "5000"], monkeypatch)
    wait_until(lambda: (tmp_path / ".cache").exists() or bool(list(tmp_path.glob("*/*"))))  # its work begins
    assert is_locked(tmp_path / "lock")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143
    assert "stopped by SIGTERM" in (tmp_path / "log").read_text()
    assert not is_locked(tmp_path / "lock")
    process.send_signal(signal.SIGTERM)  # says nothing to whoever has the number now


@pytest.mark.usefixtures("served")
def test_two_ranks_train_as_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning starts the second rank by the name of the main module."""
    ranks = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    assert start(tmp_path, [*FIT, *ranks], monkeypatch).wait() == 0, (tmp_path / "log").read_text()
    assert "MEMBER: 2/2" in (tmp_path / "log").read_text()
    assert (tmp_path / "runs/default/first_degree_av_block/seed0/fit.done.json").is_file()


STUDY = """
import os, sys
from ecg_lightning.study.job import environment
from ecg_lightning.study.job_server import job_server, start_served
with job_server(environment(1)) as variables:
    os.environ |= variables
    with open("lock", "w") as held, open("log", "w") as output:
        process = start_served(sys.argv[1:], environment(1), output, held)
    print(variables, process.pid, flush=True)
    process.wait()
"""


def test_a_job_outlives_a_killed_study_and_leaves_no_server(tmp_path: Path) -> None:
    script = [sys.executable, "-c", STUDY, *FIT]
    with subprocess.Popen(script, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as study:
        assert study.stdout is not None
        address, pid = study.stdout.readline().rsplit(" ", 1)
        study.kill()
    folder = Path(address.split("'")[3]).parent
    assert folder.is_dir()
    os.kill(int(pid), 0)  # it runs
    wait_until(lambda: not folder.exists())
    assert (tmp_path / "runs/default/first_degree_av_block/seed0/fit.done.json").is_file()


def test_the_death_of_the_server_is_told_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with job_server.job_server(environment(1)) as variables:
        monkeypatch.setenv(ADDRESS, variables[ADDRESS])
        process = start(tmp_path, FIT, monkeypatch)
        server = int(Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        os.kill(server, signal.SIGKILL)
        assert process.wait() == 1
    os.kill(process.pid, signal.SIGKILL)
    assert "has died (out of memory?)" in (tmp_path / "log").read_text()
    shutil.rmtree(Path(variables[ADDRESS]).parent)


def test_without_a_server_jobs_start_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "lock").open("w") as held, (tmp_path / "log").open("w") as output:
        monkeypatch.delenv(ADDRESS, raising=False)
        assert start_served(["fit"], {}, output, held) is None
        monkeypatch.setenv(ADDRESS, str(tmp_path / "gone"))
        assert start_served(["fit"], {}, output, held) is None


def test_where_there_is_a_gpu_nothing_is_forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_server, "_import", lambda: False)
    listener, ours = socket.socket(socket.AF_UNIX), tmp_path / "jobs"
    listener.bind(str(ours))
    listener.listen()
    monkeypatch.setenv(ADDRESS, str(ours))
    server = job_server._Server(listener)
    with listener, (tmp_path / "lock").open("w") as held, (tmp_path / "log").open("w") as output:
        if (pid := os.fork()) == 0:
            server._accept()
            os._exit(0)
        assert start_served(["fit"], {}, output, held) is None
        assert os.waitpid(pid, 0)[1] == 0
