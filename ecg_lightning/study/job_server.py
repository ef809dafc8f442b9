"""A process that has imported Lightning, and forks itself for each job of a study on this machine.

Importing costs 5 s of processor time, which is half of what a small network's training takes. Every job is still a
process of its own: what it keeps in memory, seeds or breaks is gone when it ends, and it can be stopped alone.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

ADDRESS: Final = "ECG_LIGHTNING_JOB_SERVER"
"""Environment variable that tells jobs the server's socket; without it they start processes of their own."""

_SECONDS_TO_END: Final = 5.0
_SERVER_DIED: Final = (
    "the process that the study's jobs are forked from has died (out of memory?), so that nobody can say how this job "
    "ends; it may still run: give the same command again, which waits for it and goes on"
)
_COMMAND: Final = "ecg_lightning.cli"
_IMPORTED: Final = "ecg_lightning.command_line.lightning_cli"


@contextmanager
def job_server(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Start a server that lives as long as the block, and then until its last job has ended.

    Args:
        environment: The environment that it imports in; its threads are those of the jobs.

    Yields:
        Environment variables with which jobs find it; none where processes can't be handed files (outside of Linux).
    """
    if sys.platform != "linux":  # forking a process that has loaded Apple's libraries is not safe
        yield {}
        return
    address = Path(tempfile.mkdtemp(prefix="ecg_lightning_")) / "jobs"  # a folder of this user's; the server clears it
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        number = listener.fileno()
        command = [sys.executable, "-m", "ecg_lightning.study.job_server", str(number), str(address)]
        server = subprocess.Popen(command, env=dict(environment), stdin=subprocess.PIPE, pass_fds=[number])
    # it reads the end of its input when this process has ended, however it ends
    with server.stdin or nullcontext():
        yield {ADDRESS: str(address)}
    with suppress(subprocess.TimeoutExpired):  # a job that outlives its study keeps the server
        server.wait(_SECONDS_TO_END)


class ServedProcess:
    """A job that runs in a fork of the server; waits and signals as ``subprocess.Popen`` does."""

    def __init__(self, connection: socket.socket, pid: int, log: Path) -> None:
        self._connection, self._log = connection, log
        self.pid = pid
        self.returncode: int | None = None

    def wait(self) -> int:
        """Wait for the end of the process.

        Returns:
            Its exit status, negative for a signal; 1 where the server has died, so that nobody knows it.
        """
        answer = _read_line(self._connection)
        if answer is None:
            with self._log.open("a") as output:
                print(_SERVER_DIED, file=output)
        self.returncode = 1 if answer is None else int(answer["status"])
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send the process a signal, if it still runs."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def start_served(
    arguments: Sequence[str], environment: Mapping[str, str], output: IO[str], held: IO[str]
) -> ServedProcess | None:
    """Have the server run ``python -m ecg_lightning.cli`` here, if there is a server that can.

    Args:
        arguments: Arguments of the command line.
        environment: All environment variables of the job.
        output: Where its output goes.
        held: A locked file, which stays locked until the job ends.

    Returns:
        The job; None where no server was named, or where it does not fork since there is a GPU.
    """
    address = os.environ.get(ADDRESS)
    if address is None:
        return None
    request = {"arguments": list(arguments), "environment": dict(environment), "folder": str(Path.cwd())}
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
        socket.send_fds(connection, [b"\n"], [output.fileno(), held.fileno()])
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = _read_line(connection)
    except OSError:  # the server has ended
        answer = None
    if answer is None or answer["pid"] is None:
        connection.close()
        return None
    return ServedProcess(connection, int(answer["pid"]), Path(output.name).absolute())


@dataclass
class _Server:
    """Forks for requests until its parent ends, and tells who has requested a job how it ended.

    Attributes:
        listener: The socket that jobs connect to.
        children: The connection of each job that runs, by its process.
        can_fork: Whether jobs are forked; None: not known before Lightning is imported.
    """

    listener: socket.socket
    children: dict[int, socket.socket] = field(default_factory=dict)
    can_fork: bool | None = None

    def next_job(self) -> dict[str, Any] | None:
        """Serve; return in the server itself with None, when all is over, and in every fork with its request."""
        ended, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            for source in (self.listener, sys.stdin, ended):
                selector.register(source, selectors.EVENT_READ)
            while self.children or len(selector.get_map()) > 1:
                ready = {key.fileobj for key, _ in selector.select()}
                if ended in ready:
                    os.read(ended, 512)
                    self._reap()
                if sys.stdin in ready:  # its end: nothing else is written
                    selector.unregister(sys.stdin)
                    selector.unregister(self.listener)
                elif self.listener in ready:
                    request = self._accept()
                    if request is not None:
                        return request
        return None

    def _accept(self) -> dict[str, Any] | None:
        connection = self.listener.accept()[0]
        _, files, _, _ = socket.recv_fds(connection, 1, 2)
        request = _read_line(connection)
        if self.can_fork is None:
            self.can_fork = _import()
        pid = os.fork() if request is not None and self.can_fork else None
        if pid == 0:
            self._become_job(connection)
            return {**(request or {}), "output": files[0]}
        for file in files:
            os.close(file)
        _write_line(connection, {"pid": pid})
        if pid is not None:
            self.children[pid] = connection
        return None

    def _become_job(self, connection: socket.socket) -> None:
        """Let go of what is the server's."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for one in (self.listener, connection, *self.children.values()):
            one.close()

    def _reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self.children.pop(pid)
            _write_line(connection, {"status": os.waitstatus_to_exitcode(status)})
            connection.close()


def _import() -> bool:
    """Import what every job needs; False where there is a GPU, which a fork could not use."""
    gc.disable()  # as the command line does while it imports; in each fork it enables it again
    importlib.import_module(_IMPORTED)
    import torch

    gc.freeze()  # the forks share these pages as long as nobody writes to them
    return torch.cuda.device_count() == 0


def _run(request: Mapping[str, Any]) -> None:
    """Be the command that was requested."""
    for stream in (1, 2):
        os.dup2(request["output"], stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["", *request["arguments"]]
    # as `python -m` would: Lightning starts further ranks by the name of the main module
    runpy.run_module(_COMMAND, run_name="__main__", alter_sys=True)


def _write_line(connection: socket.socket, content: Mapping[str, object]) -> None:
    with suppress(OSError):  # who wanted to know was killed
        connection.sendall(json.dumps(content).encode() + b"\n")


def _read_line(connection: socket.socket) -> dict[str, Any] | None:
    """The next answer; None where the other side has ended."""
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(1 << 16)
        if not part:
            return None
        line += part
    content: dict[str, Any] = json.loads(line)
    return content


def main() -> None:
    """Serve on the socket that was inherited."""
    for number in (signal.SIGINT, signal.SIGTERM):  # its jobs are stopped by name, and it ends with its parent
        signal.signal(number, signal.SIG_IGN)
    listener, address = socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])
    job = _Server(listener).next_job()
    if job is not None:
        _run(job)
        return
    address.unlink()
    address.parent.rmdir()


if __name__ == "__main__":
    main()
