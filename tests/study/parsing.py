"""The command line's own parser, without what comes after it: data, checkpoints, a trainer."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from jsonargparse import Namespace

from ecg_lightning.cli import main
from ecg_lightning.command_line.lightning_cli import EcgCLI

Parse = Callable[[Iterable[str]], Namespace]


class _Parser(Exception):  # noqa: N818 - no error: it carries the parser out of the constructor
    """Carries the parser out of the command line's constructor."""


def real_parser() -> Parse:
    """A function that parses a command line as ``python -m ecg_lightning.cli`` does, to its stage's settings."""

    def stop(cli: EcgCLI, _arguments: Any) -> None:
        raise _Parser(cli.parser)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EcgCLI, "parse_arguments", lambda cli, parser, arguments: stop(cli, arguments))
        with pytest.raises(_Parser) as caught:
            main([])  # the parser of every command
    (parser,) = caught.value.args

    def parse(arguments: Iterable[str]) -> Namespace:
        config = parser.parse_args(list(arguments))
        stage: Namespace = config[config.subcommand]
        return stage

    return parse
