"""The results of a run, read back from its folder as labelled arrays and data frames.

Nothing is read before it is asked for, and arrays stay on the disk behind a memory map: opening a run with
100 GB of maps costs nothing.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.runs.beats import stored_beats
from ecg_lightning.runs.description import describe_files
from ecg_lightning.runs.labelled_arrays import ROW_LABELS, labelled_array
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.network_scores import read_metrics
from ecg_lightning.runs.sealing import TEST_AGAIN, inspect_run, remedy_of
from ecg_lightning.runs.search import check_run_folder, stores_below
from ecg_lightning.storage.plain_values import refuse_references
from ecg_lightning.storage.readers import read_table, reading
from ecg_lightning.storage.seals import Damage
from ecg_lightning.storage.store import RowStore

if TYPE_CHECKING:
    import xarray as xr


class StoreNotFoundError(KeyError):
    """A store that the run does not have; the message names those it has."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the message in quotes


def open_run(path: str | Path) -> "Run":
    """Open the folder of a run, finished or not.

    Args:
        path: ``runs/<study>/<target>/seed<k>``.

    Returns:
        The run; nothing is read yet.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: The folder is not that of a run; the message says what lies there and which runs are near.
    """
    return Run(check_run_folder(Path(path).resolve()))


@dataclass(frozen=True)
class Run:
    """The results in a run's folder; ``layout.RunPaths`` says where they lie.

    Attributes:
        path: The folder, absolute.
    """

    path: Path

    @property
    def seed(self) -> int:
        """Training repetition, from the folder's name."""
        return int(self.path.name.removeprefix("seed"))

    @property
    def target(self) -> str:
        """Diagnosis that the network is trained for, from the folder's name."""
        return self.path.parent.name

    @property
    def study(self) -> str:
        """Study that the run belongs to, from the folder's name."""
        return self.path.parents[1].name

    @property
    def paths(self) -> RunPaths:
        """Name the files that this reads, by where they lie."""
        return RunPaths(self.path)

    @cached_property
    def examples(self) -> pd.DataFrame:
        """The test ECGs in row order: row, ecg_id, patient_id, label, age, sex, source."""
        path = _there(self.paths.examples, "it is written when testing begins")
        frame = read_table(path, TEST_AGAIN, ("row", *ROW_LABELS))
        if not np.array_equal(frame["row"], np.arange(len(frame))):
            raise ValueError(f"{path}: the column row must count from 0 to {len(frame) - 1}, in order")
        return frame

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of ``metrics.json``; a ``null`` there is NaN here."""
        return read_metrics(_there(self.paths.metrics, "it is written when testing ends"))

    @property
    def splits(self) -> pd.DataFrame:
        """For every ECG of the source, the split it is in; one table per study."""
        path = _there(self.paths.splits, f"fitting writes it for the study {self.study!r}")
        return read_table(path, remedy_of("../../splits.parquet"), ("ecg_id", "split"))

    @property
    def test_beats(self) -> NDArray[Any] | None:
        """(n, lead, sample) mV of the test ECGs behind a memory map; None where the study keeps none, or others'.

        Damaged ones are warned of and left out.
        """
        return stored_beats(self.paths, len(self.examples))

    def verify(self) -> list[Damage]:
        """Compare every file and row with what was sealed when ``fit`` and ``test`` ended.

        Returns:
            What is damaged, each with its remedy; nothing of runs of earlier versions, which sealed nothing, but what
            can't be read. The study's own files are not of the run: see ``python -m ecg_lightning.cli verify``.
        """
        return inspect_run(self.paths).damages

    @property
    def checkpoint(self) -> Path:
        """The checkpoint with the lowest validation loss."""
        return _there(self.paths.best_checkpoint, "fitting writes it")

    def config(self, stage: Literal["fit", "test"] = "test") -> dict[str, Any]:
        """The resolved configuration of a stage.

        Args:
            stage: ``"fit"`` or ``"test"``.

        Raises:
            FileNotFoundError: The stage has not been run.
            UntrustedContentError: The file refers to the environment, as no stage writes it.
        """
        from omegaconf import OmegaConf  # reads 5e-4 as a number; PyYAML takes it for a string

        if stage not in ("fit", "test"):
            raise ValueError(f"stage is {stage!r}, expected 'fit' or 'test'")
        path = _there(self.paths.config(stage), f"the command {stage} writes it")
        with reading(path, remedy_of(path.name)):
            config = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
            if not isinstance(config, dict):
                raise ValueError(f"it holds a {type(config).__name__}, expected a mapping")
        refuse_references(config, path)
        return {str(key): value for key, value in config.items()}

    @property
    def stores(self) -> list[str]:
        """Names of all stores below the run, such as ``maps/saliency``."""
        return stores_below(self.path)

    @property
    def logits(self) -> "xr.DataArray":
        """(row,) positive logit of every test ECG."""
        return self.store("logits")

    @property
    def maps(self) -> Mapping[str, "xr.DataArray"]:
        """Method -> (row, lead, sample), behind a memory map."""
        return _Maps(self)

    def row_store(self, name: str) -> RowStore:
        """Open a store for reading, with its manifest and masks.

        Args:
            name: Path below the run, such as ``similarity/pearson``.

        Raises:
            StoreNotFoundError: The run has no such store.
            StoreCorruptError: The store is broken.
        """
        names = self.stores
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            raise StoreNotFoundError(
                f"{self.path} has no store {name!r}"
                + (f"; did you mean {close[0]!r}? " if close else "; ")
                + f"It has: {', '.join(names) or 'none yet'}"
            )
        return RowStore.open(self.path / name)

    def store(self, name: str) -> "xr.DataArray":
        """A store as a labelled array, behind a memory map.

        Rows carry ``ecg_id``, ``patient_id`` and ``label`` (where ``examples.parquet`` is there) and ``done``;
        the ECG of a name is ``array.sel(ecg_id=name)``. Samples carry ``time``, ms after the fiducial. A row
        that is not ``done`` is NaN, or half written if a run was killed there: leave it out.

        Args:
            name: Path below the run, such as ``similarity/pearson``.

        Raises:
            StoreNotFoundError: The run has no such store.
            ValueError: The store is broken, or has another number of rows than ``examples.parquet``.
        """
        there = self.paths.examples.is_file()
        return labelled_array(self.row_store(name), name, self.examples if there else None)

    def __repr__(self) -> str:
        head = f"Run of {self.target}, seed {self.seed}, study {self.study}: {self.path}"
        return "\n".join([head, *describe_files(self.paths, self._describe_examples(), self.stores)])

    def _describe_examples(self) -> str:
        try:
            frame = self.examples
        except (OSError, ValueError) as error:
            return f"not readable ({error})" if self.paths.examples.is_file() else "none yet"
        positives = int((frame["label"] == 1).sum())
        return f"{len(frame)} ECGs of {frame['patient_id'].nunique()} patients, {positives} positive"


@dataclass(frozen=True)
class _Maps(Mapping[str, "xr.DataArray"]):
    """The stores below ``maps/``, opened when asked for."""

    run: Run

    def __getitem__(self, method: str) -> "xr.DataArray":
        try:
            return self.run.store(f"maps/{method}")
        except StoreNotFoundError:
            raise StoreNotFoundError(
                f"{self.run.path} has no maps of {method!r}; it has those of: {', '.join(self) or 'no method'} "
                "(controls are regenerated, never stored)"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix("maps/") for name in self.run.stores if name.startswith("maps/"))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"maps of {', '.join(self) or 'no method'} in {self.run.path}"


def _there(path: Path, origin: str) -> Path:
    """The path of a file that is there; an error says what writes it."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; {origin}")
    return path
