"""Telling the folder of a run from other folders, and finding runs near a wrong one."""

import os
import re
from collections import deque
from pathlib import Path
from typing import Final

from ecg_lightning.storage.manifest import MANIFEST_NAME
from ecg_lightning.storage.store_files import ROWS_NAME

RUN_MARKERS: Final = (
    "fit.yaml", "test.yaml", "examples.parquet", "metrics.json", "checkpoints", "logits", "maps",
)  # fmt: skip
"""Of these a run's folder has one at least."""

_NO_STORES_BELOW: Final = frozenset({"checkpoints", "figures", "tables", "wandb"})
_NAME = re.compile(r"seed\d+")
_LEVELS = 4  # runs / study / target / seed
_SUGGESTIONS = 5
_VISITED_AT_MOST = 2000  # folders; the search may begin at the root of a disk


def is_run_folder(folder: Path) -> bool:
    """Tell a folder that is named ``seed<k>`` and holds what a run leaves from others."""
    return bool(_NAME.fullmatch(folder.name)) and any((folder / name).exists() for name in RUN_MARKERS)


def check_run_folder(folder: Path) -> Path:
    """Refuse a folder that is not a run's.

    Args:
        folder: Absolute.

    Returns:
        The same folder.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It is not that of a run; the message says what lies there and which runs are near.
    """
    if not folder.is_dir():
        near = next(parent for parent in folder.parents if parent.is_dir())
        raise FileNotFoundError(f"there is no folder {folder}; {describe_runs_below(near)}")
    if not is_run_folder(folder):
        content = sorted(entry.name for entry in folder.iterdir())[:8]
        raise ValueError(
            f"{folder} is not the folder of a run: expected a name like seed0 and one of "
            f"{', '.join(RUN_MARKERS)} in it; there lie {', '.join(content) or 'no files'}. "
            f"{describe_runs_below(folder)}"
        )
    return folder


def stores_below(folder: Path, *, broken: bool = False) -> list[str]:
    """Names of all stores below the folder of a run or of a comparison, such as ``maps/saliency``.

    Args:
        folder: Of the run or the comparison.
        broken: Whether those count that lack their manifest or their rows.
    """
    names = []
    for place, below, files in os.walk(folder):
        parts = {MANIFEST_NAME, ROWS_NAME}.intersection(files)
        if len(parts) == 2 or (broken and parts):
            names.append(Path(place).relative_to(folder).as_posix())
            below.clear()
        # hidden folders are half-made stores, .replaced- ones were moved aside
        below[:] = [n for n in below if n[0] != "." and ".replaced-" not in n and n not in _NO_STORES_BELOW]
    return sorted(names)


def describe_runs_below(folder: Path) -> str:
    """Name the nearest runs below a folder, as a sentence for an error."""
    found = _nearest(folder)
    if not found:
        return f"no run was found below {folder}"
    names = ", ".join(str(run) for run in found[:_SUGGESTIONS])
    return f"runs below {folder}: {names}" + (", ..." if len(found) > _SUGGESTIONS else "")


def _nearest(folder: Path) -> list[Path]:
    """Breadth first, so that the nearest come first; hidden and unreadable folders are left out."""
    found: list[Path] = []
    queue, visited = deque([(folder, 0)]), 0
    while queue and visited < _VISITED_AT_MOST and len(found) <= _SUGGESTIONS:
        parent, level = queue.popleft()
        visited += 1
        for child in _subfolders(parent):
            if is_run_folder(child):
                found.append(child)
            elif level + 1 < _LEVELS:
                queue.append((child, level + 1))
    return found


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir() and child.name[0] != ".")
    except OSError:  # a suggestion is not worth an error
        return []
