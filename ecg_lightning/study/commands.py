"""The commands that work on a whole study: ``study`` and ``compare``.

``study`` only starts other processes: what ``compare`` needs is imported when it is called.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecg_lightning.runs.layout import REPORT
from ecg_lightning.study.workflow import run_study

if TYPE_CHECKING:
    from ecg_lightning.statistics.interval_settings import IntervalSettings

PROGRAM: Final = "python -m ecg_lightning.cli"


def compare(arguments: Sequence[str]) -> None:
    """``compare <study folder>``: similarity of the maps over seeds."""
    from ecg_lightning.experiments.self_consistency.compare import compare_maps
    from ecg_lightning.experiments.self_consistency.study_results import write_comparison
    from ecg_lightning.runs.study_folder import StudyFolder
    from ecg_lightning.statistics.interval_settings import IntervalSettings

    parser = command_parser("compare", compare.__doc__)
    add_folder(parser)
    parser.add_argument("--processes", type=int, default=None, help="worker processes; default: one a core")
    add_confidence(parser)
    given = parser.parse_args(arguments)
    study = StudyFolder.open(given.folder)
    found = compare_maps(study, given.processes)
    print("\n".join(write_comparison(study, found, IntervalSettings(confidence=given.confidence))))


def study(arguments: Sequence[str]) -> None:
    """``study --config configs/studies/quickstart.yaml``: fit, test, compare and report a grid; resumable.

    The word ``first`` at the end stops at the first network, and writes its page; ``first all`` writes it as soon as it
    can, and goes on. Options that are not listed are Snakemake's, such as ``--cores 4``, ``--dry-run`` or
    ``--executor slurm``.
    """
    parser = command_parser("study", study.__doc__)
    parser.add_argument("--config", required=True, help="the study's YAML file")
    parser.add_argument("--runs", help="folder of all studies; default: that of the file, or runs")
    parser.add_argument("--study", help="another name of the study")
    parser.add_argument("--root", help="folder where the source's files lie")
    given, snakemake = parser.parse_known_args(arguments)
    overrides = {"runs": given.runs, "study": given.study, "root": given.root}
    folder = run_study(given.config, snakemake, overrides)
    page = folder / REPORT
    print(f"study: {page if page.is_file() else folder}")


def command_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a command, described by its docstring."""
    return argparse.ArgumentParser(
        prog=f"{PROGRAM} {name}",
        description=(description or "").replace("``", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the study that the command works on to a parser."""
    parser.add_argument("folder", type=Path, help="runs/<study>")


def add_confidence(parser: argparse.ArgumentParser) -> None:
    """Add the confidence level of all intervals to a parser."""
    parser.add_argument("--confidence", type=float, default=0.95, help="of the intervals")


def add_intervals(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how intervals are made to a parser."""
    parser.add_argument("--n_resamples", type=int, default=1000, help="bootstrap resamples of patients")
    add_confidence(parser)
    parser.add_argument("--bootstrap_seed", type=int, default=0, help="of the resamples")


def intervals_of(given: argparse.Namespace) -> "IntervalSettings":
    """Return the interval settings that ``add_intervals`` was given."""
    from ecg_lightning.statistics.interval_settings import IntervalSettings

    return IntervalSettings(given.n_resamples, given.confidence, given.bootstrap_seed)
