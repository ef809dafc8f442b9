"""This module says what a file of a run folder may hold: values that stand for themselves, and no references."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

REFERENCE: Final = "${"
"""How OmegaConf's references begin; ``${oc.env:NAME}`` reads the environment."""

CLASS: Final = "class_path"
"""Key of a mapping that the command line makes an object of."""

Where = Path | str
"""The file that is read, in the words of a message."""


class UntrustedContentError(ValueError):
    """A file refers to what it may not load; the message names file and key, and says what to do."""


def refuse(where: Where, key: str, found: str, allowed: str, remedy: str) -> UntrustedContentError:
    """Make the error, in the words that all have in common.

    Args:
        where: The file that is refused.
        key: Dotted path of the value.
        found: What stands there.
        allowed: What may stand there.
        remedy: What to do.
    """
    return UntrustedContentError(f"{where}: {key}: {found}. Allowed here: {allowed}. Nothing was made of it. {remedy}")


def refuse_references(content: object, where: Where) -> None:
    """Refuse a file of a run folder that refers to other values or to the environment.

    Such a file is written with every value in place; a reference was put there by somebody else.

    Args:
        content: What was read, unresolved.
        where: The file that is read.

    Raises:
        UntrustedContentError: A text holds ``${``.
    """
    for key, value in _texts(content, ""):
        if REFERENCE in value:
            raise refuse(
                where,
                key,
                f"found the reference {value!r}",
                "values that stand for themselves, as the commands write them",
                "Put the value itself there, or move the file out of the run folder if it is your own configuration",
            )


def _texts(content: object, key: str) -> Iterator[tuple[str, str]]:
    """Every text in a tree, keys of mappings included, with its dotted path."""
    if isinstance(content, str):
        yield key, content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from _texts(value, f"{key}.{name}".lstrip("."))
            yield f"{key}.{name}".lstrip("."), str(name)
    elif isinstance(content, list | tuple):
        for place, value in enumerate(content):
            yield from _texts(value, f"{key}[{place}]")
