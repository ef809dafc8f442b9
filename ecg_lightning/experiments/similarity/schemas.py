"""The tables of experiment 1."""

from typing import Final

from ecg_lightning.experiments.columns import (
    CONTROL,
    MAP,
    METHOD,
    N_ECGS,
    N_UNDEFINED,
    SIGN,
    STATISTIC,
    interval,
    score_columns,
)
from ecg_lightning.storage.table_schema import Column, TableSchema

SIMILARITY_PAIRS: Final = TableSchema(
    "similarity",
    {
        "statistic": STATISTIC,
        "scope": Column("text", "ecg: over all points; lead: mean over leads"),
        "sign": SIGN,
        "method": METHOD,
        "other_method": Column("text", "the method that it is compared with"),
        "correlation_mean": Column("number", "mean over ECGs", "correlation"),
        **interval("correlation_mean", "correlation", prefix="correlation_"),
        "correlation_sd": Column("number", "standard deviation over ECGs", "correlation"),
        "n_ecgs": N_ECGS,
        "n_undefined": N_UNDEFINED,
        "confidence": Column("number", "confidence level of the interval", optional=True),
        "disattenuated_median": Column("number", "median without Monte-Carlo noise", "correlation", optional=True),
    },
)

SIMILARITY_CONTROLS: Final = TableSchema(
    "similarity_controls",
    {
        "statistic": STATISTIC,
        "sign": SIGN,
        "method": METHOD,
        "control": CONTROL,
        "map": MAP,
        **score_columns("correlation"),
    },
)
