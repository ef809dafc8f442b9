"""This module counts the processes that may work here; it imports little, since a study needs it before any job."""

import multiprocessing
import os


def worker_count(asked: int | None) -> int:
    """Return how many processes work.

    Args:
        asked: The user's number of processes; None for one per core that this process may use.

    Raises:
        ValueError: Less than one process is requested.
    """
    if asked is not None and asked < 1:
        raise ValueError(f"processes: expected None or at least 1, got {asked}")
    if multiprocessing.current_process().daemon:
        return 1  # daemonic processes (of a DataLoader, say) may not have children
    if asked is not None:
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
