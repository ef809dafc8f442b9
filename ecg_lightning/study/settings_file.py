"""Reading a study's YAML file into data classes: names stay as they are written, and every error says where it is."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

EXAMPLE: Final = "configs/studies/quickstart.yaml"
NAMES: Final = ("study", "runs", "root")
"""Settings that name folders: ``study: 007`` is the folder ``007``, though YAML reads a number there."""


_NOTHING: Final[tuple[object, ...]] = (None, "", [], {})
_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class Expected:
    """What a setting must be, as the annotation of a field.

    Attributes:
        words: For messages, such as ``a whole number from 1``.
        fits: Whether a value of the file is that.
    """

    words: str
    fits: Callable[[Any], bool]


def read_settings(file: Path) -> dict[str, Any]:
    """Read the top-level settings of a study file.

    Args:
        file: A YAML file.

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
        raise ValueError(f"{file}: expected settings such as those of {EXAMPLE}, got {type(content).__name__}")
    settings = {str(key): value for key, value in content.items()}
    for name in NAMES:
        if settings.get(name) is not None and not isinstance(settings[name], str):
            settings[name] = written.get(name, settings[name])
    return settings


def parse_settings(kind: type[_Settings], content: object, key: str = "") -> _Settings:
    """Make a data class of what a file holds.

    A field is annotated with what is :class:`Expected`, or has a data class or a tuple of these below it. What is
    empty in the file is as good as left out.

    Args:
        kind: The data class.
        content: Its settings by name.
        key: Where they stand in the file, for messages; empty at the top level.

    Raises:
        FileNotFoundError: The data class names a file that is missing.
        ValueError: A setting that is unknown, missing or impossible; the message names it.
    """
    hints = get_type_hints(kind, include_extras=True)
    if not isinstance(content, Mapping):
        raise ValueError(f"{key}: expected settings of {', '.join(hints)}, got {content!r}")
    prefix = f"{key}." if key else ""
    for name in content:
        if name not in hints:
            near = "".join(f", do you mean {near}?" for near in difflib.get_close_matches(str(name), hints, n=1))
            raise ValueError(f"{prefix}{name}: unknown{near or ';'} expected some of {', '.join(hints)}")
    given = {name: value for name, value in content.items() if value not in _NOTHING}
    settings = {name: _parse(hints[name], value, f"{prefix}{name}") for name, value in given.items()}
    needed = [name for name, one in signature(kind).parameters.items() if one.default is one.empty]
    if missing := [f"{prefix}{name}" for name in needed if name not in given]:
        raise ValueError(f"{', '.join(missing)} missing or empty (null and ~ stand in quotes as names); see {EXAMPLE}")
    try:
        return kind(**settings)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{key}: {error}") from error


def _parse(hint: Any, value: Any, key: str) -> Any:
    first, *rest = get_args(hint) or (hint,)
    if get_origin(hint) is Annotated:
        (expected,) = rest
        if not expected.fits(value):
            raise ValueError(f"{key}: expected {expected.words}, got {value!r}")
        return tuple(value) if isinstance(value, list) else value
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{key}: expected a list, got {value!r}")
        return tuple(parse_settings(first, one, f"{key}[{place}]") for place, one in enumerate(value))
    return parse_settings(hint, value, key) if isinstance(hint, type) else _parse(first, value, key)  # X | None


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
