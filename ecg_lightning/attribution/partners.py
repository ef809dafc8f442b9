"""The partner of a patient is another one of the same predicted class, whose map stands in for the own one.

Of a measurement it is the patient with the nearest prediction.

A map of somebody else is as noisy and as plausible as one's own; a method whose map of another patient does as well
says nothing about this patient.
"""

from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.attribution.seeding import RandomKey

PatientControl = Literal["other_ecg", "mean_map"]
"""Maps of other patients that stand in for a patient's own."""

PATIENT_CONTROLS: Final[tuple[PatientControl, ...]] = get_args(PatientControl)


def partners(
    patient_ids: ArrayLike,
    predicted: ArrayLike,
    attribution_seed: int,
    count: int = 5,
    ecg_ids: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Choose for every ECG those of other patients with the same predicted class, by keyed cyclic derangements.

    Within a class the patients stand in a circle, in the order of a hash of seed and id; the k-th partner of a patient
    is the one k + 1 steps on. So nobody is their own partner, everybody is somebody's, and a patient's partners are
    distinct. The ECGs of a patient take those of the partner in turn.

    Args:
        patient_ids: Patient of each ECG, (n,).
        predicted: (n,) class of each ECG, 0 or 1; NaN where it is unknown.
        attribution_seed: Another seed gives other partners.
        count: Partners an ECG.
        ecg_ids: (n,) by which a patient's ECGs are ordered, so that partners don't depend on the order of the rows;
            None: a patient's ECGs stand in the order of their rows.

    Returns:
        (n, count) rows; -1 where the class has no further patient.

    Raises:
        ValueError: Shapes that do not agree, or no partner requested.
    """
    patients, classes, names = _checked(patient_ids, predicted, ecg_ids, count)
    partner_rows = np.full((len(patients), count), -1, dtype=np.int64)
    for predicted_class in np.unique(classes[~np.isnan(classes)]):
        rows = np.flatnonzero(classes == predicted_class)
        rows = rows[np.lexsort((names[rows], patients[rows]))]
        _pair(rows, patients[rows], attribution_seed, partner_rows)
    return partner_rows


def nearest_partners(
    patient_ids: ArrayLike, predicted: ArrayLike, count: int = 5, ecg_ids: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Choose for every ECG those of other patients with the nearest predictions, each patient once.

    Args:
        patient_ids: Patient of each ECG, (n,).
        predicted: (n,) predicted measurement of each ECG; NaN where it is unknown.
        count: Partners an ECG.
        ecg_ids: (n,) by which equal predictions are ordered, so that partners don't depend on the order of the rows;
            None: by their rows.

    Returns:
        (n, count) rows, the nearest first; -1 where there is no further patient.

    Raises:
        ValueError: Shapes that do not agree, or no partner requested.
    """
    patients, values, names = _checked(patient_ids, predicted, ecg_ids, count)
    partner_rows = np.full((len(patients), count), -1, dtype=np.int64)
    known = np.flatnonzero(np.isfinite(values))
    ranked = known[np.lexsort((names[known], values[known]))]
    codes = np.unique(patients, return_inverse=True)[1]
    for place, row in enumerate(ranked):
        near = _walk_outwards(ranked, place, values, codes, count)
        partner_rows[row, : len(near)] = near
    return partner_rows


def _checked(
    patient_ids: ArrayLike, predicted: ArrayLike, ecg_ids: ArrayLike | None, count: int
) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[Any]]:
    """(n,) patients, predictions, and what orders the ECGs of a patient."""
    patients, values = np.asarray(patient_ids).astype(str), np.asarray(predicted, dtype=np.float64)
    names = np.arange(len(patients)) if ecg_ids is None else np.asarray(ecg_ids).astype(str)
    if patients.ndim != 1 or values.shape != patients.shape or names.shape != patients.shape or count < 1:
        raise ValueError(
            "expected patient ids, predictions and ECG ids of the same ECGs (n,) and a count of 1 or more; got "
            f"{patients.shape}, {values.shape}, {names.shape} and {count}"
        )
    return patients, values, names


def _walk_outwards(
    ranked: NDArray[np.intp], place: int, values: NDArray[np.float64], codes: NDArray[np.intp], count: int
) -> list[int]:
    """Rows of the nearest other patients, from a place in the rising order of predictions on."""
    own = ranked[place]
    low, high = place - 1, place + 1
    found: list[int] = []
    met = {int(codes[own])}
    while len(found) < count and (low >= 0 or high < len(ranked)):
        below = values[own] - values[ranked[low]] if low >= 0 else np.inf
        above = values[ranked[high]] - values[own] if high < len(ranked) else np.inf
        row = int(ranked[low] if below <= above else ranked[high])
        low, high = (low - 1, high) if below <= above else (low, high + 1)
        if int(codes[row]) not in met:
            met.add(int(codes[row]))
            found.append(row)
    return found


def _pair(rows: NDArray[np.intp], patients: NDArray[np.str_], seed: int, partner_rows: NDArray[np.int64]) -> None:
    """Fill in the partners of one class, whose rows stand patient by patient."""
    ids, first, size = np.unique(patients, return_index=True, return_counts=True)
    keys = [RandomKey(seed, ecg_id=str(patient), purpose="partner").seed for patient in ids]
    circle = np.argsort(keys, kind="stable")  # ids are sorted: equal hashes fall back on them
    position = np.empty(len(ids), dtype=np.int64)
    position[circle] = np.arange(len(ids))
    patient = np.repeat(np.arange(len(ids)), size)
    turn = np.arange(len(rows)) - first[patient]  # which of the patient's ECGs
    for step in range(min(partner_rows.shape[1], len(ids) - 1)):
        partner = circle[(position[patient] + step + 1) % len(ids)]
        partner_rows[rows, step] = rows[first[partner] + turn % size[partner]]
