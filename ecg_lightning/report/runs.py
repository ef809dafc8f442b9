"""The finished runs of a study, and what their tables and stores say together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.functional.intervals import interval_of_weightings, weighted_mean, weightings
from ecg_lightning.plotting.method_style import method_place
from ecg_lightning.report.verdict_tables import completed, completed_preconditions, joined_runs
from ecg_lightning.runs.layout import RunFolder
from ecg_lightning.runs.pseudonyms import EcgNames, IdChoice
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.sealing import TEST_AGAIN, inspect_study_files, remedy_of
from ecg_lightning.storage.readers import read_table
from ecg_lightning.storage.seals import Damage
from ecg_lightning.study.consistency_tables import ALL_TARGETS, IntervalSettings
from ecg_lightning.study.folder import COMPARED_TABLES, StudyFolder, UnfinishedRun
from ecg_lightning.study.sealing import check_comparison, compare_again
from ecg_lightning.verdicts.study import preconditions_of, verdicts_of
from ecg_lightning.verdicts.target_runs import TargetRuns


@dataclass(frozen=True)
class StudyRuns:
    """The runs that a report is about.

    Attributes:
        study: The folder.
        finished: Target -> seed -> run, tested to the end.
        unfinished: The others, with what they lack.
        intervals: How intervals are made.
        damaged: The study's own files that are not what was written; the page does without them.
        ids: How ECGs are named: ``pseudonyms`` or ``keep``.
    """

    study: StudyFolder
    finished: dict[str, dict[int, Run]]
    unfinished: list[UnfinishedRun]
    intervals: IntervalSettings
    damaged: dict[Path, Damage] = field(default_factory=dict)
    ids: IdChoice = "pseudonyms"

    @classmethod
    def open(cls, folder: str | Path, intervals: IntervalSettings, ids: IdChoice = "pseudonyms") -> "StudyRuns":
        """Open a study.

        Raises:
            FileNotFoundError: There is no such folder.
            ValueError: No run in it has been tested to the end and is whole, or its comparison is damaged.
        """
        study = StudyFolder.open(folder)
        finished, unfinished = study.finished_runs()
        if not finished:
            raise ValueError(study.nothing_finished(unfinished, "report"))
        check_comparison(study)
        runs = [RunFolder(run.path) for seeds in study.runs().values() for run in seeds.values()]
        damaged = {one.path: one for one in inspect_study_files(study.path, runs).damages}
        return cls(study, finished, unfinished, intervals, damaged, ids)

    def __iter__(self) -> Iterator[Run]:
        for seeds in self.finished.values():
            yield from seeds.values()

    def __len__(self) -> int:
        return sum(len(seeds) for seeds in self.finished.values())

    @cached_property
    def names(self) -> EcgNames:
        """How ECGs are named where others read it."""
        return EcgNames.of_study(self.study.path, self.ids)

    def ecg(self, run: Run, row: int) -> str:
        """Such as ``row 17 (ecg-3f9a1c2b44)``."""
        return self.names.shown(row, str(run.examples["ecg_id"].iloc[row]))

    @property
    def targets(self) -> list[str]:
        """In the paper's order."""
        return list(self.finished)

    @property
    def seeds(self) -> list[int]:
        """That any target has."""
        return sorted({seed for seeds in self.finished.values() for seed in seeds})

    @cached_property
    def methods(self) -> list[str]:
        """Methods that any run has maps of, in the order of the paper; those of one's own behind."""
        found = {name.removeprefix("maps/") for run in self for name in run.stores if name.startswith("maps/")}
        return sorted(found, key=method_place)

    @cached_property
    def population(self) -> pd.DataFrame:
        """Every ECG of the study, ``population.parquet``; empty where an earlier version did not write it."""
        return self._of_the_study(RunFolder(next(iter(self)).path).population)

    @cached_property
    def rejected(self) -> pd.DataFrame | None:
        """The ECGs that could not be used, ``rejected.parquet``; None where that is not there, or damaged."""
        path = RunFolder(next(iter(self)).path).rejected
        return self._of_the_study(path) if path.is_file() and path not in self.damaged else None

    @cached_property
    def joined(self) -> tuple[list[TargetRuns], dict[str, str]]:
        """The runs of every diagnosis joined by ECG, and why those of the others can't be."""
        return joined_runs(self.finished)

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """The verdicts table, over all seeds and diagnoses; with state ``not_measured`` for what no run has."""
        decided = verdicts_of(self.joined[0], self.study.comparison, self.methods)
        return completed(decided, self.targets, self.methods)

    @cached_property
    def preconditions(self) -> pd.DataFrame:
        """The preconditions table, likewise."""
        return completed_preconditions(preconditions_of(self.joined[0]), self.targets, self.methods)

    def tables(self, name: str) -> pd.DataFrame:
        """``tables/<name>.parquet`` of every run that has it, with its ``target`` and ``seed``; else empty."""
        parts = []
        for run in self:
            path = run.path / "tables" / f"{name}.parquet"
            if path.is_file():
                parts.append(read_table(path, TEST_AGAIN).assign(target=run.target, seed=run.seed))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def study_table(self, name: str) -> pd.DataFrame:
        """``tables/<name>.parquet`` of the study; empty where it is not there."""
        path = self.study.tables / f"{name}.parquet"
        remedy = compare_again(self.study) if name in COMPARED_TABLES else f"give `report {self.study.path}` again"
        return read_table(path, remedy) if path.is_file() else pd.DataFrame()

    def _of_the_study(self, path: Path) -> pd.DataFrame:
        there = path.is_file() and path not in self.damaged
        return read_table(path, remedy_of(f"../../{path.name}")) if there else pd.DataFrame()

    def with_store(self, name: str) -> dict[str, dict[int, Run]]:
        """The runs that have a store."""
        found = {
            target: {seed: run for seed, run in seeds.items() if (run.path / name / "manifest.json").is_file()}
            for target, seeds in self.finished.items()
        }
        return {target: seeds for target, seeds in found.items() if seeds}


