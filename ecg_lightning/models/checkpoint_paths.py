"""The paths that a checkpoint holds: relative to its run's folder, so that they tell nobody where that lies."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

_PATHS: Final = ("dirpath", "best_model_path", "kth_best_model_path", "last_model_path")
_PATHS_AS_KEYS: Final = "best_k_models"


def with_relative_paths(states: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
    """States of callbacks, as Lightning keeps them, with what ``ModelCheckpoint`` knows of its files made relative.

    Args:
        states: Key -> state of each callback.
        folder: The run's.
    """
    base = os.path.realpath(folder)  # ModelCheckpoint resolves its own
    return _changed(states, lambda path: os.path.relpath(path, base) if Path(path).is_absolute() else path)


def with_absolute_paths(states: Mapping[str, Any], folder: str | Path) -> dict[str, Any]:
    """The reverse, in the folder where the run lies now; what an earlier version kept absolute stays so.

    ``ModelCheckpoint`` forgets the best score where its folder is not, to the letter, the one that it is told.

    Args:
        states: Key -> state of each callback.
        folder: The run's.
    """
    base = Path(os.path.realpath(folder))
    return _changed(states, lambda path: os.path.normpath(base / path) if path else path)


def _changed(states: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    return {key: _changed_state(state, change) for key, state in states.items()}


def _changed_state(state: Any, change: Callable[[str], str]) -> Any:
    if not isinstance(state, Mapping) or "dirpath" not in state:
        return state
    changed = dict(state)
    for name in _PATHS:
        if isinstance(changed.get(name), str):
            changed[name] = change(changed[name])
    scores = changed.get(_PATHS_AS_KEYS)
    if isinstance(scores, Mapping):
        changed[_PATHS_AS_KEYS] = {change(path): score for path, score in scores.items()}
    return changed
