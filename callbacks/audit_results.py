"""An audit leaves tables and pictures in the run folder, and the same on W&B."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure

from callbacks.current_run import run_folder
from callbacks.drawn_figures import figures_of
from ecg_lightning.experiments.registry import TABLES
from ecg_lightning.plotting.figure_files import save_figure_files, seldom_collected
from ecg_lightning.storage.atomic import write_parquet_atomic


class AuditResults:
    """Writes and logs results; on rank zero.

    Args:
        trainer: The trainer, for its run folder, its loggers and what it says of figures.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.folder = run_folder(trainer).path
        self.figures = figures_of(trainer)
        self.loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Keep ``tables/<name>.parquet``; on W&B the table ``<name>``.

        Raises:
            ValueError: The table has other columns than its experiment declares.
        """
        if name in TABLES:
            TABLES[name].check_written(frame)
        write_parquet_atomic(self.folder / "tables" / f"{name}.parquet", frame)
        for logger in self.loggers:
            logger.log_metrics({name: _wandb_table(frame)})

    def figure(self, name: str, draw: Callable[[], Figure], caption: str, *, summary: bool = False) -> None:
        """Keep ``figures/<name>.png`` where it is wanted, and other files of it by choice; on W&B the image ``<name>``.

        Args:
            name: Such as ``similarity/pearson_native``.
            draw: Makes the figure; called only where it is wanted: see ``callbacks.Figures``.
            caption: What is shown, in which unit, from which settings.
            summary: Whether it is one of the few that are drawn where only a summary is wanted.
        """
        if not self.figures.wants(summary=summary):
            return
        path = self.folder / "figures" / f"{name}.png"
        with seldom_collected():
            save_figure_files(draw(), path, self.figures.files)
        for logger in self.loggers:
            logger.log_image(name, images=[str(path)], caption=[caption])

    def curves(self, prefix: str, step: str, frame: pd.DataFrame) -> None:
        """Log curves on an axis of their own: in a test W&B's global step never moves.

        Args:
            prefix: Of the curves' names, such as ``cascade``.
            step: Name of their axis, such as ``depth``; it is logged as ``<prefix>/<step>``.
            frame: One row a point of the axis (its index), one column a curve; NaN is left out.
        """
        for logger in self.loggers:
            run: Any = logger.experiment
            run.define_metric(f"{prefix}/{step}")
            run.define_metric(f"{prefix}/*", step_metric=f"{prefix}/{step}")
            for point, values in frame.iterrows():
                known = values.dropna()
                run.log({f"{prefix}/{step}": point} | {f"{prefix}/{name}": float(v) for name, v in known.items()})

    def numbers(self, values: Mapping[str, float]) -> None:
        """Log single numbers, such as ``perturbation/abpc/saliency``; they also stand in the run's summary."""
        for logger in self.loggers:
            logger.log_metrics(dict(values))


def _wandb_table(frame: pd.DataFrame) -> Any:
    """Make a table of W&B whose types are those of each column's first value."""
    import wandb

    rows = _plain_rows(frame)
    telling = sorted({int(known.argmax()) for _, known in frame.notna().items()}) if rows else []
    table = wandb.Table(columns=list(frame.columns), data=[rows[row] for row in telling])
    table.data = rows  # adding them one by one compares the types of every cell, a second for 11,000 rows
    return table


def _plain_rows(frame: pd.DataFrame) -> list[list[Any]]:
    """Return a table's rows as Python's own values: W&B takes them four times as fast as a data frame.

    It knows None, and not pandas' own NA of a column that may hold True, False or nothing.
    """
    plain = frame.astype(object)
    for column in frame.columns[frame.dtypes == "boolean"]:
        plain[column] = plain[column].where(frame[column].notna(), None)
    rows: list[list[Any]] = plain.to_numpy().tolist()
    return rows
