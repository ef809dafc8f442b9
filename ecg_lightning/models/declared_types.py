"""What a parameter's annotation lets the command line make of a value: an object, an import, or nothing."""

import collections.abc
import dataclasses
import enum
import inspect
import os
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, get_args, get_origin

from jsonargparse import ArgumentParser

_PLAIN_MODULES: Final = ("datetime", "pathlib", "uuid", "decimal")
_IMPORTS: Final = (type, types.ModuleType, types.UnionType, types.GenericAlias, collections.abc.Callable)


@dataclass(frozen=True)
class Declared:
    """What may stand at a parameter.

    Attributes:
        bases: Classes of which the value may be an object: ``class_path`` is allowed, of a class derived from one.
        imports: A text is the name of something that is imported: ``Callable``, ``type``.
        text: A text may stand for itself.
        made: False: an object may not be made there, whatever is declared.
    """

    bases: tuple[type, ...] = ()
    imports: bool = False
    text: bool = False
    made: bool = True

    @property
    def open(self) -> bool:
        """Say that nothing may be made there."""
        return not (self.bases and self.made)


OPEN: Final = Declared(text=True)
"""Without an annotation, or with ``Any``, ``object``, ``dict``."""


@lru_cache(maxsize=512)
def parameter_types(kind: type) -> Mapping[str, Declared]:
    """Parameters of a class's constructor as the command line sees them, those of its bases' ``**kwargs`` included.

    Args:
        kind: The class; it is not instantiated.

    Returns:
        Name -> declared; empty where the command line can't read the constructor.
    """
    parser = ArgumentParser(exit_on_error=False)
    try:
        parser.add_class_arguments(kind, fail_untyped=False)
    except (ValueError, TypeError):
        return {}
    return parser_types(parser)


def parser_types(parser: ArgumentParser) -> dict[str, Declared]:
    """Arguments of a parser: dotted name -> declared."""
    return {
        action.dest: declared(action._typehint)  # jsonargparse keeps the annotation to itself
        for action in parser._actions
        if hasattr(action, "_typehint") and not action.dest.endswith(".help")
    }


def declared(annotation: object) -> Declared:
    """Read an annotation, whatever it is composed of: what one part allows, the whole allows."""
    bases, imports, text = [], False, False
    for leaf in _leaves(annotation):
        if leaf in (str, Any, object) or isinstance(leaf, str):
            text = True
        elif leaf in _IMPORTS:
            imports = True
        elif isinstance(leaf, type) and _is_class(leaf):
            bases.append(leaf)
        elif not isinstance(leaf, type):
            text = True
    return Declared(tuple(bases), imports, text or not (bases or imports))


def _leaves(annotation: object) -> Iterator[object]:
    """The parts of an annotation that no others are in; values of a ``Literal`` as they are."""
    while hasattr(annotation, "__supertype__"):  # NewType
        annotation = annotation.__supertype__
    if isinstance(annotation, getattr(typing, "TypeAliasType", ())):
        annotation = annotation.__value__  # type: ignore[attr-defined]
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is None or not parts:
        yield annotation
    elif origin is Literal:
        yield from parts
    elif origin is collections.abc.Callable:
        yield origin
        if isinstance(parts[-1], type) and _is_class(parts[-1]):
            yield parts[-1]  # a class is its own factory
    elif origin is type:
        yield origin
    elif origin is typing.Annotated:
        yield from _leaves(parts[0])
    elif origin in (typing.Union, types.UnionType) or _is_container(origin):
        for part in parts:
            yield from _leaves(part)
    else:
        yield origin  # a generic class of somebody's own


def _is_container(kind: object) -> bool:
    return isinstance(kind, type) and kind.__module__ in ("builtins", "collections", "collections.abc")


def _is_class(kind: type) -> bool:
    """Whether a value of this type is made from ``class_path`` and ``init_args``."""
    plain = kind.__module__ in ("builtins", "typing", "collections", "collections.abc", *_PLAIN_MODULES)
    if plain or issubclass(kind, enum.Enum | os.PathLike) or typing.is_typeddict(kind):
        return False
    return not getattr(kind, "_is_protocol", False) and inspect.isclass(kind)


def is_record(kind: type) -> bool:
    """Tell a class that a mapping without ``class_path`` makes an object of: a dataclass has no subclasses here."""
    return dataclasses.is_dataclass(kind)
