"""Values of a configuration as the command line reads them, before anything is made of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from ecg_lightning.models.class_names import DOTTED

_PLACES: Final = ("config", "ckpt_path", "root", "runs", "study")
"""Settings that hold names of files and folders, which can look like those of classes: ``best.ckpt``."""


def entries(content: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Give names and values; the command line reads ``a.b: c`` as ``a: {b: c}``, and ``a+: [b]`` as more of ``a``."""
    for name, value in content.items():
        first, _, rest = str(name).partition(".")
        yield first.removesuffix("+"), {rest: value} if rest else value


def class_names(content: object) -> Iterator[str]:
    """Find every text in a tree that can be the name of something to import, and is no path."""
    content = as_read(content)
    if isinstance(content, str):
        if DOTTED.fullmatch(content) and not Path(content).exists():
            yield content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            if key not in _PLACES:
                yield from class_names(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from class_names(value)


def as_read(value: object) -> object:
    """Read a list or mapping that is written as text, as the command line does; else give the value itself."""
    if not isinstance(value, str) or not any(mark in value for mark in ":[{-\n"):
        return value
    try:
        read = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        return value
    return read if isinstance(read, dict | list) else value
