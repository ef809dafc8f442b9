"""The command line as processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO


def start(
    arguments: list[str], paths: Iterable[Path] = (), stdout: IO[str] | int = subprocess.PIPE
) -> "subprocess.Popen[str]":
    """One call, in a session that can be killed whole.

    ``paths`` are searched for modules before everything else.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    searched = [*map(str, paths), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "ecg_lightning.cli", *arguments],
        env={**inherited, "OMP_NUM_THREADS": "1", **({"PYTHONPATH": os.pathsep.join(searched)} if searched else {})},
        stdout=stdout,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def kill(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
