"""One command at a time works in a run folder: a second ``fit``, ``test`` or ``tune`` is refused before it writes."""

import errno
import json
import os
import socket
import time
import warnings
from pathlib import Path
from typing import Final, Self

from filelock import FileLock, Timeout

LOCK: Final = ".lock"
"""In the run folder. The system releases it with its holder, so that a file that is there means nothing."""

_NO_LOCKS: Final = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Of file systems that can't lock."""


class RunInUseError(RuntimeError):
    """Another process works in the run folder; the message says which, and what to do."""


class RunLock:
    """The lock of a run folder, held within a ``with`` block or to the end of the process.

    Args:
        folder: The run's.
        command: What is done in it, such as ``fit``; for the message of who is refused.
    """

    def __init__(self, folder: Path, command: str) -> None:
        self.folder, self.command = folder, command
        self._path = folder / LOCK
        self._lock: FileLock | None = None

    def __enter__(self) -> Self:
        """Take the lock, at once or not at all. A file system without locks is said, and goes without.

        Raises:
            RunInUseError: Another process holds it.
        """
        self._acquire()
        return self

    def __exit__(self, *_raised: object) -> None:
        """Give it back; the file stays, but for a folder in which nothing else was made."""
        if self._lock is not None:
            if [path.name for path in self.folder.iterdir()] == [LOCK]:
                self._path.unlink()  # while it is held: FileLock takes no lock of a deleted file
                self.folder.rmdir()
            self._lock.release()
            self._lock = None

    def _acquire(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._path, fallback_to_soft=False)  # a soft one would outlive a killed holder
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunInUseError(self._who()) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            warnings.warn(
                f"{self.folder}: its file system has no locks ({error.strerror}); take care that no other command "
                "works in this folder",
                stacklevel=2,
            )
            return
        self._lock = lock
        holder = {"command": self.command, "pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        self._path.write_text(json.dumps(holder) + "\n", encoding="utf-8")

    def renew(self) -> None:
        """Take the lock of a folder that stands where the first one was, if that was moved aside.

        Raises:
            RunInUseError: Another process was faster.
        """
        if self._lock is not None and not self._path.exists():
            moved = self._lock
            self._acquire()
            moved.release()

    def _who(self) -> str:
        try:
            holder = json.loads(self._path.read_text(encoding="utf-8"))
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder["since"]))
            who = f"`{holder['command']}` (process {holder['pid']} on {holder['host']}, since {since})"
        except (OSError, ValueError, KeyError, TypeError):  # it has begun to write who it is
            who = "another process"
        return (
            f"{self.command}: {who} works in {self.folder}, and two would write over each other: wait until it has "
            "ended, or give this command another --study"
        )
