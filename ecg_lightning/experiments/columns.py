"""Columns that the tables of several experiments have."""

from typing import Final

from ecg_lightning.storage.table_schema import Column

METHOD: Final = Column("text", "attribution method, or a control")
CONTROL: Final = Column("truth", "whether the method is a control, which knows nothing of the network")
MAP: Final = Column("text", "own, or whose map stands in for the patient's: other_ecg, mean_map", optional=True)
STATISTIC: Final = Column("text", "pearson or spearman")
SIGN: Final = Column("text", "native (shown as signed): maps with their sign; absolute: their magnitudes")
BATCHNORM: Final = Column("text", "what was done to BatchNorms", optional=True)
N_ECGS: Final = Column("whole", "ECGs that have a value", optional=True)
N_PATIENTS: Final = Column("whole", "patients that have a value", optional=True)
N_UNDEFINED: Final = Column("whole", "values that do not exist, because a map is constant or not finite", optional=True)


def interval(quantity: str, unit: str, *, prefix: str = "", optional: bool = False) -> dict[str, Column]:
    """The two ends of an interval; patients are resampled.

    Args:
        quantity: What the interval is of.
        unit: Its unit.
        prefix: Before ``low`` and ``high``.
        optional: Whether a table may lack it.
    """
    return {
        f"{prefix}low": Column("number", f"lower end of the interval of {quantity}", unit, optional),
        f"{prefix}high": Column("number", f"upper end of the interval of {quantity}", unit, optional),
    }


def score_columns(unit: str = "") -> dict[str, Column]:
    """Return the columns that ``score_rows`` gives.

    Args:
        unit: Unit of the score; empty where scores of several units stand in one table.
    """
    return {
        "value": Column("number", "mean over ECGs", unit),
        **interval("value", unit),
        "patient_mean": Column("number", "mean over patients of the means of their ECGs", unit, optional=True),
        "n_ecgs": N_ECGS,
        "n_patients": N_PATIENTS,
        "n_patients_without": Column("whole", "patients without the diagnosis that have a value", optional=True),
        "n_resamples_undefined": Column("whole", "bootstrap resamples in which there is no value", optional=True),
        "n_undefined": N_UNDEFINED,
    }
