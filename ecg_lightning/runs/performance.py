"""How well the networks of a study read the test ECGs."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from ecg_lightning.runs.run import Run
from ecg_lightning.runs.study_runs import StudyRuns

METRICS: Final = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "precision": "Precision",
    "recall": "Recall",
    "specificity": "Specificity",
    "accuracy": "Accuracy",
    "f1": "F1",
    "f1_micro": "Micro F1",
}
"""Of ``metrics.json``, in the order of the paper's Table S2."""

METRICS_OF_MEASUREMENT: Final = {
    "r2": "R2",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "pearson": "Pearson's r",
    "spearman": "Spearman's r",
}
"""Of the ``metrics.json`` of a measurement; the errors are in the target's unit."""


def performance_table(runs: StudyRuns) -> pd.DataFrame:
    """One row a network: ``target, seed``, each metric with ``_low`` and ``_high``, counts and threshold.

    Networks of a measurement have other metrics and a ``unit``, and neither positive ECGs nor a threshold.
    """
    return pd.DataFrame([_performance(run) for run in runs if run.paths.metrics.is_file()])


def _performance(run: Run) -> dict[str, Any]:
    metrics = run.metrics
    row: dict[str, Any] = {"target": run.target, "seed": run.seed}
    binary = "auroc" in metrics
    for name in METRICS if binary else METRICS_OF_MEASUREMENT:
        found: Mapping[str, float] = metrics.get(name, {})
        row |= {name: found.get("value", np.nan)}
        row |= {f"{name}_{side}": found.get(side, np.nan) for side in ("low", "high")}
    row |= {"threshold": metrics["threshold"]["value"]} if binary else {"unit": metrics["unit"]}
    counts = ("n_ecgs", "n_patients", *(("n_positive",) if binary else ()), "n_label_missing")
    return row | {name: metrics[name] for name in counts}
