"""Compares a written table with a recomputed one, cell by cell, and says what it left out and why."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch

import numpy as np
import pandas as pd

TOLERANCE = 1e-6
"""Largest difference: absolute, or relative to numbers above 1."""

BOOTSTRAP = "percentiles of resampled patients or seeds"
SETTING = "a setting, not a result"
BOOTSTRAPPED = {
    **dict.fromkeys(("low", "high", "*_low", "*_high", "n_resamples_undefined"), BOOTSTRAP),
    "confidence": SETTING,
}
"""Columns of tables that describe."""


@dataclass(frozen=True)
class Recipe:
    """How a table is made again.

    Attributes:
        make: Of a run's files: its rows; None: the table is not recomputed.
        keys: Columns that tell rows apart.
        left_out: See :func:`compare`.
        why: Why there is no ``make``.
    """

    make: Callable[..., Iterable[dict]] | None
    keys: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


@dataclass
class Finding:
    """What came of one table.

    Attributes:
        table: Its name.
        rows: Compared.
        checked: Columns that were recomputed.
        left_out: Column -> why it was not.
        largest: The largest difference.
        where: Its column and row.
        wrong: In words, what does not agree.
    """

    table: str
    rows: int = 0
    checked: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    largest: float = 0.0
    where: str = ""
    wrong: list[str] = field(default_factory=list)


def compare(
    name: str, written: pd.DataFrame, again: pd.DataFrame, keys: Sequence[str], left_out: Mapping[str, str]
) -> Finding:
    """Match rows by their keys and compare every other column.

    Args:
        name: Of the table.
        written: The project's.
        again: The recomputed one; it may have more rows, never fewer.
        keys: Columns that tell rows apart.
        left_out: Pattern of a column's name -> why it is not recomputed. A column that is neither in ``again`` nor
            here is wrong: nothing is left out silently.
    """
    finding = Finding(name, len(written))
    keys = [key for key in keys if key in written]
    lacking = [key for key in keys if key not in again]
    if lacking:
        finding.wrong.append(f"rows can't be told apart by {', '.join(lacking)}")
        return finding
    if again.duplicated(keys).any() or written.duplicated(keys).any():
        finding.wrong.append(f"{', '.join(keys)} do not tell rows apart")
        return finding
    index = pd.Index(written[keys].astype(str).agg(" | ".join, axis=1))
    other = again.set_index(pd.Index(again[keys].astype(str).agg(" | ".join, axis=1)))
    missing = index[~index.isin(other.index)]
    if len(missing):
        finding.wrong.append(f"{len(missing)} rows are not recomputed, the first {missing[0]}")
        return finding
    other = other.loc[index]
    for column in written:
        reason = next((why for pattern, why in left_out.items() if fnmatch(str(column), pattern)), None)
        if column in keys:
            continue
        if column in other:
            finding.checked.append(str(column))
            _column(finding, written, other, str(column))
        elif reason is not None:
            finding.left_out[str(column)] = reason
        else:
            finding.wrong.append(f"column {column} is not recomputed")
    return finding


def _column(finding: Finding, written: pd.DataFrame, again: pd.DataFrame, column: str) -> None:
    a, b = written[column], again[column]
    if pd.api.types.is_numeric_dtype(a) and not pd.api.types.is_bool_dtype(a):
        x, y = a.to_numpy(dtype=np.float64), b.to_numpy(dtype=np.float64)
        both = np.isnan(x) & np.isnan(y)
        difference = np.where(both | (x == y), 0.0, np.abs(x - y) / np.maximum(1.0, np.abs(y)))
        difference = np.where(np.isnan(difference), np.inf, difference)
    else:
        difference = np.where(a.astype(str).to_numpy() == b.astype(str).to_numpy(), 0.0, np.inf)
        x, y = a.to_numpy(), b.to_numpy()
    if not len(difference):
        return
    worst = int(difference.argmax())
    if difference[worst] > finding.largest:
        finding.largest, finding.where = float(difference[worst]), f"{column}, row {worst}"
    if difference[worst] > TOLERANCE:
        count = int((difference > TOLERANCE).sum())
        finding.wrong.append(
            f"{column}: {count} of {len(difference)}, such as {x[worst]} for {y[worst]} in row {worst}"
        )
