"""The processes that may work here; this module imports little, since a study needs it before any job."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from multiprocessing.context import BaseContext


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


@contextmanager
def worker_pool(workers: int, context: BaseContext, start: Callable[[], None], doing: str) -> Iterator[Executor]:
    """Hold processes that end with this one; at the first error, what is not begun is given up.

    Args:
        workers: How many.
        context: How they begin; not by forking this process, which may hold torch's threads and CUDA.
        start: What each calls first; it can be pickled.
        doing: What they do, for a message.

    Raises:
        RuntimeError: A worker died.
    """
    pool = ProcessPoolExecutor(workers, context, _start, (start,))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise RuntimeError(
            f"a worker process died while {doing}: out of memory, or a script without 'if __name__ == \"__main__\":'; "
            "run again, with fewer processes: the parts that are done are kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start(start: Callable[[], None]) -> None:
    parent = parent_process()
    if parent is not None:
        # Workers of a killed parent would wait for work for ever.
        threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()
    start()


def _exit_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
