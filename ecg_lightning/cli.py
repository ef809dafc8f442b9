"""The command line: ``python -m ecg_lightning.cli fit|validate|test|predict|prepare|tune`` and those of a study.

The front door imports next to nothing: a study's commands need no Lightning, and the worker processes of ``prepare``
and ``compare`` import this module again.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecg_lightning.endings import end_when_told
from ecg_lightning.shipped import CONFIGS, find_config

if TYPE_CHECKING:
    from lightning.pytorch.cli import ArgsType

    from ecg_lightning.command_line.lightning_cli import EcgCLI

_OF_A_STUDY: Final = {
    "study": "ecg_lightning.study.workflow",
    "compare": "ecg_lightning.experiments.self_consistency.study_results",
    "report": "ecg_lightning.report.page",
    "publish": "ecg_lightning.report.dashboard",
    "verify": "ecg_lightning.study.verify",
}
"""Command on a whole study -> the module that does its work."""


@contextmanager
def _without_collection() -> Iterator[None]:
    """Import without the garbage collector: looking through what stays takes a quarter of the time of importing."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _found_configs(arguments: list[str]) -> Iterator[str]:
    """``--config configs/...`` names a shipped file where there is none of that name here, as in an installed wheel."""
    for flag, value in zip(["", *arguments], arguments, strict=False):
        shipped = flag == "--config" and value.startswith(f"{CONFIGS}/") and not Path(value).is_file()
        yield str(find_config(value)) if shipped else value


def main(args: "ArgsType" = None) -> "EcgCLI | None":
    """Run the command line.

    Args:
        args: Arguments, for a call from Python; None: the process's own.

    Returns:
        Lightning's command line; None for the commands that work on a whole study.
    """
    if args is None:
        # Commands draw on canvases of their own. The MPLBACKEND of a notebook that calls a command names a module that
        # need not be installed, and Matplotlib would end the command for it.
        os.environ["MPLBACKEND"] = "agg"
        end_when_told()
    importing = _without_collection() if args is None else nullcontext()
    given = sys.argv[1:] if args is None else args
    if isinstance(given, list) and given and given[0] in _OF_A_STUDY:
        if given[0] == "study":
            from ecg_lightning.command_line.study_options import check_study

            check_study(given[1:])
        with importing:
            import_module(_OF_A_STUDY[given[0]])
            from ecg_lightning.report.commands import run
        run(given[0], given[1:])
        return None
    if args is None:
        sys.argv[1:] = _found_configs(sys.argv[1:])
    elif isinstance(args, list):
        args = list(_found_configs(args))
    with importing:
        from ecg_lightning.command_line.lightning_cli import run_lightning
        from ecg_lightning.command_line.network_card import with_card
        from ecg_lightning.command_line.stage_guard import TOLD
        from ecg_lightning.runs.run_lock import RunInUseError
    try:
        if args is None:
            sys.argv[1:] = with_card(sys.argv[1:])
        elif isinstance(args, list):
            args = with_card(args)
        return run_lightning(args)
    except RunInUseError as error:
        sys.exit(str(error))
    except TOLD as error:
        if args is not None:  # who calls from Python may handle it
            raise
        sys.exit(f"{sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
