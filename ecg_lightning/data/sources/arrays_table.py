"""The table beside the array of the source ``arrays``: a line an ECG, as CSV or Parquet."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from ecg_lightning.data.sources.archive_table import Row, is_missing, number, read_csv, rows_of, text_of, whole_number
from ecg_lightning.data.sources.base import Entry
from ecg_lightning.data.targets import PAPER_TARGETS, TargetInfo, load_targets, parse_targets
from ecg_lightning.ecg import TARGETS, Target

SIGNALS: Final = "ecgs.npy"
TABLES: Final = ("ecgs.parquet", "ecgs.csv")
NEEDED: Final = ("ecg_id", "patient_id")
_SEXES: Final = {"female": "female", "f": "female", "male": "male", "m": "male"}
_BOOLEANS: Final = {"true": 1.0, "false": 0.0}
_HIDDEN_AGE: Final = 300.0
_OLDEST: Final = 90.0
WHAT: Final = (
    f"expected {SIGNALS}, (ECG, lead, sample) in mV, and {' or '.join(TABLES)} beside it, one line an ECG in the same "
    "order; columns ecg_id and patient_id and, where known, age (years), sex (female, male), fold, heart_rate, "
    f"1 or 0 for any of {', '.join(TARGETS)}, and the columns that `targets` declares"
)


def declared_targets(own: str | list[str] | dict[str, Any] | None) -> dict[Target, TargetInfo]:
    """Make the targets that a source's argument ``targets`` declares: a YAML file, a mapping, or a list of names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It says something else, or declares one of the nine.
    """
    where = "data.source.init_args.targets"
    declared = load_targets(own) if own and isinstance(own, str) else parse_targets(own or {}, where)
    if taken := [name for name in declared if name in PAPER_TARGETS]:
        raise ValueError(f"{where}: {', '.join(taken)}: one of the nine needs no declaration; take it out")
    return declared


def read_rows(path: Path) -> list[Row]:
    """Read every line of the table, as CSV or Parquet.

    Raises:
        ValueError: It can't be read, or a column is missing.
    """
    return read_csv(path, NEEDED, WHAT) if path.suffix == ".csv" else _parquet_rows(path)


def _parquet_rows(path: Path) -> list[Row]:
    """A Parquet table as text, which is understood as a CSV's is."""
    try:
        table = pd.read_parquet(path)
    except Exception as error:  # what Arrow raises depends on where the damage is
        raise ValueError(f"{path} can't be read ({type(error).__name__}: {error}); {WHAT}") from error
    missing = [column for column in NEEDED if column not in table]
    if missing:
        raise ValueError(f"{path}: column {', '.join(missing)} missing; {WHAT}")
    columns = [str(column) for column in table]
    texts = (["" if pd.isna(value) else str(value) for value in row] for row in table.itertuples(index=False))
    return rows_of(columns, texts)


def entry_of(cells: Mapping[str, str], targets: Mapping[Target, TargetInfo]) -> Entry:
    """Make the ECG of a row.

    Args:
        cells: Column -> text.
        targets: The columns that are targets, those that are not there too.

    Raises:
        ValueError: It names the column, its value and what is expected.
    """
    fold = cells.get("fold", "")
    number(cells, "heart_rate", "beats per minute")
    labels = {target: _label(cells, info) for target, info in targets.items()}
    return Entry(
        ecg_id=text_of(cells, "ecg_id"),
        patient_id=text_of(cells, "patient_id"),
        age=_age(cells),
        sex=_sex(cells),
        labels={target: label for target, label in labels.items() if not math.isnan(label)},
        fold=0 if is_missing(fold) else whole_number(cells, "fold"),
    )


def _age(cells: Mapping[str, str]) -> float:
    """Years; 300 is how PTB-XL and those that followed it write an age over 89."""
    age = number(cells, "age", "years")
    return _OLDEST if age == _HIDDEN_AGE else age


def _sex(cells: Mapping[str, str]) -> str:
    text = cells.get("sex", "").strip()
    if is_missing(text) or text.lower() == "unknown":
        return "unknown"
    if text.lower() not in _SEXES:
        raise ValueError(f"sex is {text!r}, expected female or male (f or m), or nothing where it is not known")
    return _SEXES[text.lower()]


def _label(cells: Mapping[str, str], target: TargetInfo) -> float:
    """The label in a cell, NaN where there is none."""
    text = cells.get(target.name, "").strip().lower()
    if target.kind == "binary" and text in _BOOLEANS:
        return _BOOLEANS[text]
    expected = f"{target.expected}, or nothing where the label is missing"
    value = number(cells, target.name, expected)
    if target.name == "age" and value == _HIDDEN_AGE:
        return math.nan
    if not target.fits(value):
        raise ValueError(f"{target.name} is {cells[target.name]!r}, expected {expected}")
    return value
