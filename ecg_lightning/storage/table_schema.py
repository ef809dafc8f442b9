"""The declared columns of a table: checked when it is written, and when it is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

Kind = Literal["text", "truth", "whole", "number"]

_FITS: Final[dict[Kind, Callable[[Any], bool]]] = {
    "text": lambda column: pd.api.types.is_string_dtype(column.dropna()) or column.isna().all(),
    "truth": lambda column: pd.api.types.is_bool_dtype(column.dropna().infer_objects()),
    "whole": lambda column: pd.api.types.is_integer_dtype(column.dropna().convert_dtypes()) or column.isna().all(),
    "number": lambda column: pd.api.types.is_numeric_dtype(column) or column.isna().all(),
}
"""Kind of a column -> whether a column is of it; a missing value fits every kind."""


@dataclass(frozen=True)
class Column:
    """A column is what one column of a table holds.

    Attributes:
        kind: What its values are.
        meaning: What it holds, in words.
        unit: Unit of its values; empty where they have none.
        optional: Whether a table may lack it: it was not measured, or an earlier version wrote it.
    """

    kind: Kind
    meaning: str
    unit: str = ""
    optional: bool = False


@dataclass(frozen=True)
class TableSchema:
    """The columns of one table.

    Attributes:
        name: The table is ``tables/<name>.parquet``.
        columns: Name of each column -> what it is.
    """

    name: str
    columns: Mapping[str, Column]

    def check_written(self, frame: pd.DataFrame) -> None:
        """Refuse to write a table of other columns.

        Raises:
            ValueError: A column is missing, unknown or of another kind.
        """
        problems = [*self._lacking(frame), *self._problems(frame)]
        problems += [f"{name} is not declared" for name in frame if name not in self.columns]
        if problems:
            raise ValueError(f"table {self.name}: {'; '.join(problems)}")

    def check_read(self, frame: pd.DataFrame, path: Path, remedy: str) -> None:
        """Refuse a table on disk that lacks a column or has one of another kind.

        Args:
            frame: What was read.
            path: Where the table was read from.
            remedy: What to do, a sentence without its full stop.

        Raises:
            ValueError: The file, the columns and the remedy are named.
        """
        if problems := [*self._lacking(frame), *self._problems(frame)]:
            raise ValueError(f"{path}: {'; '.join(problems)}; {remedy}")

    def _lacking(self, frame: pd.DataFrame) -> list[str]:
        lacking = [name for name, column in self.columns.items() if name not in frame and not column.optional]
        return [f"it lacks the column {name}" for name in lacking]

    def _problems(self, frame: pd.DataFrame) -> list[str]:
        return [
            f"column {name} is of type {frame[name].dtype}, expected {column.kind}"
            for name, column in self.columns.items()
            if name in frame and not _FITS[column.kind](frame[name])
        ]
