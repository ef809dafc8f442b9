"""The table of the scores of single maps."""

from typing import Final

from ecg_lightning.experiments.columns import CONTROL, MAP, METHOD, score_columns
from ecg_lightning.storage.table_schema import Column, TableSchema

SCORES: Final = TableSchema(
    "scores",
    {
        "score": Column("text", "infidelity, max_sensitivity, sparseness or complexity"),
        "method": METHOD,
        "control": CONTROL,
        "map": MAP,
        **score_columns(),
        "median": Column("number", "median over ECGs", optional=True),
    },
)
