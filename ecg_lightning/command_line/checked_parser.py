"""Lightning's argument parser, which reads no configuration before it has been checked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

import yaml
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from ecg_lightning.command_line.typed_words import TypedWords, as_mapping
from ecg_lightning.models.declared_types import Declared, parser_types
from ecg_lightning.models.trusted_classes import TrustedClasses
from ecg_lightning.storage.plain_values import CLASS, UntrustedContentError, Where, refuse

_TYPED: ContextVar[TypedWords | None] = ContextVar("typed words", default=None)
_FILE: ContextVar["_File | None"] = ContextVar("the configuration that is read", default=None)
COMMAND_LINE: Final = "the command line"


@contextmanager
def typed_by(words: TypedWords) -> Iterator[None]:
    """Say what the user has typed, for the parsers that are used meanwhile."""
    token = _TYPED.set(words)
    try:
        yield
    finally:
        _TYPED.reset(token)


@dataclass(frozen=True)
class _File:
    """A configuration that is read.

    Attributes:
        path: As the user has typed it.
        foreign: Whether it lies in a run folder; found out before jsonargparse changes to the file's own folder.
    """

    path: str
    foreign: bool


class CheckedParser(LightningArgumentParser):
    """Checks each configuration before it is parsed, and the arguments of each class before they are.

    jsonargparse makes the parser of a class's arguments of the same class as the parser above it, so that this one is
    asked wherever arguments come from: a file, the command line, a file that is named in either.
    """

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Parse a file; ``parse_string`` is handed its content, and learns here which file it is of."""
        token = _FILE.set(_File(str(path), _words().lies_in_run(str(path))))
        try:
            return super().parse_path(path, *args, **kwargs)
        finally:
            _FILE.reset(token)

    def parse_string(self, content: str, *args: Any, **kwargs: Any) -> Namespace:
        """Parse a configuration, after checking it.

        Raises:
            UntrustedContentError: It asks for what it may not ask for.
        """
        words, file = _words(), _FILE.get()
        foreign, where = file is not None and file.foreign, _where()
        checker = TrustedClasses(where, words.names if foreign else None, lies_in_run=words.lies_in_run)
        try:
            tree = yaml.safe_load(content)
        except (yaml.YAMLError, ValueError):
            tree = None  # what can't be read is not parsed either
        if isinstance(tree, Mapping):
            _check_settings(tree, where, foreign)
            for name, part, types in self._parts(tree):
                checker.check_tree(part, types, f"{name}." if name else "")
        return super().parse_string(content, *args, **kwargs)

    def parse_object(self, obj: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Parse arguments that are read already, such as those of a class.

        Checked before: to find out that a class may not stand there, jsonargparse would import its module.

        Raises:
            TypeError: An object where the parameter declares no class.
        """
        content = as_mapping(obj)
        if isinstance(content, Mapping):
            self._refuse_objects(content)
        return super().parse_object(obj, *args, **kwargs)

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **kwargs: Any) -> Namespace:
        """Parse words; a class's parser is given single ones, ``--name=value``, for ``--model.network.name value``."""
        if getattr(self, "_inner_parser", False):
            args = [self._with_null(str(word)) for word in args or ()]
            for word in args:
                name, _, value = word.removeprefix("--").partition("=")
                self._refuse_objects({name: value})
        return super().parse_args(args, *more, **kwargs)

    def _with_null(self, word: str) -> str:
        """Jsonargparse has read ``null`` below a class in a class, and writes it as Python does."""
        name, joined, value = word.removeprefix("--").partition("=")
        declared = parser_types(self).get(name)
        of_a_class = "." in name or (declared is not None and declared.bases and not declared.text)
        return f"--{name}{joined}null" if value == "None" and of_a_class else word

    def _refuse_objects(self, content: Mapping[str, Any]) -> None:
        """Of the arguments of a class: nothing is made where the parameter declares no class.

        Raises:
            TypeError: Something would be; jsonargparse puts the class's own key before the message.
        """
        types = {name: one for name, one in parser_types(self).items() if one.open}
        given = {key: one for key, one in content.items() if str(key).partition(".")[0] in types}
        try:
            TrustedClasses(_where()).check_tree(given, types, "init_args.")
        except UntrustedContentError as error:
            raise TypeError(str(error)) from error  # for a ValueError, jsonargparse tries something else

    def _parts(self, tree: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], dict[str, Declared]]]:
        """A configuration with the arguments that it sets; before the command's name it can set those of several."""
        subcommands = getattr(self, "_subcommands_action", None)
        if subcommands is None:
            yield "", tree, parser_types(self)
            return
        for name, parser in subcommands.choices.items():
            if isinstance(tree.get(name), Mapping):
                yield name, tree[name], parser_types(parser)


def _words() -> TypedWords:
    return _TYPED.get() or TypedWords.of(())


def _where() -> str:
    file = _FILE.get()
    return COMMAND_LINE if file is None else file.path


def _check_settings(tree: Mapping[str, Any], where: Where, foreign: bool) -> None:
    """Settings that read further files, or that let a checkpoint run code.

    Raises:
        UntrustedContentError: A configuration that names a configuration, or a run folder's that wants pickles.
    """
    for key, value in _flat(tree):
        name = key.rpartition(".")[2]
        if name == "config" and value is not None and key.count(".") < 2:
            allowed, remedy = "settings", "Give each configuration its own --config"
            raise refuse(where, key, f"found the further configuration {str(value)[:80]!r}", allowed, remedy)
        if foreign and name == "weights_only" and value is not None and value is not True:
            allowed, remedy = "true", "A checkpoint that holds pickled code can run any command: do not use it"
            raise refuse(where, key, f"found {value!r}", allowed, remedy)


def _flat(tree: Mapping[str, Any], depth: int = 2) -> Iterator[tuple[str, Any]]:
    """The topmost keys, where ``fit.config`` and ``fit: {config: ...}`` are the same."""
    for key, value in tree.items():
        yield str(key), value
        if depth and isinstance(value, Mapping) and CLASS not in value:
            yield from ((f"{key}.{name}", one) for name, one in _flat(value, depth - 1))


def check_words(words: TypedWords, parsers: Iterable[CheckedParser]) -> None:
    """Check the options of a command line before they are parsed.

    Args:
        words: The command line.
        parsers: Of all commands.

    Raises:
        UntrustedContentError: One of them asks for what it may not ask for.
    """
    types = {name: one for parser in parsers for name, one in parser_types(parser).items()}
    checker = TrustedClasses(COMMAND_LINE, lies_in_run=words.lies_in_run)
    for option, value in words.options:
        checker.check_tree({option.lstrip("-"): value}, types)


def check_parsed(config: Namespace, parser: CheckedParser) -> None:
    """Check a configuration that was parsed, whatever it was put together from, before anything is made of it.

    Args:
        config: That of one command.
        parser: Of the command.

    Raises:
        UntrustedContentError: A class outside of what is declared, or one where none is.
    """
    TrustedClasses(COMMAND_LINE).check_tree(as_mapping(config), parser_types(parser))
