"""This module finds what lies in the arguments and outputs of functions: values in lists and mappings, to any depth."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

_Kind = TypeVar("_Kind")


def nested(value: Any, kind: type[_Kind]) -> Iterator[_Kind]:
    """Yield every object of a class in lists, tuples and the values of mappings, in order.

    Args:
        value: Any; itself where it is of the class.
        kind: The class that is looked for.
    """
    if isinstance(value, kind):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from nested(part, kind)
