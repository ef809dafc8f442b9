"""Where a run's results lie, and whether a folder belongs to the same settings (design, section 4)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Final, Literal, get_args

import yaml

from ecg_lightning.storage.hashing import differences, listed
from ecg_lightning.storage.readers import DamagedFileError, reading

OnMismatch = Literal["error", "replace"]

INDIFFERENT_SETTINGS: Final = (
    "config",
    "ckpt_path",
    "ids",
    "on_mismatch",
    "root",
    "runs",
    "study",
    "verbose",
    "weights_only",
    "data.cache_dir",
    "data.num_workers",
    "data.processes",
    "data.eval_batch_size",
    "data.source.init_args.root",
    "checkpoint.dirpath",
    "checkpoint.verbose",
    "last_checkpoint",
    "trainer.accelerator",
    "trainer.strategy",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.logger",
    "trainer.callbacks",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.profiler",
    "trainer.log_every_n_steps",
)
"""Settings that do not change what a network learns: where, with how many devices, and what is logged."""


class RunMismatchError(ValueError):
    """A run folder holds a run of other settings."""


@dataclass(frozen=True)
class RunFolder:
    """``runs/<study>/<target>/seed<k>/``.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @classmethod
    def of(cls, runs: str, study: str, target: str, seed: int) -> "RunFolder":
        """The folder of one training repetition.

        Raises:
            ValueError: A study whose name is not a single folder's name.
        """
        if not study or Path(study).name != study or study in (".", ".."):
            raise ValueError(f"--study must be the name of one folder, without a slash; got {study!r}")
        return cls(Path(runs) / study / target / f"seed{seed}")

    @property
    def checkpoints(self) -> Path:
        """Folder of ``best.ckpt`` and ``last.ckpt``."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """The epoch with the lowest validation loss."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """The newest epoch, from which ``fit`` resumes."""
        return self.checkpoints / "last.ckpt"

    @property
    def fit_record(self) -> Path:
        """Written when ``fit`` has ended: epochs, best score."""
        return self.path / "fit.done.json"

    @property
    def test_record(self) -> Path:
        """Written when ``test`` has ended, taken away when another begins."""
        return self.path / "test.done.json"

    @property
    def study(self) -> Path:
        """The study's folder."""
        return self.path.parent.parent

    @property
    def splits(self) -> Path:
        """The study's split of every ECG."""
        return self.path.parent.parent / "splits.parquet"

    @property
    def population(self) -> Path:
        """The study's ECGs: split, patient, age, sex and every label."""
        return self.path.parent.parent / "population.parquet"

    @property
    def test_beats(self) -> Path:
        """The study's test ECGs in row order, (n, lead, sample) mV."""
        return self.path.parent.parent / "test_beats.npy"

    @property
    def rejected(self) -> Path:
        """The ECGs that could not be used, with the reason."""
        return self.path.parent.parent / "rejected.parquet"

    def check_same_run(self, config: Mapping[str, object], on_mismatch: OnMismatch, *, moves: bool = True) -> bool:
        """Whether the folder holds an earlier ``fit`` of the same settings, which may be resumed.

        Args:
            config: The resolved configuration of this ``fit``.
            on_mismatch: ``error``, or ``replace``: move a folder of other settings aside.
            moves: Whether this process moves it; among several ranks only one may.

        Raises:
            RunMismatchError: Other settings (the message names each with both values), or unknown ones.
            ValueError: Another ``on_mismatch``.
        """
        if on_mismatch not in get_args(OnMismatch):
            raise ValueError(f"on_mismatch must be one of {', '.join(get_args(OnMismatch))}; got {on_mismatch!r}")
        problem = self._mismatch(config)
        if problem is None:
            return self.last_checkpoint.is_file()
        if on_mismatch == "replace":
            if moves:
                self._move_aside()
            return False
        raise RunMismatchError(
            f"{problem}\nGive this run another --study, repeat the earlier settings to resume it, or pass "
            "--on_mismatch replace to move the old folder aside"
        )

    def _mismatch(self, config: Mapping[str, object]) -> str | None:
        """What keeps the folder's run from being this one, in words; None where nothing does."""
        earlier = self.path / "fit.yaml"
        if not earlier.is_file():
            if not self.last_checkpoint.is_file():
                return None
            return f"{self.last_checkpoint} is of a run whose settings are not known: {earlier} is missing."
        try:
            with reading(earlier, "Put a copy back"):
                before = yaml.safe_load(earlier.read_text(encoding="utf-8"))
        except DamagedFileError as error:
            return f"{error}."
        if not isinstance(before, dict):
            return f"{earlier} is not a configuration."
        lines = differences(before, config, ("there", "now"), apart_from=INDIFFERENT_SETTINGS)
        return "\n  ".join([f"{self.path} holds a run of other settings:", listed(lines, "\n  ")]) if lines else None

    def _move_aside(self) -> None:
        name = f"{self.path.name}.replaced-{time.strftime('%Y%m%d-%H%M%S')}"
        names = chain([name], (f"{name}-{number}" for number in count(2)))  # more than one in a second
        self.path.rename(next(aside for aside in map(self.path.with_name, names) if not aside.exists()))
