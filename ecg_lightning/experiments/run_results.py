"""Results of one run are handed over here; a test's callbacks keep them in the run folder and log them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure


class RunResults(Protocol):
    """Keeps tables and figures of one run and hands them, and numbers, to its logger."""

    @property
    def folder(self) -> Path:
        """The folder of the run."""

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Keep a table as ``tables/<name>.parquet``."""

    def figure(self, name: str, draw: Callable[[], Figure], caption: str, *, summary: bool = False) -> None:
        """Draw and keep ``figures/<name>.png`` where it is wanted; ``summary`` marks the few that say most."""

    def curves(self, prefix: str, step: str, frame: pd.DataFrame) -> None:
        """Log curves over an axis of their own; see ``callbacks.audit_results``."""

    def numbers(self, values: Mapping[str, float]) -> None:
        """Log single numbers by their names."""
