"""This module tests weighted sums of AUROCs of the same ECGs, such as the difference of two areas under curves.

The variance is that of DeLong (Biometrics 1988;44:837-845): how far each ECG's placement among the ECGs of the other
class lies from the mean. A patient's placements are added up first, so that patients are the unit and one who has ECGs
with and without the diagnosis retains the covariance of both (Obuchowski, Biometrics 1997;53:567-578).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ecg_lightning.statistics.effect import Effect, effect_of


def auroc_effect(logits: ArrayLike, weights: ArrayLike, label: ArrayLike, patient_ids: ArrayLike) -> Effect:
    """Sum weighted AUROCs over patients and seeds.

    Args:
        logits: (seed, ecg, term) what each AUROC ranks. An ECG that a seed or a term has no value (NaN) of is left
            out.
        weights: (term,) of each AUROC: those of a curve's area are its quadrature, and a difference's second half is
            negative.
        label: (ecg,) 1, 0 or NaN; ECGs without a label are left out.
        patient_ids: Patient of each ECG, (ecg,).

    Returns:
        One effect (shape ``()``). ``n_left_out`` counts the patients that lost an ECG. The estimate is NaN where the
        ECGs that count are of one class; the variance is NaN where fewer than two patients have, or fewer than two
        lack, the diagnosis.

    Raises:
        ValueError: Shapes that do not agree, or labels that are none of 1, 0 and NaN.

    Example:
        >>> logits = [[[2.0], [1.5], [0.2], [0.1]]]  # one seed, four ECGs, one curve point
        >>> effect = auroc_effect(logits, [1.0], [1, 1, 0, 0], ["anna", "ben", "carl", "dora"])
        >>> float(effect.estimate)
        1.0
    """
    table, weight, labels, ids = _checked(logits, weights, label, patient_ids)
    complete = np.isfinite(table).all(axis=(0, 2)) & np.isfinite(labels)
    n_left_out = len(np.unique(ids[~complete]))
    patients, codes = np.unique(ids[complete], return_inverse=True)
    positive, seeds = labels[complete] == 1, len(table)
    if positive.all() or not positive.any():
        return _unknown(np.nan, len(patients), n_left_out, seeds)
    placements = _placements(table[:, complete], positive) @ weight  # (seed, ecg)
    of_seeds = placements[:, positive].mean(axis=1)
    deviation = placements.mean(axis=0) - of_seeds.mean()
    members, added = (_added_up(values, positive, codes) for values in (np.ones(len(codes)), deviation))
    if (np.count_nonzero(members, axis=1) < 2).any():
        return _unknown(float(of_seeds.mean()), len(patients), n_left_out, seeds)
    parts, df, third = _over_patients(members, added)
    return effect_of(
        of_seeds.mean(),
        variances=[*parts, of_seeds.var(ddof=1) / seeds if seeds > 1 else 0.0],
        df=[*df, seeds - 1],
        third_moment=third,
        size=np.abs(weight).sum(),
        n_patients=len(patients),
        n_left_out=n_left_out,
        n_seeds=seeds,
    )


def _added_up(values: NDArray[np.float64], positive: NDArray[np.bool_], codes: NDArray[np.intp]) -> NDArray[np.float64]:
    """(class, patient) sums over the patients' ECGs with the diagnosis, and over those without it."""
    total = np.zeros((2, codes.max() + 1))
    np.add.at(total, (np.where(positive, 0, 1), codes), values)
    return total


def _over_patients(members: NDArray[np.float64], added: NDArray[np.float64]) -> tuple[list[float], list[int], float]:
    """Variance over the patients that have, lack, or have and lack the diagnosis; its df; and the third moment.

    Args:
        members: (class, patient) ECGs.
        added: (class, patient) their deviations from the mean placement.
    """
    contributions = added / members.sum(axis=1, keepdims=True)
    n_patients = np.count_nonzero(members, axis=1)
    unbiased = np.sqrt(n_patients / (n_patients - 1)) @ contributions  # (patient,)
    has, lacks = members > 0
    groups = (has & ~lacks, lacks & ~has, has & lacks)
    variances = [float((unbiased[group] ** 2).sum()) for group in groups]
    return variances, [int(group.sum()) - 1 for group in groups], float((contributions.sum(axis=0) ** 3).sum())


def _placements(logits: NDArray[np.float64], positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the other class that an ECG is on the right side of, ties counting one half.

    From ranks: an ECG's rank among all less its rank within its class is the number of the other class below it.

    Args:
        logits: (seed, ecg, term).
        positive: Whether each ECG has the diagnosis, (ecg,).

    Returns:
        (seed, ecg, term).
    """
    below = stats.rankdata(logits, axis=1)
    for kind in (positive, ~positive):
        below[:, kind] -= stats.rankdata(logits[:, kind], axis=1)
    placements = np.empty_like(below)
    placements[:, positive] = below[:, positive] / (~positive).sum()
    placements[:, ~positive] = 1 - below[:, ~positive] / positive.sum()
    return placements


def _unknown(estimate: float, n_patients: int, n_left_out: int, seeds: int) -> Effect:
    nan = np.array(np.nan)
    return Effect(np.array(estimate), nan, nan, nan, np.array(n_patients), np.array(n_left_out), seeds)


def _checked(
    logits: ArrayLike, weights: ArrayLike, label: ArrayLike, patient_ids: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.generic]]:
    table, weight = np.asarray(logits, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    labels, ids = np.asarray(label, dtype=np.float64), np.asarray(patient_ids)
    fits = (
        table.ndim == 3
        and len(table)
        and (labels.shape, ids.shape, weight.shape)
        == (
            table.shape[1:2],
            table.shape[1:2],
            table.shape[2:],
        )
    )
    if not fits:
        raise ValueError(
            "expected logits (seed, ecg, term) of one seed or more, weights (term,), labels and patient ids (ecg,); "
            f"got {table.shape}, {weight.shape}, {labels.shape} and {ids.shape}"
        )
    if not np.isin(labels[~np.isnan(labels)], (0, 1)).all():
        raise ValueError(f"expected labels 1, 0 or NaN, got {np.unique(labels)}")
    return table, weight, labels, ids
