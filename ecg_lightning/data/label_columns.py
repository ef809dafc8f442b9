"""The columns of ``examples.parquet`` and ``population.parquet`` that hold the labels of targets."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.ecg import Target

R_PEAKS: Final = "r_peaks"
"""Column of a recording's R peaks: (beat,) samples."""

DESCRIPTION: Final = (
    *("row", "ecg_id", "patient_id", "age", "sex", "source", "fold", "split", "heart_rate", "n_beats"),
    *(R_PEAKS, "label", "cache_row"),
)
"""Columns that describe an ECG."""

_LABEL: Final = "_label"


def label_column(target: Target) -> str:
    """Name the column of a target's labels: as the target, and ``age_label`` where the name describes the ECG."""
    return f"{target}{_LABEL}" if target in DESCRIPTION else target


def targets_in(table: pd.DataFrame) -> list[Target]:
    """List the targets that a table has labels of, in the order of its columns."""
    by_column = {label_column(name): name for name in DESCRIPTION}
    return [by_column.get(str(column), str(column)) for column in table.columns if column not in DESCRIPTION]


def is_binary(table: pd.DataFrame, target: Target) -> bool:
    """Return whether a table holds a target's labels as 1 and 0."""
    return bool(pd.api.types.is_integer_dtype(table[label_column(target)]))


def label_array(labels: Sequence[float]) -> Any:
    """Make a column of labels: Int8 where all that are known are 1 or 0, else float64.

    Args:
        labels: Of each ECG; NaN where missing.
    """
    values = np.asarray(labels, dtype=np.float64)
    missing = np.isnan(values)
    if np.isin(values[~missing], (0.0, 1.0)).all():
        return pd.arrays.IntegerArray(np.where(missing, 0.0, values).astype(np.int8), missing)
    return values


def labels_of(examples: pd.DataFrame, target: Target) -> NDArray[np.float32]:
    """Return the labels (n,) of a cache's examples, NaN where missing; all are where the cache knows no such target."""
    column = label_column(target)
    if column not in examples:
        return np.full(len(examples), np.nan, dtype=np.float32)
    label: NDArray[np.float32] = examples[column].astype("Float32").to_numpy(dtype=np.float32, na_value=math.nan)
    return label


def two_class_targets(examples: pd.DataFrame) -> list[Target]:
    """List the targets of which a source has ECGs with and ECGs without, in the order of the table's columns."""
    labels = {name: labels_of(examples, name) for name in targets_in(examples)}
    return [name for name, label in labels.items() if np.array_equal(np.unique(label[~np.isnan(label)]), (0, 1))]
