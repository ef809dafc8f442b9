"""The table of the localisation of known evidence."""

from typing import Final

from ecg_lightning.experiments.columns import CONTROL, MAP, METHOD, score_columns
from ecg_lightning.storage.table_schema import Column, TableSchema

LOCALIZATION_SCORES: Final = TableSchema(
    "localization",
    {
        "score": Column("text", "auroc, relevance_mass, relevance_rank_accuracy or pointing_game"),
        "region": Column("text", "causal or core evidence, or a wave"),
        "method": METHOD,
        "control": CONTROL,
        "map": MAP,
        **score_columns(),
        "chance": Column("number", "what a random map has", optional=True),
    },
)
