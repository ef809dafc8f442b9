"""Maps of the same ECGs by networks of several seeds, joined by ECG id and read from the runs' memory maps."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.ecg import format_of, shown_text
from ecg_lightning.functional.smoothing import smoothing_window
from ecg_lightning.method_names import METHOD_NAMES
from ecg_lightning.runs.run import Run
from ecg_lightning.storage.hashing import differences, listed
from ecg_lightning.storage.store import RowStore

OF_THE_SEED: Final = ("training_seed",)
"""Settings of a map that differ between seeds as they should."""

_SHOWN: Final = 5


@dataclass(frozen=True)
class SeedMaps:
    """One method's maps of one target.

    Attributes:
        method: Its name.
        seeds: Training repetitions.
        folders: The store of each seed.
        rows: (seed, ecg) in which row of its store each ECG stands.
    """

    method: str
    seeds: tuple[int, ...]
    folders: tuple[str, ...]
    rows: NDArray[np.int64]

    def stores(self) -> list[RowStore]:
        """Open the store of each seed for reading."""
        return [RowStore.open(folder) for folder in self.folders]

    @property
    def smoothing_window(self) -> int:
        """Return the samples of the filter under which these maps are compared."""
        return smoothing_window(format_of(RowStore.open(self.folders[0]).spec.settings).sampling_rate)

    def read(self, stores: Sequence[RowStore], ecgs: NDArray[np.int64]) -> Tensor:
        """Maps of some ECGs, (ecg, seed, lead, sample); NaN where one was not computed."""
        maps = [store.read(rows[ecgs]) for store, rows in zip(stores, self.rows, strict=True)]
        return torch.from_numpy(np.stack(maps, axis=1))


@dataclass(frozen=True)
class TargetMaps:
    """The maps of one target that can be compared.

    Attributes:
        target: The diagnosis.
        seeds: Training repetitions.
        examples: The ECGs in the row order of the first seed.
        rows: (seed, ecg) in which row of each run an ECG stands.
        maps: Method -> its maps.
        left_out: Method -> why it can't be compared.
    """

    target: str
    seeds: tuple[int, ...]
    examples: pd.DataFrame
    rows: NDArray[np.int64]
    maps: dict[str, SeedMaps]
    left_out: dict[str, str]

    @classmethod
    def of(cls, target: str, runs: Mapping[int, Run]) -> "TargetMaps":
        """Join the runs of a target; methods that are left out are warned of.

        Raises:
            ValueError: Runs of other ECGs, or maps of one method that were made with other settings.
        """
        examples, rows = same_ecgs(target, runs)
        found, left_out = comparable_maps(target, runs, rows)
        for method, why in left_out.items():
            warnings.warn(f"{target}: {method} is not compared: {why}", stacklevel=2)
        return cls(target, tuple(runs), examples, rows, {maps.method: maps for maps in found}, left_out)


def same_ecgs(target: str, runs: Mapping[int, Run]) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Join the test ECGs of several seeds by their ids.

    Args:
        target: The diagnosis, for messages.
        runs: Seed -> run.

    Returns:
        The ECGs in the row order of the first seed, and (seed, ecg) in which row of each run they stand.

    Raises:
        ValueError: Two runs have other ECGs or labels; both are named.
    """
    first_seed, *others = runs
    examples = runs[first_seed].examples
    places = [np.arange(len(examples), dtype=np.int64)]
    for seed in others:
        table = runs[seed].examples.set_index("ecg_id")
        alone = sorted(set(examples["ecg_id"]) ^ set(table.index))
        if alone:
            raise ValueError(
                f"{target}: {runs[first_seed].path} and {runs[seed].path} were tested on other ECGs; {len(alone)} are "
                f"in one of them only, such as {', '.join(map(shown_text, alone[:_SHOWN]))}. Repeat one test on the "
                "data of the other"
            )
        joined = table.loc[examples["ecg_id"]]
        if not np.array_equal(joined["label"].to_numpy(), examples["label"].to_numpy(), equal_nan=True):
            raise ValueError(
                f"{target}: {runs[first_seed].path} and {runs[seed].path} have other labels for the same ECGs: they "
                "were made with other label maps; repeat one of them"
            )
        places.append(joined["row"].to_numpy(dtype=np.int64))
    return examples, np.stack(places)


def comparable_maps(
    target: str, runs: Mapping[int, Run], rows: NDArray[np.int64]
) -> tuple[list[SeedMaps], dict[str, str]]:
    """The methods that every seed has maps of.

    Args:
        target: The diagnosis, for messages.
        runs: Seed -> run.
        rows: (seed, ecg) of ``same_ecgs``.

    Returns:
        Their maps; and method -> why it can't be compared.

    Raises:
        ValueError: Maps of one method were made with other settings; both stores and each difference are named.
    """
    names = {seed: set(run.maps) for seed, run in runs.items()}
    found, left_out = [], {}
    for method in in_paper_order(set[str]().union(*names.values())):
        without = [seed for seed, there in names.items() if method not in there]
        if without:
            left_out[method] = f"no maps of seed {', '.join(map(str, without))}"
            continue
        folders = tuple(str(run.path / "maps" / method) for run in runs.values())
        if parts := [words for seed, one in zip(runs, folders, strict=True) if (words := _what_lacks(seed, one))]:
            left_out[method] = ", ".join(parts)
            continue
        _check_same_settings(target, method, folders)
        found.append(SeedMaps(method, tuple(runs), folders, rows))
    return found, left_out


def _what_lacks(seed: int, folder: str) -> str:
    """Of a store that a finished test did not ask for: an earlier one that was not finished left a part of it."""
    done = RowStore.open(folder).done
    return "" if done.all() else f"seed {seed} has maps of {int(done.sum())} of {len(done)} ECGs"


def in_paper_order(methods: Collection[str]) -> list[str]:
    """The twelve methods as the paper lists them, then others by their names."""
    known = [name for name in METHOD_NAMES if name in methods]
    return [*known, *sorted(set(methods) - set(known))]


def other_settings(first: str, second: str, apart_from: Collection[str]) -> list[str]:
    """In what the settings of two stores of maps differ, a line each, as said of the second.

    Args:
        first: Folder of a store.
        second: Of another one.
        apart_from: Settings that may differ, as the weights and the ECGs may.
    """
    before, now = (RowStore.open(folder).spec.as_json() for folder in (first, second))
    may_differ = ("network", "examples", "shape[0]", *(f"settings.{name}" for name in apart_from))
    return differences(before, now, ("in the first", "in the second"), apart_from=may_differ, null_counts=True)


def _check_same_settings(target: str, method: str, folders: Sequence[str]) -> None:
    for folder in folders[1:]:
        if lines := other_settings(folders[0], folder, OF_THE_SEED):
            raise ValueError(
                f"{target}: the maps of {method} in {folders[0]} and {folder} were made with other settings and can't "
                "be compared:\n  " + listed(lines, "\n  ", _SHOWN)
            )
