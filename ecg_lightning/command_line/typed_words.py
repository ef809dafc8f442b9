"""What the user has typed: the words of the command line, and its configurations that lie in no run folder."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import yaml
from jsonargparse import Namespace

from ecg_lightning.models.config_values import class_names
from ecg_lightning.runs.origin import lies_in_run

CONFIG_OPTIONS: Final = ("--config", "-c")


@dataclass(frozen=True)
class TypedWords:
    """The words of a command line, as the user has typed them.

    Attributes:
        options: Option and value, of ``--option=value`` and of ``--option value``.
        names: Every word that can be the name of a class; whether it is one, is found where it is used.
        runs: The folder of all studies.
    """

    options: tuple[tuple[str, str], ...]
    names: frozenset[str]
    runs: Path

    @classmethod
    def of(cls, args: Any) -> "TypedWords":
        """Read at once: jsonargparse changes to the folder of each configuration while it reads it.

        Args:
            args: Words, or a mapping where the command is called from Python; None: the words of the process.
        """
        words = sys.argv[1:] if args is None else args
        options = tuple(options_in(words) if isinstance(words, list | tuple) else ())
        runs = Path(next((value for option, value in reversed(options) if option == "--runs"), "runs")).absolute()
        found = [] if options else list(class_names(as_mapping(words)))
        for option, value in options:
            if option not in CONFIG_OPTIONS:
                found += class_names({option.lstrip("-"): value})
            elif not lies_in_run(value, runs):
                found += class_names(content_of(value))
        return cls(options, frozenset(found), runs)

    def lies_in_run(self, path: str | Path) -> bool:
        """Tell a file that lies in a run folder: it is checked as the content of a checkpoint is."""
        return lies_in_run(path, self.runs)


def options_in(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield option and value, of ``--option=value`` and of ``--option value``."""
    for word, following in pairwise([*map(str, words), ""]):
        if word.startswith("-"):
            option, joined, value = word.partition("=")
            yield option, value if joined else following


def as_mapping(config: Any) -> Any:
    """A parsed configuration without jsonargparse's namespaces."""
    if isinstance(config, Namespace):
        return {key: as_mapping(value) for key, value in vars(config).items()}
    if isinstance(config, dict):
        return {key: as_mapping(value) for key, value in config.items()}
    return [as_mapping(value) for value in config] if isinstance(config, list | tuple) else config


def content_of(config: str) -> object:
    """A configuration's content; nothing where it can't be read, which the command line says by itself."""
    try:
        return yaml.safe_load(Path(config).read_text(encoding="utf-8") if Path(config).is_file() else config)
    except (OSError, ValueError, yaml.YAMLError):
        return None
