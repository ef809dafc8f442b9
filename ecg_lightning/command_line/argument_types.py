"""What the arguments of every command are declared as, without a command being run."""

from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from ecg_lightning.command_line.lightning_cli import EcgCLI, run_lightning
from ecg_lightning.models.declared_types import Declared, parser_types


class _ParsersMadeError(Exception):
    """Ends a command line before it parses anything."""


class _ParsersOnly(EcgCLI):
    """Makes the parsers, and hands them out."""

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:  # noqa: ARG002
        """Nothing is parsed.

        Raises:
            _ParsersMadeError: Always, with what each command's arguments are declared as.
        """
        raise _ParsersMadeError({name: parser_types(one) for name, one in self._subcommand_parsers.items()})


def argument_types() -> dict[str, dict[str, Declared]]:
    """Of every command the arguments, and what may stand there."""
    try:
        run_lightning([], _ParsersOnly)
    except _ParsersMadeError as made:
        types: dict[str, dict[str, Declared]] = made.args[0]
    return types
