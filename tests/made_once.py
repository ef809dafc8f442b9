"""What takes long to make is made once for all test processes of one call of pytest."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the test processes share; the first one that asks for it fills it, the others wait.

    Args:
        factory: Knows where this call's temporary folders are.
        name: Name of the folder.
        make: Fills the empty folder; where it fails, the next process begins anew.
    """
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, finished = base / name, base / f"{name}.made"
    with FileLock(base / f"{name}.lock"):
        if not finished.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            finished.touch()
    return folder
