"""A small finished study that is made to be damaged, the ways to damage it, and all that can be read of it."""

import contextlib
import io
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from callbacks.audit_results import AuditResults
from ecg_lightning.cli import main as command
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.study_folder import COMPARED_TABLES
from ecg_lightning.storage.readers import read_table

TARGET = "sinus_tachycardia"
SEEDS = (0, 1)
STUDY = "micro"
CONFIGS = Path(__file__).parents[1] / "configs"
KINDS = ("flip", "flip", "cut", "delete", "swap")
_DRAWING = (
    "ecg_lightning.experiments.perturbation.run_results.curves_figure",
    "ecg_lightning.experiments.randomization.random_networks_results.left_over_figure",
    "ecg_lightning.experiments.randomization.run_results.curves_figure",
    "ecg_lightning.experiments.similarity.run_results.similarity_figure",
)

CALLBACKS = """
trainer:
  callbacks:
    - class_path: callbacks.AttributionMaps
      init_args:
        methods:
          - class_path: ecg_lightning.attribution.methods.Saliency
          - class_path: ecg_lightning.attribution.methods.GradientXInput
          - class_path: ecg_lightning.attribution.methods.SmoothGrad
            init_args: { n_samples: 4 }
    - class_path: callbacks.LogitsAndMetrics
      init_args: { n_resamples: 100 }
    - class_path: callbacks.MethodSimilarity
      init_args: { n_resamples: 100 }
    - class_path: callbacks.RandomizationCascade
      init_args: { max_examples: 3, depths: [0, 9], draws: 2, full_repeats: 2, n_resamples: 100 }
    - class_path: callbacks.PerturbationCurves
      init_args:
        kinds: [{ unit: block50, steps: 3, fraction_per_step: 0.05 }]
        n_resamples: 100
    - class_path: callbacks.AuditSummary
"""


@dataclass(frozen=True)
class Mutation:
    """One change of a study on disk.

    Attributes:
        kind: ``flip``, ``cut``, ``delete`` or ``swap``.
        files: That it changes, relative to the study.
        where: Of the byte that is flipped or the first that is cut, as a share of the file.
        bit: That is flipped.
    """

    kind: str
    files: tuple[str, ...]
    where: float
    bit: int

    def apply(self, study: Path) -> None:
        """Change the files."""
        path = study / self.files[0]
        content = bytearray(path.read_bytes())
        place = min(int(self.where * len(content)), len(content) - 1)
        if self.kind == "flip":
            content[place] ^= 1 << self.bit
            path.write_bytes(content)
        elif self.kind == "cut":
            path.write_bytes(content[:place])
        elif self.kind == "delete":
            path.unlink()
        else:
            path.write_bytes((study / self.files[1]).read_bytes())
            (study / self.files[1]).write_bytes(content)

    def __str__(self) -> str:
        place = f" at {self.where:.3f}, bit {self.bit}" if self.kind == "flip" else ""
        return f"{self.kind} {' and '.join(self.files)}{place}"


