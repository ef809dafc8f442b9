"""Reading a study's YAML file: names stay as they are written, and every error says in which line it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

NAMES: Final = ("study", "runs", "root")
"""Settings that name folders: ``study: 007`` is the folder ``007``, though YAML reads a number there."""


def read_settings(file: Path, example: str) -> dict[str, Any]:
    """Read the top-level settings of a study file.

    Args:
        file: A YAML file.
        example: Path of such a file, for messages.

    Raises:
        ValueError: It can't be read, or holds no settings; the message names the file, and line and column of what
            is no YAML.
    """
    try:
        content = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
        written = _written(file)
    except yaml.YAMLError as error:
        raise ValueError(f"{file} can't be read as YAML: {_place_and_problem(error)}") from error
    except (OmegaConfBaseException, ValueError, OSError) as error:
        raise ValueError(f"{file} can't be read as settings in YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: expected settings such as those of {example}, got {type(content).__name__}")
    settings = {str(key): value for key, value in content.items()}
    for name in NAMES:
        if settings.get(name) is not None and not isinstance(settings[name], str):
            settings[name] = written.get(name, settings[name])
    return settings


def check_names(settings: Mapping[str, Any], where: str) -> None:
    """Refuse what names no folder.

    Raises:
        ValueError: A list, or a value that only YAML knows how it was written.
    """
    for name in NAMES:
        value = settings.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f'{where}: {name}: expected a name, got {value!r}; write it in quotes: {name}: "..."')


def _written(file: Path) -> dict[str, str]:
    """The scalars at the top level as they stand in the file."""
    root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return {str(key.value): value.value for key, value in pairs if isinstance(value, yaml.ScalarNode)}


def _place_and_problem(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None:
        return str(error).replace("\n", " ")
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem or error}"
