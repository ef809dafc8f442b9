"""What the user has typed: the words of the command line, and its configurations that lie in no run folder."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import yaml

from ecg_lightning.models.trusted_classes import class_names

_CONFIG: Final = ("--config", "-c")
_OF_A_RUN: Final = ("fit.done.json", "test.done.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
_OF_A_STUDY: Final = ("splits.parquet", "population.parquet", "compare.done.json")
_DEPTH: Final = 5
"""A file of a run lies at most this many folders below its study's: ``<target>/seed0/wandb/<run>/files``."""


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
        """Whether a file lies in a run folder or in a study's, here or where its links lead.

        Such a file may be a stranger's: what it says is checked as the content of a checkpoint is.
        """
        try:
            if not Path(path).is_file():
                return False
        except (OSError, ValueError):
            return False  # no path at all
        places = {Path(path).absolute(), Path(path).resolve()}
        return any(self.runs.resolve() in place.parents or _is_of_run(place) for place in places)

    def options(self) -> Iterator[tuple[str, str]]:
        """Option and value, of ``--option=value`` and of ``--option value``."""
        if not isinstance(self.arguments, list | tuple):
            return
        words: Sequence[str] = [str(word) for word in self.arguments]
        for word, following in pairwise([*words, ""]):
            if word.startswith("-"):
                option, joined, value = word.partition("=")
                yield option, value if joined else following


def _is_of_run(place: Path) -> bool:
    """Whether one of the folders above is a run's or a study's."""
    above = list(place.parents)[:_DEPTH]
    of_run = any((folder / name).is_file() for folder in above[:3] for name in _OF_A_RUN)
    return of_run or any((folder / name).is_file() for folder in above for name in _OF_A_STUDY)


def _content(config: str) -> object:
    """A configuration's content; nothing where it can't be read, which the command line says by itself."""
    try:
        return yaml.safe_load(Path(config).read_text(encoding="utf-8") if Path(config).is_file() else config)
    except (OSError, ValueError, yaml.YAMLError):
        return None
