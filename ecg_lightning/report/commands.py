"""Some commands work on a whole study: ``report``, ``publish`` and ``verify`` are here.

Each imports what it needs when it is called: ``study`` only starts other processes, and must not wait for Matplotlib.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Final, get_args

from ecg_lightning.runs.pseudonyms import IdChoice
from ecg_lightning.study.commands import add_folder, add_intervals, command_parser, compare, intervals_of, study
from ecg_lightning.study.executors import StudyError


def report(arguments: Sequence[str]) -> None:
    """Write one HTML page with every table and figure of a study: ``report <study folder>``."""
    from ecg_lightning.plotting.figure_files import figure_kinds
    from ecg_lightning.report.page import write_report

    parser = command_parser("report", report.__doc__)
    add_folder(parser)
    add_intervals(parser)
    parser.add_argument(
        "--ids",
        choices=get_args(IdChoice),
        default="pseudonyms",
        help="how ECGs are named: rows with pseudonyms, or with their ids (keep)",
    )
    parser.add_argument(
        "--figure_files",
        nargs="+",
        default=["png"],
        metavar="KIND",
        help="kinds of files of each figure, such as png svg for a paper (png, svg, pdf); a PNG is always written",
    )
    given = parser.parse_args(arguments)
    kinds = figure_kinds(given.figure_files)
    print(f"report: {write_report(given.folder, intervals_of(given), given.ids, kinds)}")


def publish(arguments: Sequence[str]) -> None:
    """Make a W&B run, workspace and report of a whole study from its report: ``publish <study folder>``.

    Without a key for W&B they stay in the study's folder: an offline run for ``wandb sync``, and JSON files.
    """
    from ecg_lightning.report.dashboard import PublishError
    from ecg_lightning.report.dashboard import publish as publish_study

    parser = command_parser("publish", publish.__doc__)
    add_folder(parser)
    parser.add_argument("--project", help="W&B project; default: that of the study's runs")
    parser.add_argument("--entity", help="team or user; default: that of the key")
    given = parser.parse_args(arguments)
    try:
        done = publish_study(given.folder, given.project, given.entity)
    except PublishError as error:
        sys.exit(f"publish: {error}")
    print(f"publish: run {done.run}\n  workspace {done.workspace}\n  report {done.report}")


def verify(arguments: Sequence[str]) -> None:
    """Check that every file and row is what was written: ``verify <run, study or cache>``."""
    from ecg_lightning.study.verify import verify as verify_folder

    verify_folder(arguments)


COMMANDS: Final[dict[str, Callable[[Sequence[str]], None]]] = {
    "study": study,
    "compare": compare,
    "report": report,
    "publish": publish,
    "verify": verify,
}


def run(name: str, arguments: Sequence[str]) -> None:
    """Run a command; what a person can mend ends with its message and not with a traceback."""
    try:
        COMMANDS[name](arguments)
    except (StudyError, ValueError, FileNotFoundError) as error:
        sys.exit(f"{name}: {error}")
