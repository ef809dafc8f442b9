"""A table has the columns that its experiment declares."""

from pathlib import Path

import pandas as pd
import pytest

from ecg_lightning.storage.table_schema import Column, TableSchema

SCHEMA = TableSchema(
    "scores",
    {
        "method": Column("text", "method"),
        "control": Column("truth", "whether it is a control"),
        "n_ecgs": Column("whole", "ECGs", optional=True),
        "value": Column("number", "mean", "mV"),
    },
)
GOOD = pd.DataFrame({"method": ["a", "b"], "control": [False, True], "n_ecgs": [3, 4], "value": [0.5, float("nan")]})


def test_what_was_declared_passes() -> None:
    SCHEMA.check_written(GOOD)
    SCHEMA.check_read(GOOD.astype({"method": object, "n_ecgs": "Int64"}), Path("x"), "do it again")
    SCHEMA.check_read(GOOD.drop(columns="n_ecgs"), Path("x"), "do it again")  # of an earlier version, or not measured
    SCHEMA.check_read(GOOD.assign(extra=1), Path("x"), "do it again")  # of a later one
    SCHEMA.check_written(GOOD.drop(columns="n_ecgs"))
    SCHEMA.check_written(GOOD.iloc[:0])
    SCHEMA.check_read(GOOD.assign(value=None), Path("x"), "do it again")


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (GOOD.drop(columns="value"), "it lacks the column value"),
        (GOOD.assign(extra=1), "extra is not declared"),
        (GOOD.assign(value=["1", "2"]), "column value is of type .*, expected number"),
        (GOOD.assign(n_ecgs=[0.5, 1.0]), "column n_ecgs is of type float64, expected whole"),
        (GOOD.assign(control=[0, 1]), "column control is of type int64, expected truth"),
        (GOOD.assign(method=[1, 2]), "column method is of type int64, expected text"),
    ],
)
def test_a_table_of_other_columns_is_not_written(frame: pd.DataFrame, words: str) -> None:
    with pytest.raises(ValueError, match=f"table scores: .*{words}"):
        SCHEMA.check_written(frame)


def test_a_table_on_disk_is_named_with_the_remedy() -> None:
    frame = GOOD.drop(columns="value").assign(method=[1, 2])
    with pytest.raises(
        ValueError, match=r"runs/scores\.parquet: it lacks the column value; column method .*; test again"
    ):
        SCHEMA.check_read(frame, Path("runs/scores.parquet"), "test again")
