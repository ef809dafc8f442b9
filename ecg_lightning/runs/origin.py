"""A file comes from one of two origins: a run folder, which may be a stranger's, or a place of the user's own."""

from pathlib import Path
from typing import Final

_OF_A_RUN: Final = ("fit.done.json", "test.done.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
_OF_A_STUDY: Final = ("splits.parquet", "population.parquet", "compare.done.json")
_DEPTH_IN_RUN: Final = 4
"""Folders of a run that a file may lie in: ``<run>/wandb/<run>/files``."""
_DEPTH_IN_STUDY: Final = 2 + _DEPTH_IN_RUN


def lies_in_run(path: str | Path, runs: str | Path = "runs") -> bool:
    """Tell a file that lies in a run folder or in a study's, under its own name or where its links lead.

    Such a folder can have been copied from anywhere, so its files are not what the user has typed.

    Args:
        path: The file.
        runs: Folder of all studies of this command.

    Returns:
        False also where there is no such file; True for an address, which the command line would fetch.
    """
    if "://" in str(path):
        return True
    try:
        if not Path(path).is_file():
            return False
    except (OSError, ValueError):
        return False  # too long for a path, or with a zero byte
    places = {Path(path).absolute(), Path(path).resolve()}
    return any(Path(runs).resolve() in place.parents or _is_of_run(place) for place in places)


def _is_of_run(place: Path) -> bool:
    above = list(place.parents)
    of_run = any((folder / name).is_file() for folder in above[:_DEPTH_IN_RUN] for name in _OF_A_RUN)
    return of_run or any((folder / name).is_file() for folder in above[:_DEPTH_IN_STUDY] for name in _OF_A_STUDY)
