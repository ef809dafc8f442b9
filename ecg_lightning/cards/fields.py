"""From the content of a YAML file to the fields of a record: each is checked, and told by its key."""

import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ecg_lightning.ecg import shown_text


class CardError(ValueError):
    """An error of a network card; the message names the file, the key, what was expected, and what came."""


def record(kind: type, content: object, where: str, *, key: str = "", given: Mapping[str, Any] | None = None) -> Any:
    """Make a record of what stands in a file.

    Args:
        kind: A dataclass, whose annotations say what may stand where.
        content: A mapping.
        where: The file, for messages.
        key: Where the record stands in the file; empty: at the top.
        given: Fields that the file does not tell.

    Raises:
        CardError: No mapping, an unknown or missing key, a value of another kind, or one that the record refuses.
    """
    known, hints = dict(given or {}), get_type_hints(kind)
    told = {one.name: one for one in fields(kind) if one.name not in known}
    place = f"{where}: {key}" if key else where
    if not isinstance(content, Mapping):
        raise CardError(f"{place}: expected {', '.join(told)}, got {_shown(content)}")
    for name in content:
        if name not in told:
            close = difflib.get_close_matches(str(name), told, n=1)
            raise CardError(
                f"{place}: there is no key {shown_text(repr(name))}"
                + (f"; did you mean {close[0]}?" if close else f"; there are {', '.join(told)}")
            )
    for name, one in told.items():
        if name in content:
            known[name] = _value(hints[name], content[name], where, f"{key}.{name}" if key else name)
        elif one.default is MISSING and one.default_factory is MISSING:
            raise CardError(f"{place}: the key {name} is missing")
    try:
        return kind(**known)
    except ValueError as error:
        raise CardError(f"{place}{'.' if key else ': '}{error}") from error


def _value(hint: Any, value: object, where: str, key: str) -> Any:
    """Check one value against its annotation."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in parts:
            return None
        return _first_that_fits([part for part in parts if part is not type(None)], value, where, key)
    if is_dataclass(hint) and isinstance(hint, type):
        return record(hint, value, where, key=key)
    if origin is Literal:
        if value not in parts:
            raise CardError(f"{where}: {key}: expected one of {', '.join(map(str, parts))}, got {_shown(value)}")
        return value
    if origin is tuple:
        listed = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        return tuple(_value(parts[0], one, where, key) for one in listed)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise CardError(f"{where}: {key}: expected lines of `name: value`, got {_shown(value)}")
        return {str(name): _value(parts[1], one, where, f"{key}.{name}") for name, one in value.items()}
    return value if hint is Any else _plain(hint, value, where, key)


def _first_that_fits(parts: Sequence[Any], value: object, where: str, key: str) -> Any:
    for part in parts[:-1]:
        if isinstance(value, part) and not isinstance(value, bool):
            return value
    return _value(parts[-1], value, where, key)


def _plain(hint: type, value: object, where: str, key: str) -> Any:
    """A text, a number or a truth value; 500 is a fraction too, and true no number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {str: isinstance(value, str), float: number, int: isinstance(value, int) and number}
    if not fits.get(hint, isinstance(value, hint)):
        words = {str: "a text", float: "a number", int: "a whole number"}.get(hint, f"a {hint.__name__}")
        raise CardError(f"{where}: {key}: expected {words}, got {_shown(value)}")
    return float(value) if hint is float else value  # type: ignore[arg-type]


def _shown(value: object) -> str:
    return "nothing" if value is None else shown_text(repr(value))
