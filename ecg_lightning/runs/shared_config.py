"""What of a configuration may leave: settings, and no paths of this machine and no ids of ECGs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_LEFT_OUT: Final = object()
_ID_LISTS: Final = ("ecg_ids",)
"""Settings that hold ids of ECGs."""


def shared_config(config: Any) -> Any:
    """A configuration for those outside: ids are counted, and paths are relative or left out.

    A path below the working folder becomes relative to it; one that lies elsewhere is left out with its key.

    Args:
        config: Nested mappings and lists of plain values, as read from YAML.
    """
    found = _shared(config)
    return None if found is _LEFT_OUT else found


def _shared(value: Any) -> Any:
    if isinstance(value, Mapping):
        parts = {key: _counted(part) if key in _ID_LISTS else _shared(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part is not _LEFT_OUT}
    if isinstance(value, list | tuple):
        return [part for part in (_shared(one) for one in value) if part is not _LEFT_OUT]
    return _shared_text(value) if isinstance(value, str) else value


def _counted(ids: Any) -> Any:
    return f"{len(ids)} ECGs" if isinstance(ids, list | tuple) else None


def _shared_text(text: str) -> Any:
    path = text.removeprefix("file://")
    if Path(path).is_absolute():
        path = os.path.relpath(os.path.realpath(path), os.path.realpath(os.curdir))
        return _LEFT_OUT if Path(path).parts[:1] == (os.pardir,) else path
    return _LEFT_OUT if path.startswith("~") or Path(path).parts[:1] == (os.pardir,) else text
