"""What the front door does before any command."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", [["fit", "--help"], ["report", "--help"]])
def test_the_backend_of_a_notebook_stops_no_command(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ecg_lightning.cli", *command],
        env={**os.environ, "MPLBACKEND": "not_installed_here"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
