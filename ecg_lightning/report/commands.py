"""The commands that work on a whole study, and ``report`` among them."""

import sys
from collections.abc import Callable, Sequence
from typing import Final

from lightning.pytorch.utilities import rank_zero_info

from ecg_lightning.report.page import write_report
from ecg_lightning.study.commands import add_folder, add_intervals, command_parser, compare, intervals_of, study
from ecg_lightning.study.workflow import StudyError


def report(arguments: Sequence[str]) -> None:
    """``report <study folder>``: one HTML page with every table and figure of a study."""
    parser = command_parser("report", report.__doc__)
    add_folder(parser)
    add_intervals(parser)
    given = parser.parse_args(arguments)
    rank_zero_info(f"report: {write_report(given.folder, intervals_of(given))}")


COMMANDS: Final[dict[str, Callable[[Sequence[str]], None]]] = {"study": study, "compare": compare, "report": report}


def run(name: str, arguments: Sequence[str]) -> None:
    """Run a command; what a person can mend ends with its message and not with a traceback."""
    try:
        COMMANDS[name](arguments)
    except (StudyError, ValueError, FileNotFoundError) as error:
        sys.exit(f"{name}: {error}")