@dataclass(frozen=True)
class Bench:
    """A finished study, and how its commands are given again.

    Attributes:
        base: Where its data, its configuration and ``runs/`` lie.
    """

    base: Path

    @property
    def study(self) -> Path:
        """The untouched one."""
        return self.base / "runs" / STUDY

    def make(self) -> None:
        """Train and test two small networks, and compare them."""
        self.base.mkdir(parents=True, exist_ok=True)
        (self.base / "few.yaml").write_text(CALLBACKS)
        for seed in SEEDS:
            self.give("fit", seed, self.base / "runs")
            self.give("test", seed, self.base / "runs")
        self.give("compare", 0, self.base / "runs")

    def give(self, stage: str, seed: int, runs: Path) -> str:
        """Give a command in this process, and return what it has printed.

        Raises:
            Exception: What the command ends with: a traceback, or a message for who typed it.
        """
        told = io.StringIO()
        with (
            contextlib.redirect_stdout(told),
            contextlib.redirect_stderr(told),
            patch.object(sys, "argv", ["ecg_lightning"]),
            contextlib.ExitStack() as patches,
        ):
            for name in _DRAWING:
                patches.enter_context(patch(name))
            patches.enter_context(patch.object(AuditResults, "figure", _placeholder))
            if stage == "compare":
                command(["compare", str(runs / STUDY), "--processes", "1"])
            else:
                command(self.arguments(stage, seed, runs))
        return told.getvalue()

    def arguments(self, stage: str, seed: int, runs: Path) -> list[str]:
        """The command line of a stage."""
        own = CONFIGS / "model/small.yaml" if stage == "fit" else self.base / "few.yaml"
        options = {
            "data.source.init_args.n_patients": 100,
            "data.held_out_patients": 15,
            "data.n_backgrounds": 4,
            "data.cache_dir": self.base / "cache",
            "data.processes": 1,
            "runs": runs,
            "study": STUDY,
            "target": TARGET,
            "seed_everything": seed,
            "trainer.accelerator": "cpu",
            "trainer.enable_progress_bar": "false",
            "trainer.logger": "false",
            **({"trainer.max_epochs": 1} if stage == "fit" else {}),
        }
        configs = [CONFIGS / f"{stage}.yaml", CONFIGS / "data/synthetic.yaml", own]
        return [
            stage,
            *(part for path in configs for part in ("--config", str(path))),
            *(part for name, value in options.items() for part in (f"--{name}", str(value))),
        ]


def mutable_files(study: Path) -> list[str]:
    """Files that a mutation may change: all but hidden ones, logs and W&B's."""
    found = (path.relative_to(study) for path in study.rglob("*") if path.is_file() and path.stat().st_size)
    return sorted(
        path.as_posix()
        for path in found
        if not any(part[0] == "." or part in ("wandb", "logs") or ".replaced-" in part for part in path.parts)
        and not path.as_posix().startswith(f"{TARGET}/seed1/")
    )


def mutations(files: list[str], count: int, seed: int) -> Iterator[Mutation]:
    """Random ones; every file is as likely as every other, whatever its size."""
    draw = random.Random(seed)
    for _ in range(count):
        kind = draw.choice(KINDS)
        chosen = draw.sample(files, 2 if kind == "swap" else 1)
        yield Mutation(kind, tuple(chosen), draw.random(), draw.randrange(8))


def values_of(runs: JudgedRuns) -> dict[str, Any]:
    """What a report reads, by name."""
    values: dict[str, Any] = {}
    for run in runs:
        values |= {f"{run.path.name}/{name}": value for name, value in run_values(run).items()}
        values["test_beats"] = None if (beats := run.test_beats) is None else np.array(beats)
    values |= {"population": runs.population, "rejected": runs.rejected}
    for name in COMPARED_TABLES:
        values[name] = runs.study_table(name)
    return values


def run_values(run: Run) -> dict[str, Any]:
    """Everything that can be read of a run."""
    values: dict[str, Any] = {"examples": run.examples, "metrics": run.metrics, "fit": run.config("fit")}
    values["test"] = run.config("test")["trainer"]["callbacks"]  # the rest has paths
    for name in run.stores:
        store = run.row_store(name)
        values[name] = store.read(np.flatnonzero(store.done))
        values[f"{name}: done"] = store.done
    for path in sorted((run.path / "tables").glob("*.parquet")):
        values[f"tables/{path.stem}"] = read_table(path, "")
    return values


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of values that differ; what is None or empty afterwards was left out, and is none."""
    return [name for name, value in after.items() if name not in before or not _same(before[name], value)]


def _same(one: Any, other: Any) -> bool:
    if hasattr(one, "equals"):
        return bool(one.equals(other))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return repr(one) == repr(other)  # NaN in metrics


def _placeholder(self: AuditResults, name: str, *_: object, **__: object) -> None:
    """Instead of a picture."""
    path = self.folder / "figures" / f"{name}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<svg>{name}</svg>")
