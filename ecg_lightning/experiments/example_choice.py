"""The choice of the ECGs that an expensive audit measures, where it may not measure all."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.attribution.seeding import RandomKey


def balanced_choice(
    ecg_ids: Sequence[str],
    label: NDArray[np.float64],
    at_most: int | None,
    patient_ids: Sequence[str] | None = None,
) -> NDArray[np.bool_]:
    """Choose ECGs by a hash of their ids, as many with as without the diagnosis where there are.

    A second ECG of a patient comes after the first ECGs of all others of its kind: what an audit can decide depends on
    the number of patients.

    Args:
        ecg_ids: (n,).
        label: (n,) 1, 0 or NaN; those without a label come last. All ECGs with a value of a measurement are of a kind.
        at_most: How many; None: all.
        patient_ids: (n,) whose ECG it is; None: each is a patient's only one.

    Returns:
        (n,) which are chosen; the same ECGs whatever their order, and a smaller choice is part of a larger one.
    """
    chosen = np.ones(len(ecg_ids), dtype=np.bool_)
    if at_most is None or at_most >= len(ecg_ids):
        return chosen
    keys = [RandomKey(ecg_id=str(one), purpose="choice").seed for one in ecg_ids]
    patients = list(ecg_ids if patient_ids is None else patient_ids)
    kinds = label if np.isin(label[~np.isnan(label)], (0, 1)).all() else np.where(np.isnan(label), np.nan, 1.0)
    table = pd.DataFrame({"label": kinds, "patient": patients, "key": keys}).sort_values("key", kind="stable")
    table["repeat"] = table.groupby(["label", "patient"], dropna=False).cumcount()
    table = table.sort_values(["repeat", "key"], kind="stable")
    table["order"] = table.groupby("label", dropna=False).cumcount()
    # one with the diagnosis, one without, and so on
    table = table.assign(unlabelled=table["label"].isna(), without=-table["label"])
    table = table.sort_values(["unlabelled", "order", "without"], kind="stable")
    chosen[:] = False
    chosen[table.index[:at_most]] = True
    return chosen


def patients_choice(
    ecg_ids: Sequence[str], label: NDArray[np.float64], at_most: int | None, patient_ids: Sequence[str]
) -> NDArray[np.bool_]:
    """Choose as :func:`balanced_choice`, but no patient twice before every patient stands once.

    For audits in which patients of any label count: where few patients have the diagnosis, a balanced choice would take
    several ECGs of each of them and leave others out.

    Args:
        ecg_ids: (n,).
        label: (n,) 1, 0 or NaN.
        at_most: How many; None: all.
        patient_ids: (n,) whose ECG it is; of a patient one with the diagnosis comes first.

    Returns:
        (n,) which are chosen; the same ECGs whatever their order.
    """
    ids = np.asarray(ecg_ids)
    if at_most is None or at_most >= len(ids):
        return np.ones(len(ids), dtype=np.bool_)
    keys = [RandomKey(ecg_id=str(one), purpose="choice").seed for one in ids]
    without = -label if np.isin(label[~np.isnan(label)], (0, 1)).all() else np.isnan(label)
    table = pd.DataFrame({"patient": list(patient_ids), "without": without, "key": keys})
    ordered = table.sort_values(["without", "key"], kind="stable", na_position="last")
    first = ~ordered["patient"].duplicated().sort_index().to_numpy()
    chosen = np.zeros(len(ids), dtype=np.bool_)
    chosen[first] = balanced_choice(ids[first].tolist(), label[first], at_most)
    if at_most > first.sum():
        chosen[~first] = balanced_choice(ids[~first].tolist(), label[~first], at_most - int(first.sum()))
    return chosen
