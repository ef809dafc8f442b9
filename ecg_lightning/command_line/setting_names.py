"""Misspelt settings below a key are refused with the names that there are, before the parser refuses them obscurely."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ecg_lightning.models.declared_types import parameter_types
from ecg_lightning.storage.plain_values import CLASS

_PARTS_OF_AN_OBJECT: Final = frozenset((CLASS, "init_args", "dict_kwargs"))


def unknown_settings(content: Mapping[str, Any], classes: Mapping[str, type]) -> Iterator[str]:
    """What is wrong with the names of a configuration, one sentence for each name.

    Args:
        content: Of a configuration; other keys are left to the parser.
        classes: Key -> class whose settings stand below it.
    """
    for key, kind in classes.items():
        if key in content:
            yield from _unknown(content[key], kind, key)


def nested(option: str, value: object) -> dict[str, Any]:
    """``maps.methods.smoothgrad`` and a value as the mapping in mappings that a file would have."""
    first, _, rest = option.partition(".")
    return {first: nested(rest, value) if rest else value}


def _unknown(settings: object, kind: type, where: str) -> Iterator[str]:
    if not isinstance(settings, Mapping) or CLASS in settings:  # an object of a class that is named has its own names
        return
    if settings.keys() <= _PARTS_OF_AN_OBJECT:
        yield from _unknown(settings.get("init_args"), kind, where)
        return
    known = parameter_types(kind)
    for name, value in settings.items():
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; do you mean {near[0]}?" if near else ""
            yield f"{where}.{name}: there is no such setting{hint} Below {where} there are {', '.join(known)}"
        elif known[name].bases:
            yield from _unknown(value, known[name].bases[0], f"{where}.{name}")
