"""The finished runs of a study, and their tables and stores together."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import pandas as pd

from ecg_lightning.data.targets import meet
from ecg_lightning.method_names import METHOD_NAMES
from ecg_lightning.runs.finished import target_info_of
from ecg_lightning.runs.pseudonyms import EcgNames, IdChoice
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.sealing import TEST_AGAIN, inspect_study_files, remedy_of
from ecg_lightning.runs.study_folder import COMPARED_TABLES, StudyFolder, UnfinishedRun
from ecg_lightning.runs.study_sealing import check_comparison, compare_again
from ecg_lightning.runs.target_runs import TargetRuns, joined_runs
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.readers import read_table
from ecg_lightning.storage.seals import Damage
from ecg_lightning.storage.table_schema import TableSchema


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
    def open(cls, folder: str | Path, intervals: IntervalSettings, ids: IdChoice = "pseudonyms") -> Self:
        """Open the folder of a study for reading.

        Raises:
            FileNotFoundError: There is no such folder.
            ValueError: No run in it has been tested to the end and is whole, or its comparison is damaged.
        """
        study = StudyFolder.open(folder)
        finished, unfinished = study.finished_runs()
        if not finished:
            raise ValueError(study.nothing_finished(unfinished, "report"))
        check_comparison(study)
        for seeds in finished.values():
            meet(target_info_of(next(iter(seeds.values())).paths))
        runs = [run.paths for seeds in study.runs().values() for run in seeds.values()]
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
        """Methods that any run has maps of, in the paper's order, those of one's own behind or where they state it."""
        found = {name.removeprefix("maps/") for run in self for name in run.stores if name.startswith("maps/")}
        place: dict[str, float] = {name: place for place, name in enumerate(METHOD_NAMES)}
        stated = {
            name: place.get(style["behind"], len(place) + 0.5) + 0.5 for name, style in self.method_styles.items()
        }
        return sorted(found, key=lambda name: ({**stated, **place}.get(name, len(place) + 1.0), name))

    @cached_property
    def method_styles(self) -> dict[str, dict[str, Any]]:
        """How methods of one's own are drawn that state it, by name."""
        paths = [run.paths.method_styles for run in self]
        whole = [path for path in paths if path.is_file() and path not in self.damaged]
        return {name: style for path in whole for name, style in json.loads(path.read_text(encoding="utf-8")).items()}

    @cached_property
    def population(self) -> pd.DataFrame:
        """Every ECG of the study, ``population.parquet``; empty where an earlier version did not write it."""
        return self._of_the_study(next(iter(self)).paths.population)

    @cached_property
    def rejected(self) -> pd.DataFrame | None:
        """The ECGs that could not be used, ``rejected.parquet``; None where that is not there, or damaged."""
        path = next(iter(self)).paths.rejected
        return self._of_the_study(path) if path.is_file() and path not in self.damaged else None

    @cached_property
    def joined(self) -> tuple[list[TargetRuns], dict[str, str]]:
        """The runs of every diagnosis joined by ECG, and why those of the others can't be."""
        return joined_runs(self.finished)

    def tables(self, table: str | TableSchema) -> pd.DataFrame:
        """``tables/<name>.parquet`` of every run that has it, with its ``target`` and ``seed``; else empty.

        Args:
            table: Name of the table, or its declared columns, which are checked.

        Raises:
            ValueError: A table is damaged, lacks a column or has one of another kind; the file is named.
        """
        name = table if isinstance(table, str) else table.name
        parts = []
        for run in self:
            path = run.paths.table(name)
            if path.is_file():
                frame = read_table(path, TEST_AGAIN)
                if not isinstance(table, str):
                    table.check_read(frame, path, TEST_AGAIN)
                parts.append(frame.assign(target=run.target, seed=run.seed))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def study_table(self, name: str) -> pd.DataFrame:
        """``tables/<name>.parquet`` of the study; empty where it is not there."""
        path = self.study.tables / f"{name}.parquet"
        if not path.is_file():
            return pd.DataFrame()
        remedy = compare_again(self.study) if name in COMPARED_TABLES else f"give `report {self.study.path}` again"
        written = path.stat()
        return _read_once(path, remedy, written.st_ino, written.st_mtime_ns).copy()

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


@lru_cache(maxsize=32)
def _read_once(path: Path, remedy: str, _inode: int, _written: int) -> pd.DataFrame:
    """Each number beside the paper's asks for its table; a file that is written again is read again."""
    return read_table(path, remedy)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
