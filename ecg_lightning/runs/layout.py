"""The files of a run and of its study lie at these paths (design, section 4)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

OnMismatch = Literal["error", "replace"]
"""What is done with a folder of other settings: it is refused, or moved aside."""

REPORT: Final = "report.html"
"""A study's page, in its folder."""


@dataclass(frozen=True)
class RunPaths:
    """The paths of one run, ``runs/<study>/<target>/seed<k>/``, and of its study; nothing is looked up on the disk.

    Attributes:
        path: The folder itself.
    """

    path: Path

    @classmethod
    def of(cls, runs: str, study: str, target: str, seed: int) -> "RunPaths":
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
    def examples(self) -> Path:
        """The test ECGs in row order, written when ``test`` begins."""
        return self.path / "examples.parquet"

    @property
    def metrics(self) -> Path:
        """Scores of the network, written when ``test`` ends."""
        return self.path / "metrics.json"

    @property
    def logits(self) -> Path:
        """The store of the test ECGs' logits."""
        return self.path / "logits"

    def config(self, stage: Literal["fit", "test"]) -> Path:
        """The resolved configuration of a stage."""
        return self.path / f"{stage}.yaml"

    def table(self, name: str) -> Path:
        """A table of the test's results."""
        return self.path / "tables" / f"{name}.parquet"

    @property
    def study(self) -> Path:
        """The folder that holds all runs of the study."""
        return self.path.parent.parent

    @property
    def splits(self) -> Path:
        """The study's split of every ECG."""
        return self.study / "splits.parquet"

    @property
    def population(self) -> Path:
        """The study's ECGs: split, patient, age, sex and every label."""
        return self.study / "population.parquet"

    @property
    def test_beats(self) -> Path:
        """The study's test ECGs in row order, (n, lead, sample) mV."""
        return self.study / "test_beats.npy"

    @property
    def method_styles(self) -> Path:
        """How methods of one's own are drawn that state it; not there for the twelve."""
        return self.path / "tables" / "method_styles.json"

    @property
    def rejected(self) -> Path:
        """The ECGs that could not be used, with the reason."""
        return self.study / "rejected.parquet"
