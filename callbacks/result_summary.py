"""The last words of a ``test``: the score, and where everything lies."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from callbacks.current_run import datamodule_of, on_rank_zero, run_folder
from ecg_lightning.runs.finished import WITHOUT_LIMITS
from ecg_lightning.runs.sealing import TEST_AGAIN
from ecg_lightning.storage.readers import read_json, read_table
from ecg_lightning.wandb_logger import RunLogger


class ResultSummary(Callback):
    """Prints AUROC, or R2, with its interval, and the folders of numbers, maps, pictures and the W&B run."""

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say it on rank zero, when everything has been written."""
        target = datamodule_of(trainer, "ResultSummary").target
        loggers = [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]

        def say() -> None:
            runs = [logger.place for logger in loggers]
            rank_zero_info("\n".join(summary(run_folder(trainer).path, target, [run for run in runs if run])))

        on_rank_zero(trainer, say)


def summary(folder: Path, target: str, wandb_runs: list[str]) -> list[str]:
    """What a finished test left in its run folder, in lines.

    Args:
        folder: The run folder.
        target: What the run explains.
        wandb_runs: Pages or folders of the W&B runs.
    """
    lines = [f"Results of {target} in {folder}"]
    if (path := folder / "metrics.json").is_file():
        metrics = read_json(path, TEST_AGAIN)
        lines.append(f"  {_score(metrics)}: metrics.json")
        if untested := metrics.get("n_not_tested"):
            lines.append(f"  a part only: {untested} test ECGs were not tested; {WITHOUT_LIMITS}")
    stores = [one.parent.name for one in folder.glob("maps/*/manifest.json")]
    methods = [name for name in stores if ".replaced-" not in name]  # others were moved aside
    if methods:
        lines.append(f"  maps of {len(methods)} methods: maps/")
    if (path := folder / "tables" / "maps.parquet").is_file():
        lines += [f"  {words}" for words in _unreliable(read_table(path, TEST_AGAIN))]
    pictures = len(list(folder.glob("figures/**/*.png")))
    if pictures:
        lines.append(f"  {pictures} pictures: figures/")
    lines += [f"  W&B: {run}" for run in wandb_runs]
    return lines


def _unreliable(table: pd.DataFrame) -> list[str]:
    """Methods with maps that are less reliable than asked for; see ``callbacks.attribution_report.maps_table``."""
    short = table[table["unreliable"] > 0]
    if short.empty:
        return []
    counts = ", ".join(f"{row.unreliable} of {row.done} of {row.method}" for row in short.itertuples())
    return [f"maps less reliable than asked for, kept: {counts}: tables/maps.parquet"]


def _score(metrics: Mapping[str, Any]) -> str:
    """The first score and its interval: AUROC of a diagnosis, R2 and error of a measurement."""
    if "auroc" not in metrics:
        unit = f" {metrics['unit']}" if metrics.get("unit") else ""
        error = f"mean absolute error {metrics['mae']['value']:.3g}{unit}, {metrics['n_ecgs']} ECGs have a value"
        return f"{_value(metrics, 'r2', 'R2')}, {error}"
    return f"{_value(metrics, 'auroc', 'AUROC')}, {metrics['n_positive']} of {metrics['n_ecgs']} ECGs have it"


def _value(metrics: Mapping[str, Any], name: str, title: str) -> str:
    """A score in words; a test of few batches may have met one class, or one value, only."""
    score = metrics[name]
    if score["value"] is None:
        return f"no {title}"
    share, interval = metrics["interval"]["confidence"], "no interval"
    if score["low"] is not None:
        interval = f"{share:.0%} interval over patients {score['low']:.3f} to {score['high']:.3f}"
    return f"{title} {score['value']:.3f} ({interval})"
