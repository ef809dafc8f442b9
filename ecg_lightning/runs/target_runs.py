"""The finished runs of one target, joined by ECG: what every check reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.targets import TargetInfo, known_info
from ecg_lightning.runs.finished import target_info_of
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.seed_maps import same_ecgs


@dataclass(frozen=True)
class TargetRuns:
    """Runs of one target that differ in their training seed.

    Attributes:
        target: The diagnosis or measurement.
        runs: Seed -> run; one run for the verdict on a single network.
        examples: The test ECGs in the row order of the first seed.
        rows: (seed, ecg) in which row of each run an ECG stands.
    """

    target: str
    runs: Mapping[int, Run]
    examples: pd.DataFrame
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, target: str, runs: Mapping[int, Run]) -> "TargetRuns":
        """Join the runs by ECG id.

        Raises:
            ValueError: Two runs have other ECGs or labels; both are named.
        """
        examples, rows = same_ecgs(target, runs)
        return cls(target, runs, examples, rows)

    @cached_property
    def target_info(self) -> TargetInfo:
        """What is explained, as the first run says; without a run, what is known of the name."""
        first = next(iter(self.runs.values()), None)
        return known_info(self.target) if first is None else target_info_of(first.paths)

    @property
    def has_it(self) -> NDArray[np.bool_]:
        """(ecg,) which ECGs have the diagnosis, or a value of the measurement."""
        return self.target_info.present(self.label)

    @property
    def label(self) -> NDArray[np.float64]:
        """(ecg,) 1 or 0, or the value of a measurement; NaN where the label is missing."""
        return self.examples["label"].to_numpy(dtype=np.float64)

    @property
    def patient_ids(self) -> NDArray[np.object_]:
        """The patient of each ECG, (ecg,)."""
        return self.examples["patient_id"].to_numpy()

    def has(self, store: str) -> bool:
        """Say if every run has this store."""
        return all((run.path / store / "manifest.json").is_file() for run in self.runs.values())

    def read(self, store: str) -> NDArray[np.float64]:
        """(seed, ecg, ...) of a store that every run has; NaN for rows that were not measured."""
        stores = [run.row_store(store) for run in self.runs.values()]
        read = [np.asarray(one.read(rows), dtype=np.float64) for one, rows in zip(stores, self.rows, strict=True)]
        return np.stack(read)

    def coordinate(self, store: str, dim: str) -> tuple[str, ...]:
        """What stands along a dimension of a store; the runs must agree.

        Raises:
            ValueError: Two runs have other coordinates there.
        """
        found = {
            seed: tuple(str(value) for value in run.row_store(store).spec.coords[dim])
            for seed, run in self.runs.items()
        }
        if len(set(found.values())) > 1:
            raise ValueError(f"{self.target}: the seeds' stores {store} have other {dim}s: {found}; repeat the tests")
        return next(iter(found.values()))


def joined_runs(finished: Mapping[str, Mapping[int, Run]]) -> tuple[list[TargetRuns], dict[str, str]]:
    """Join the seeds of every diagnosis by ECG.

    Args:
        finished: Target -> seed -> run.

    Returns:
        What could be joined, and target -> why not for the others.
    """
    joined, refused = [], {}
    for target, seeds in finished.items():
        try:
            joined.append(TargetRuns.of(target, seeds))
        except ValueError as error:
            refused[target] = str(error)
    return joined, refused
