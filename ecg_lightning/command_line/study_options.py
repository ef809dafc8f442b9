"""Checks the options of a study file, which become words of command lines, before any of its jobs begins."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import yaml

from ecg_lightning.runs.origin import lies_in_run
from ecg_lightning.shipped import find_config
from ecg_lightning.storage.plain_values import CLASS, UntrustedContentError, refuse_references

_NAME: Final = re.compile(rf"{CLASS}|[^\W\d]\w*(?:\.[^\W\d]\w*)+")
_HARMLESS: Final = re.compile(r"callbacks\.[A-Z]\w*")
"""Of the names of what could be imported. Options without others need no closer look, which takes seconds."""


def check_study(arguments: Sequence[str]) -> None:
    """Refuse a study file whose options ask for what the command line would refuse, naming file and option.

    Args:
        arguments: Of the command ``study``.

    Raises:
        SystemExit: It asks for it. What is no study file at all is left to the command itself.
    """
    given = [value for word, value in pairwise([*arguments, ""]) if word == "--config"]
    given += [word.partition("=")[2] for word in arguments if word.startswith("--config=")]
    runs = [value for word, value in pairwise(arguments) if word == "--runs"]
    for config in given:
        try:
            file = find_config(config)
            _check(_content(file), file, lies_in_run(file, runs[-1] if runs else "runs"))
        except FileNotFoundError:
            continue
        except UntrustedContentError as error:
            sys.exit(f"study: {error}")


def _check(content: object, file: Path, foreign: bool) -> None:
    if not isinstance(content, Mapping):
        return
    if foreign:
        refuse_references(content, file)
    stages = [one for one in _stages(content) if _asks_for_a_look(one[2])]
    if not stages:
        return
    # Lightning and the networks, which a study's own process needs for nothing else
    from ecg_lightning.command_line.argument_types import argument_types
    from ecg_lightning.models.trusted_classes import TrustedClasses

    types, checker = argument_types(), TrustedClasses(file, frozenset() if foreign else None)
    for command, key, options in stages:
        checker.check_tree(options, types[command], f"{key}.options.")


def _asks_for_a_look(options: Mapping[str, Any]) -> bool:
    return any(not _HARMLESS.fullmatch(name) for name in _NAME.findall(str([*options.values()])))


def _stages(content: Mapping[Any, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Command, key and options of each stage that has any."""
    further = content.get("only")
    exceptions = [one if isinstance(one, Mapping) else {} for one in further] if isinstance(further, list) else []
    stages = [(name, name, content.get(name)) for name in ("prepare", "fit", "test")]
    stages += [("test", f"only[{place}].test", one.get("test")) for place, one in enumerate(exceptions)]
    for command, key, stage in stages:
        options = stage.get("options") if isinstance(stage, Mapping) else None
        if isinstance(options, Mapping):
            yield command, key, options


def _content(file: Path) -> object:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, OSError):
        return None  # the command says it in its own words
