"""From the dotted name of a class to the class, importing no more than the name's origin permits."""

import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

PROJECT: Final = ("ecg_lightning", "callbacks")
"""Packages whose classes a file may name."""

DOTTED: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+")
"""A name that can be imported."""


def is_of_project(kind: object) -> bool:
    """Tell a class that is defined in the project from one that is only imported by one of its modules."""
    return isinstance(kind, type) and kind.__module__.partition(".")[0] in PROJECT


def project_class(name: str) -> type | None:
    """The project's class of a name; nothing but the project's own modules is imported to find it.

    Args:
        name: Such as ``callbacks.MapPictures``.

    Returns:
        The class; None where the name is no class that the project defines, as ``ecg_lightning.cli.sys.exit``.
    """
    if name.partition(".")[0] not in PROJECT:
        return None
    found = named_object(name)
    return found if isinstance(found, type) and is_of_project(found) else None


def named_object(name: str) -> object | None:
    """What a dotted name stands for; its module is imported. Only for names that the user typed, or the project's.

    Returns:
        The object; None where there is no such module or no such name in it.
    """
    if not DOTTED.fullmatch(name):
        return None
    for module, rest in _splits(name):
        try:
            found: object = importlib.import_module(module)
        except ImportError:
            continue
        for attribute in rest:
            found = getattr(found, attribute, None)
        return found
    return None


def imported_object(name: str) -> object | None:
    """What a dotted name stands for among the modules that are imported already; nothing is imported."""
    for module, rest in _splits(name):
        if module in sys.modules:
            found: object = sys.modules[module]
            for attribute in rest:
                found = getattr(found, "__dict__", {}).get(attribute)  # a module may import what getattr asks it for
            return found
    return None


def subclass_of_name(name: str, bases: tuple[type, ...]) -> type | None:
    """A known class of this short name that derives from one of the bases: the command line takes such names."""
    return next((kind for base in bases for kind in _subclasses(base) if kind.__name__ == name), None)


def nameable(typed: Iterable[str] | None) -> str:
    """Say which classes a file may name: the project's, and those that the user has typed."""
    names = ", ".join(sorted(name for name in typed or () if name.partition(".")[0] not in PROJECT)[:8])
    project = " and ".join(PROJECT)
    return f"classes of {project}, and those that this command's own configuration names ({names or 'none'})"


def _splits(name: str) -> Iterator[tuple[str, list[str]]]:
    """Module and the names in it, the longest module first."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:count]), parts[count:]


def _subclasses(base: type) -> Iterator[type]:
    yield base
    found: list[type] = type.__subclasses__(base)
    for kind in found:
        yield from _subclasses(kind)
