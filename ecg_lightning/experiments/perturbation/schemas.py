"""The tables of experiment 4."""

from typing import Final

from ecg_lightning.experiments.columns import CONTROL, MAP, METHOD, N_ECGS, N_PATIENTS, interval
from ecg_lightning.storage.table_schema import Column, TableSchema

_KIND: Final = Column("text", "unit and replacement, such as block50_linear_none", optional=True)
_METRIC: Final = Column("text", "score of the network on the perturbed ECGs")
_WITH: Final = Column("whole", "patients with the diagnosis", optional=True)
_UNDEFINED: Final = Column("whole", "bootstrap resamples in which there is no value", optional=True)

PERTURBATION_CURVES: Final = TableSchema(
    "perturbation",
    {
        "kind": _KIND,
        "map": MAP,
        "order": Column("text", "morf: the most relevant first; lerf: the least relevant first"),
        "method": METHOD,
        "control": CONTROL,
        "step": Column("whole", "number of the step; 0 is the untouched ECG"),
        "fraction": Column("number", "share of the points that are replaced", "1"),
        "metric": _METRIC,
        "value": Column("number", "value of the metric"),
        **interval("value", ""),
        "undefined": _UNDEFINED,
        "n_ecgs": N_ECGS,
        "n_patients": N_PATIENTS,
        "n_patients_with": _WITH,
    },
)

PERTURBATION_SUMMARY: Final = TableSchema(
    "perturbation_summary",
    {
        "kind": _KIND,
        "map": MAP,
        "method": METHOD,
        "control": CONTROL,
        "metric": _METRIC,
        "area_over_curve": Column("number", "mean fall of the metric, the most relevant first", optional=True),
        **interval("area_over_curve", "", prefix="area_over_curve_", optional=True),
        "area_over_curve_undefined": _UNDEFINED,
        "abpc": Column("number", "area between the curves, the least less the most relevant first", optional=True),
        **interval("abpc", "", prefix="abpc_", optional=True),
        "abpc_undefined": _UNDEFINED,
        "n_ecgs": N_ECGS,
        "n_patients": N_PATIENTS,
        "n_patients_with": _WITH,
    },
)
