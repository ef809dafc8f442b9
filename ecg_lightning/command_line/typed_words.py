"""What the user has typed: the words of the command line, and its configurations that lie in no run folder."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import yaml

from ecg_lightning.models.trusted_classes import class_names
from ecg_lightning.runs.origin import lies_in_run

_CONFIG: Final = ("--config", "-c")


@dataclass(frozen=True)
class TypedWords:
    """The command line of this process.

    Attributes:
        arguments: Words, or a mapping where the command was called from Python.
    """

    arguments: Any

    @classmethod
    def of(cls, args: Any) -> "TypedWords":
        """Of the arguments that were handed to the command line; None: those of the process."""
        return cls(list(sys.argv[1:]) if args is None else args)

    @property
    def runs(self) -> Path:
        """The folder of all studies."""
        named = [value for option, value in self.options() if option == "--runs"]
        return Path(named[-1] if named else "runs")

    @property
    def names(self) -> frozenset[str]:
        """Every word that can be the name of a class; whether it is one, is found where it is used."""
        found: list[str] = []
        for option, value in self.options():
            if option not in _CONFIG:
                found += class_names(value)
            elif not self.lies_in_run(value):
                found += class_names(_content(value))
        if not isinstance(self.arguments, list | tuple):
            found += class_names(self.arguments)
        return frozenset(found)

    def lies_in_run(self, path: str | Path) -> bool:
        """Whether a file lies in a run folder: then it is checked as the content of a checkpoint is."""
        return lies_in_run(path, self.runs)

    def options(self) -> Iterator[tuple[str, str]]:
        """Option and value, of ``--option=value`` and of ``--option value``."""
        if not isinstance(self.arguments, list | tuple):
            return
        words: Sequence[str] = [str(word) for word in self.arguments]
        for word, following in pairwise([*words, ""]):
            if word.startswith("-"):
                option, joined, value = word.partition("=")
                yield option, value if joined else following


def _content(config: str) -> object:
    """A configuration's content; nothing where it can't be read, which the command line says by itself."""
    try:
        return yaml.safe_load(Path(config).read_text(encoding="utf-8") if Path(config).is_file() else config)
    except (OSError, ValueError, yaml.YAMLError):
        return None
