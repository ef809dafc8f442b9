"""How a command ends that is told to stop: at once, with 143 (SIGTERM) or 130 (SIGINT), and with one line.

What is on the disk survives any kill, so that nothing needs to be wound up: rows that are done are kept, files are
whole or not there. A signal therefore ends the process without asking the code that runs, which may wait in a
collective of another rank, in a bootstrap of minutes or in a library that swallows it. What others would be left with
is cleared first, for a few seconds at most: child processes, an open W&B run, temporary files.
"""

import _thread
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

from ecg_lightning.storage.atomic import discard_temporaries

STOPPED: Final = {signal.SIGTERM: 143, signal.SIGINT: 130}
"""Signal -> exit status, as a shell's of a process that it ended."""

PATIENCE: Final = 4.0
"""Longest time that clearing up may take if nothing else is said, s. Slurm kills 30 s after SIGTERM."""

_RANKS: Final = ("RANK", "SLURM_PROCID", "LOCAL_RANK", "NODE_RANK")

_to_clear: list[tuple[Callable[[], object], float]] = []
_begun = threading.Lock()
_installed = False


def is_rank_zero() -> bool:
    """Tell rank zero from others as far as launchers say, before a process group is there."""
    return all(os.environ.get(name, "0") == "0" for name in _RANKS)


def end_when_told() -> None:
    """From now on SIGTERM and SIGINT end this process; for the main thread of a command line.

    A signal that is ignored already stays so (``nohup``, a job in the background of a script).
    """
    global _installed
    if _installed:
        return
    _installed = True
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # Python runs its handlers between two steps of the main thread, which may be minutes away in a collective or in
    # compiled code. The number of the signal is written at once, and read by a thread.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in STOPPED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, end_from_handler)
    threading.Thread(target=_watch, args=(reader,), daemon=True, name="endings").start()
    os.register_at_fork(after_in_child=_forget)


def ends_when_told() -> bool:
    """Say if this process was set up by ``end_when_told``."""
    return _installed


def before_end(clear: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Have something called when the process is told to stop, in a thread of its own.

    Args:
        clear: What is called.
        seconds: It is cut off after so many.
    """
    _to_clear.append((clear, seconds))


def end_from_handler(number: int, _frame: object) -> None:
    """A signal's handler: wait here for the end, so that the main thread finishes nothing meanwhile.

    The end itself is another thread's work: of two signals in a row, as a scheduler and a job's process send them, the
    second one interrupts the first one's handler, and would wait for what it keeps from going on.
    """
    _thread.start_new_thread(_end, (number,))
    threading.Event().wait()


def _forget() -> None:
    """A forked child that is stopped, as workers of data loaders are, must not end its parent through their pipe."""
    signal.set_wakeup_fd(-1)
    for number, default in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is end_from_handler:
            signal.signal(number, default)


def _watch(reader: int) -> None:
    while True:
        for number in os.read(reader, 16):
            if number in STOPPED and signal.getsignal(number) not in (signal.SIG_IGN, signal.SIG_DFL):
                _end(number)


def _end(number: int) -> None:
    """Clear up and end; who comes second returns."""
    if not _begun.acquire(blocking=False):
        return
    name = signal.Signals(number).name
    if is_rank_zero():
        os.write(2, f"\nstopped by {name}; what is done is kept: give the same command again\n".encode())
    todo = [*_to_clear, *((one, PATIENCE) for one in _ALWAYS)]
    # bare threads: starting one of `threading` takes a lock that the interrupted main thread may hold
    running = [_thread.allocate_lock() for _ in todo]
    began = time.monotonic()
    for lock, (clear, _) in zip(running, todo, strict=True):
        lock.acquire()
        _thread.start_new_thread(_quietly, (clear, lock))
    for lock, (_, seconds) in zip(running, todo, strict=True):
        lock.acquire(timeout=max(0.0, began + seconds - time.monotonic()))
    os._exit(STOPPED[signal.Signals(number)])


def _quietly(clear: Callable[[], object], running: "_thread.LockType") -> None:
    """Nothing that goes wrong now may keep the process from ending, or be taken for the cause of it."""
    try:
        clear()
    except BaseException:
        return
    finally:
        running.release()


def _end_workers() -> None:
    """Kill workers of data loaders and pools: they wait for work that will not come."""
    for process in multiprocessing.active_children():
        process.kill()


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()


_ALWAYS: Final[tuple[Callable[[], object], ...]] = (_end_workers, _flush, discard_temporaries)