@dataclass(frozen=True)
class RunMeans:
    """A quantity's mean over ECGs, then over seeds, then over targets.

    Attributes:
        mean: (...) of the quantity.
        low: (...) of its interval, patients resampled, the same ones in every run.
        high: (...).
        sd: (...) standard deviation over all ECGs of all runs.
        n_values: (...) ECGs of all runs with a value.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sd: NDArray[np.float64]
    n_values: NDArray[np.int64]


def means_over_runs(
    runs: dict[str, dict[int, Run]],
    values: Callable[[Run], tuple[NDArray[np.float64], NDArray[np.object_]]],
    settings: IntervalSettings,
) -> dict[str, RunMeans]:
    """Average what was measured per ECG over the runs of each target, and over all runs of a study.

    Every run is read and resampled once, for its target's mean and for that of all targets.

    Args:
        runs: Target -> seed -> run.
        values: Run -> (n, ...) values, NaN for none, and (n,) patients.
        settings: Of the interval.

    Returns:
        Target -> its means, and those over all targets under ``ALL_TARGETS``.

    Raises:
        ValueError: No run.
    """
    if not any(runs.values()):
        raise ValueError("expected one run or more, got none")
    resamples = _Resamples(settings)
    sums = {target: _sums(seeds.values(), values, resamples) for target, seeds in runs.items() if seeds}
    found = {target: _run_means([own], settings) for target, own in sums.items()}
    return {**found, ALL_TARGETS: _run_means(list(sums.values()), settings)}


class _Resamples:
    """Weightings of the patients that were asked for last: the runs of a study mostly share their test ECGs."""

    def __init__(self, settings: IntervalSettings) -> None:
        self.settings = settings
        self._last: tuple[NDArray[np.object_], NDArray[np.float64]] | None = None

    def __call__(self, patients: NDArray[np.object_]) -> NDArray[np.float64]:
        if self._last is None or not np.array_equal(self._last[0], patients):
            self._last = patients, weightings(patients, self.settings.n_resamples, self.settings.seed)
        return self._last[1]


@dataclass(frozen=True)
class _TargetSums:
    """What one pass over a target's runs leaves; sums are over the ECGs of all its runs.

    Attributes:
        replicates: (1 + r, ...) mean over ECGs, then over seeds, the first of them the estimate.
        total: (...) sum of the values.
        squares: (...) sum of their squares.
        count: (...) ECGs with a value.
    """

    replicates: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    count: NDArray[np.int64]


def _sums(
    runs: Iterable[Run],
    values: Callable[[Run], tuple[NDArray[np.float64], NDArray[np.object_]]],
    resamples: _Resamples,
) -> _TargetSums:
    means, total, squares, count = [], 0.0, 0.0, 0  # arrays from the first run on
    for run in runs:
        own, patients = values(run)
        means.append(weighted_mean(own, resamples(patients)))
        total = total + np.nansum(own, axis=0)
        squares = squares + np.nansum(own**2, axis=0)
        count = count + np.isfinite(own).sum(axis=0)
    return _TargetSums(_mean(np.stack(means)), np.asarray(total), np.asarray(squares), np.asarray(count))


def _run_means(targets: Sequence[_TargetSums], settings: IntervalSettings) -> RunMeans:
    # ECGs of a single patient can't be resampled: their mean stands in every resample
    length = max(len(one.replicates) for one in targets)
    replicates = _mean(
        np.stack([np.broadcast_to(one.replicates, (length, *one.replicates.shape[1:])) for one in targets])
    )  # (1 + r, ...)
    interval = interval_of_weightings(replicates, settings.confidence)
    count = np.sum([one.count for one in targets], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.sum([one.total for one in targets], axis=0) / count
        variance = np.sum([one.squares for one in targets], axis=0) / count - mean**2
    sd = np.sqrt(np.maximum(variance, 0.0))
    return RunMeans(replicates[0], interval.low, interval.high, sd, count)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _mean(stacked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the first axis, without NaN."""
    known = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, stacked, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean
