"""What the tables of several experiments have in common."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from recomputed.stores import Array, RunFiles, Store

CONTROLS = ("random", "smoothed_random", "absolute_input", "absolute_slope")
"""Maps that know no network; they go through the audits as if they were methods."""


def mean(values: Array, axis: int = 0) -> Array:
    """Without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=axis) / known.sum(axis=axis)


def sd(values: Array) -> float:
    """Of what is not NaN, n - 1; NaN for fewer than two."""
    known = values[np.isfinite(values)]
    return float(known.std(ddof=1)) if len(known) > 1 else np.nan


def median(values: Array) -> float:
    """Without NaN."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


def patient_means(values: Array, patients: np.ndarray) -> pd.DataFrame:
    """Mean of each patient's ECGs, a row a patient; NaN is left out."""
    return pd.DataFrame(values.reshape(len(values), -1)).groupby(np.asarray(patients)).mean()


def described(values: Array, examples: pd.DataFrame) -> dict:
    """Of one score an ECG: means over ECGs and over patients, and how many patients have a score."""
    known = examples[np.isfinite(values)]
    have_it = set(examples["patient_id"][examples["label"] == 1])
    patients = set(known["patient_id"])
    return {
        "value": float(mean(values)),
        "patient_mean": float(mean(patient_means(values, examples["patient_id"].to_numpy()).to_numpy()[:, 0])),
        "n_ecgs": len(known),
        "n_patients": len(patients & have_it),
        "n_patients_without": len(patients - have_it),
    }


def own_and_others(run: RunFiles, folder: str, name: str) -> Iterator[tuple[str, Store, Array]]:
    """Of ``<folder>/<name>`` and ``<folder>/controls/<name>``: map, store, and values without the axis ``control``.

    What stands in for a map counts where the own map has a value.
    """
    own = run.store(f"{folder}/{name}")
    yield "own", own, own.values
    if run.has(f"{folder}/controls/{name}"):
        others = run.store(f"{folder}/controls/{name}")
        axis = others.dims.index("control")
        for place, control in enumerate(others.coords["control"]):
            yield control, others, np.take(others.values, place, axis=axis)
