"""Anonymous memory of processes while a benchmark runs (Linux)."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Reading = TypeVar("Reading")


def processes_below(parent: int) -> list[int]:
    """A process and all that it started, and that these started."""
    below = [parent]
    for process in below:  # grows while it is read
        for path in Path("/proc", str(process), "task").glob("*/children"):
            try:
                below += map(int, path.read_text().split())
            except OSError:  # ended meanwhile
                continue
    return below


def anonymous_megabytes(process: int) -> float:
    """Resident memory that is not backed by a file (MB); 0 of a process that has ended."""
    try:
        status = Path("/proc", str(process), "status").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")) * 1024 / 1e6


def own_megabytes() -> float:
    """Anonymous memory of this process (MB)."""
    return anonymous_megabytes(os.getpid())


def own_and_children() -> tuple[float, float]:
    """Anonymous memory (MB) of this process, and the sum over those that it started."""
    own, *others = (anonymous_megabytes(process) for process in processes_below(os.getpid()))
    return own, sum(others)


@contextmanager
def watched(read: Callable[[], Reading], every: float) -> Iterator[list[Reading]]:
    """Collect what ``read`` gives, once at the start and then every so many seconds while the block runs."""
    readings = [read()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(every):
            readings.append(read())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield readings
    finally:
        done.set()
        thread.join()
