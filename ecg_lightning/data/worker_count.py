"""How many processes may work here: a module without imports of weight, since a study asks before it starts any job."""

import multiprocessing
import os


def worker_count(asked: int | None) -> int:
    """How many processes work.

    Args:
        asked: What the user asked for; None for one per core that this process may use.

    Raises:
        ValueError: Less than one is asked for.
    """
    if asked is not None and asked < 1:
        raise ValueError(f"processes: expected None or at least 1, got {asked}")
    if multiprocessing.current_process().daemon:
        return 1  # daemonic processes (of a DataLoader, say) may not have children
    if asked is not None:
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
