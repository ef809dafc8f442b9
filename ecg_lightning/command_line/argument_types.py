"""What the arguments of every command are declared as, without a command being run."""

from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from ecg_lightning.command_line.lightning_cli import EcgCLI, run_lightning
from ecg_lightning.models.declared_types import Declared, parser_types


class _ParsersMadeError(Exception):
    """Ends a command line before it parses anything."""


class _ParsersOnly(EcgCLI):
    """Makes the parsers, and hands them out."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:  # noqa: ARG002
        """Hand the parsers out; nothing is parsed.

        Raises:
            _ParsersMadeError: Always, with the parser of each command.
        """
        raise _ParsersMadeError(dict(self._subcommand_parsers))


def command_parsers() -> dict[str, LightningArgumentParser]:
    """The parser of every command."""
    try:
        run_lightning([], _ParsersOnly)
    except _ParsersMadeError as made:
        parsers: dict[str, LightningArgumentParser] = made.args[0]
    return parsers


def argument_types() -> dict[str, dict[str, Declared]]:
    """List the arguments of every command, and what may stand there."""
    return {name: parser_types(one) for name, one in command_parsers().items()}
