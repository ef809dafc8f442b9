"""Runs one job of a study as a process of its own: ``python -m ecg_lightning.study.job ...``.

The job's lock is inherited by the command: where a study was killed and a job of it has survived, the same job of the
next study waits until it has ended instead of writing into the same folder.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Final

from ecg_lightning.study.job_server import ADDRESS, ServedProcess, start_served

EVENTS: Final = "events.jsonl"

_commands: "list[subprocess.Popen[bytes] | ServedProcess]" = []
"""The command of this process, for its handler of SIGTERM."""


def run_job(name: str, arguments: list[str], lock: Path, log: Path, done: Path, threads: int) -> int:
    """Run ``python -m ecg_lightning.cli`` with its output in a file.

    Args:
        name: Name of the job, for the list of events beside the log.
        arguments: Arguments of the command line.
        lock: File whose lock is held while the command runs, also when this process is killed.
        log: Where its output goes.
        done: Written with the duration where the command does not write it itself (``prepare``).
        threads: Threads of the command.

    Returns:
        Its exit status.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held, log.open("w") as output:
        _wait_for(held, name, output)
        start = time.time()
        _tell(log, name, "begins", start)
        process = _start(arguments, environment(threads), output, held)
        _commands.append(process)
        status = process.wait()
        _tell(log, name, "ends" if status == 0 else "fails", time.time(), time.time() - start)
    if status == 0 and arguments[0] == "prepare":
        done.write_text(json.dumps({"seconds": round(time.time() - start, 1)}), encoding="utf-8")
    return status


def _start(
    arguments: list[str], variables: dict[str, str], output: IO[str], held: IO[str]
) -> "subprocess.Popen[bytes] | ServedProcess":
    """Run the command in a fork of the study's server, or in a process of its own."""
    served = start_served(arguments, variables, output, held)
    if served is not None:
        return served
    command = [sys.executable, "-m", "ecg_lightning.cli", *arguments]
    inherited = [held.fileno()]
    return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=variables, pass_fds=inherited)


def environment(threads: int) -> dict[str, str]:
    """Return this process's environment, with as many threads a job as it may have: two jobs must not fight."""
    counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    inherited = {name: value for name, value in os.environ.items() if name not in ("WANDB_SERVICE", ADDRESS)}
    return inherited | counts


def _wait_for(held: IO[str], name: str, output: IO[str]) -> None:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{name}: another process still runs this job; waiting for it", file=output, flush=True)
        fcntl.flock(held, fcntl.LOCK_EX)


def _tell(log: Path, name: str, what: str, when: float, seconds: float | None = None) -> None:
    """One line for the progress view; lines of one write each, so that jobs side by side do not mix."""
    line = json.dumps({"job": name, "what": what, "time": when, "seconds": seconds, "log": str(log)})
    descriptor = os.open(log.parent / EVENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def _pass_on(number: int, _frame: object) -> None:
    """A job that is cancelled has its command end first, and then says that it has failed."""
    for command in _commands:
        command.send_signal(number)
    if not _commands:  # it still waits for its lock
        sys.exit(128 + number)


def main() -> None:
    """Parse and run; exits with the command's status."""
    signal.signal(signal.SIGTERM, _pass_on)
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--name", "--lock", "--log", "--done"):
        parser.add_argument(name, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    arguments = given.arguments[1:] if given.arguments[:1] == ["--"] else given.arguments
    log, done = Path(given.log), Path(given.done)
    status = run_job(given.name, arguments, Path(given.lock), log, done, given.threads)
    if status == 0 and not done.is_file():  # a fit of no epoch, for one
        with log.open("a") as output:
            print(f"{given.name} came to its end without writing {done}, so it is not finished", file=output)
        status = 1
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
