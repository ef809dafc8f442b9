"""The tables of experiment 3."""

from typing import Final

from ecg_lightning.experiments.columns import (
    BATCHNORM,
    CONTROL,
    METHOD,
    N_ECGS,
    N_PATIENTS,
    N_UNDEFINED,
    SIGN,
    STATISTIC,
    interval,
)
from ecg_lightning.storage.table_schema import Column, TableSchema

_DIRECTION: Final = Column("text", "from_output, from_input or independent")
_LAYER: Final = Column("text", "layer that this depth has randomised beside those of the depth before it")
_DEPTH: Final = Column("whole", "how many layers are randomised")

CASCADE: Final = TableSchema(
    "cascade",
    {
        "direction": _DIRECTION,
        "smooth": Column("truth", "whether maps are averaged over noisy copies of the ECG before they are compared"),
        "statistic": STATISTIC,
        "sign": SIGN,
        "method": METHOD,
        "control": CONTROL,
        "depth": _DEPTH,
        "complete": Column("truth", "whether the deepest depth randomises every layer"),
        "batchnorm": BATCHNORM,
        "layer": _LAYER,
        "similarity": Column("number", "mean correlation with the trained network's map", "correlation"),
        **interval("similarity", "correlation"),
        "n_ecgs": N_ECGS,
        "n_patients": N_PATIENTS,
        "n_undefined": N_UNDEFINED,
        "ceiling": Column(
            "number", "median reliability of a stochastic method's trained maps", "correlation", optional=True
        ),
    },
)

CASCADE_NETWORK: Final = TableSchema(
    "cascade_network",
    {
        "direction": _DIRECTION,
        "depth": _DEPTH,
        "layer": _LAYER,
        "auroc": Column("number", "AUROC of the partly random network", "AUROC", optional=True),
        "r2": Column("number", "R2 of it, where a measurement is explained", "1", optional=True),
        **interval("the score", ""),
    },
)

RANDOM_NETWORKS: Final = TableSchema(
    "random_networks",
    {
        "batchnorm": BATCHNORM,
        "quantity": Column("text", "signed, magnitude, partial (given |ECG| and |slope|), between, other_ecg"),
        "method": METHOD,
        "control": CONTROL,
        "mean": Column("number", "mean correlation with the trained network's map", "correlation"),
        **interval("mean", "correlation"),
        "sd_draws": Column("number", "standard deviation over the draws of the weights", "correlation"),
        "mean_abs": Column("number", "mean magnitude of the correlation", "correlation"),
        "n_networks": Column("whole", "trained networks"),
        "n_draws": Column("whole", "random networks of each"),
        "n_ecgs": N_ECGS,
        "n_patients": N_PATIENTS,
        "n_undefined": N_UNDEFINED,
    },
)
