"""Worker processes end with the process that started them, and one that dies is told."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ecg_lightning.data.worker_pool import worker_pool

BOTH_WAIT = """
import multiprocessing, os, sys, threading, time
from ecg_lightning.data.worker_pool import worker_pool

def nothing(): pass

def who(): time.sleep(0.5); return os.getpid()

if __name__ == "__main__":
    with worker_pool(2, multiprocessing.get_context("spawn"), nothing, "waiting") as pool:
        print(*{future.result() for future in [pool.submit(who) for _ in range(4)]}, flush=True)
        threading.Event().wait()
"""


def nothing() -> None:
    """What a worker has to do first."""


def die() -> None:
    os._exit(9)


def test_a_worker_that_dies_is_told_with_what_it_was_doing() -> None:
    with (
        pytest.raises(RuntimeError, match=r"a worker process died while comparing maps: .*with fewer processes"),
        worker_pool(1, multiprocessing.get_context("spawn"), nothing, "comparing maps") as pool,
    ):
        pool.submit(die).result()


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(BOTH_WAIT)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [psutil.Process(int(word)) for word in parent.stdout.readline().split()]
        assert workers
        parent.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive, "a worker outlives its parent"
