"""The folder of a study, ``runs/<study>/<target>/seed<k>/``: which runs are there, and which of them are finished."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ecg_lightning.data.targets import in_order, is_target_name
from ecg_lightning.runs.finished import why_partial
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.sealing import inspect_run
from ecg_lightning.runs.search import describe_runs_below

_SEED = re.compile(r"seed(\d+)")

TABLES: Final = "tables"
FIGURES: Final = "figures"
COMPARISON: Final = "comparison"
ALL_TARGETS: Final = "all"
"""Stands for the mean over the targets in a table's column ``target``."""

COMPARED_TABLES: Final = ("self_consistency", "network_agreement", "method_ranks", "other_target")
"""Of ``compare``, which seals them; those of ``report`` lie beside them."""

_SHOWN: Final = 3


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that can't be compared or reported.

    Attributes:
        target: Its diagnosis.
        seed: Its training repetition.
        reason: What is missing or damaged, in words.
    """

    target: str
    seed: int
    reason: str


@dataclass(frozen=True)
class StudyFolder:
    """A study on disk.

    Attributes:
        path: ``runs/<study>``.
    """

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> "StudyFolder":
        """Open the folder of a study for reading.

        Raises:
            FileNotFoundError: There is no such folder.
            ValueError: No run lies in it.
        """
        folder = cls(Path(path).resolve())
        if not folder.path.is_dir():
            raise FileNotFoundError(f"there is no folder {folder.path}; {describe_runs_below(folder.path.parent)}")
        if not folder.runs():
            raise ValueError(
                f"{folder.path} holds no runs: expected <target>/seed<k>/ in it; {describe_runs_below(folder.path)}"
            )
        return folder

    @property
    def name(self) -> str:
        """The study's name, that of its folder."""
        return self.path.name

    @property
    def tables(self) -> Path:
        """The folder that holds tables over all runs."""
        return self.path / TABLES

    @property
    def figures(self) -> Path:
        """The folder that holds figures over all runs."""
        return self.path / FIGURES

    @property
    def comparison(self) -> Path:
        """Stores of what is compared over seeds."""
        return self.path / COMPARISON

    @property
    def compare_record(self) -> Path:
        """Written when the seeds were compared."""
        return self.path / "compare.done.json"

    def runs(self) -> dict[str, dict[int, Run]]:
        """Target (the paper's in its order, then others by name) -> seed -> run, finished or not."""
        found: dict[str, dict[int, Run]] = {}
        there = (one.name for one in self.path.glob("*") if one.is_dir() and is_target_name(one.name))
        for target in in_order(there):
            folders = sorted((self.path / target).glob("seed*"))
            seeds = {int(match[1]): Run(one) for one in folders if (match := _SEED.fullmatch(one.name))}
            if seeds:
                found[target] = dict(sorted(seeds.items()))
        return found

    def finished_runs(self) -> tuple[dict[str, dict[int, Run]], list[UnfinishedRun]]:
        """The runs that are tested to the end and whose files are what was written, and the others with the reason.

        Every file that is read, and every row, is compared with its seal or digest: about a second for each GB.
        """
        finished: dict[str, dict[int, Run]] = {}
        unfinished = []
        for target, seeds in self.runs().items():
            for seed, run in seeds.items():
                if (reason := why_unfinished(run) or why_damaged(run)) is None:
                    finished.setdefault(target, {})[seed] = run
                else:
                    unfinished.append(UnfinishedRun(target, seed, reason))
        return finished, unfinished

    def nothing_finished(self, unfinished: list[UnfinishedRun], verb: str) -> str:
        """What an error says where no run can be used.

        Args:
            unfinished: All runs, with what they lack.
            verb: What there is nothing to do with.
        """
        reasons = "; ".join(f"{one.target} seed {one.seed}: {one.reason}" for one in unfinished[:5])
        return f"{self.path} holds no finished run, so there is nothing to {verb} ({reasons})"


def why_unfinished(run: Run) -> str | None:
    """What a run lacks, in words; None where all its test ECGs were tested, with a network that was trained."""
    paths = run.paths
    if paths.test_record.is_file():
        return why_partial(paths)
    if paths.fit_record.is_file():
        return "not tested to the end: test.done.json is missing"
    return "not trained to the end: fit.done.json is missing"


def why_damaged(run: Run) -> str | None:
    """Which files of a run are not what was written, with the remedy, in words; None where all are.

    Pictures and checkpoints don't count: no number is read from them.
    """
    damages = inspect_run(run.paths, unread=False).damages
    if not damages:
        return None
    more = f"; and {len(damages) - _SHOWN} more, which `verify` lists" if len(damages) > _SHOWN else ""
    return "damaged: " + "; ".join(one.below(run.path) for one in damages[:_SHOWN]) + more
