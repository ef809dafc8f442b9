"""Train, validation and test ECGs, split by patient (paper, "Model architecture and algorithm development")."""

import hashlib
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.ecg import Target

Split = Literal["train", "validation", "test"]
SplitRule = Literal["patients", "folds"]

HELD_OUT_PATIENTS: Final = 250
"""Patients in the validation set, and as many in the test set (paper, Table 1)."""

HELD_OUT_SHARE: Final = 0.1
"""Share of the patients in each of the two where 250 would be more than that."""

VALIDATION_FOLD: Final = 9
TEST_FOLD: Final = 10


_TRIED_SEEDS = 50


def keyed_rank(seed: int, names: "pd.Series[str]") -> NDArray[np.uint64]:
    """A pseudo-random rank of each name: depends on seed and name only, not on what else is in the list.

    Args:
        seed: Another one gives another order.
        names: (n,) identifiers.

    Returns:
        (n,) blake2 hashes.
    """
    key = str(seed).encode()  # blake2's own keyed mode
    digests = (hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in names)
    return np.array([int.from_bytes(digest, "big") for digest in digests], dtype=np.uint64)


def split_by_patient(patient_id: "pd.Series[str]", seed: int = 0) -> NDArray[np.str_]:
    """Split so that no patient is in two sets: 250 patients for validation, 250 for test, else train.

    Under 2,500 patients it is 10 % each. A patient's set depends on the seed and on the ids only, not on the
    order of the ECGs nor on the training seed.

    Args:
        patient_id: (n,) patient of each ECG.
        seed: ``data.split_seed``.

    Returns:
        (n,) names of the split.

    Raises:
        ValueError: Under 3 patients.
    """
    patients = pd.Series(patient_id.unique())
    if len(patients) < 3:
        raise ValueError(f"a split into train, validation and test needs at least 3 patients, got {len(patients)}")
    held_out = max(1, min(HELD_OUT_PATIENTS, round(HELD_OUT_SHARE * len(patients))))
    order = np.argsort(keyed_rank(seed, patients), kind="stable")
    split = np.full(len(patients), "train", dtype="<U10")
    split[order[:held_out]] = "validation"
    split[order[held_out : 2 * held_out]] = "test"
    return pd.Series(split, index=patients).reindex(patient_id).to_numpy(dtype="<U10")


def split_by_fold(fold: "pd.Series[int]", patient_id: "pd.Series[str]") -> NDArray[np.str_]:
    """PTB-XL's own folds: 9 for validation, 10 for test (Wagner et al. 2020).

    Args:
        fold: (n,) fold of each ECG.
        patient_id: (n,) patient of each ECG.

    Returns:
        (n,) names of the split.

    Raises:
        ValueError: The source has no such folds, or a patient is in two sets.
    """
    split = np.full(len(fold), "train", dtype="<U10")
    split[fold.to_numpy() == VALIDATION_FOLD] = "validation"
    split[fold.to_numpy() == TEST_FOLD] = "test"
    if len(np.unique(split)) < 3:
        raise ValueError(
            f"`split: folds` needs ECGs in fold {VALIDATION_FOLD}, in fold {TEST_FOLD} and in others; the source has "
            f"folds {sorted(set(fold))}; use `split: patients`"
        )
    sets_a_patient = pd.Series(split).groupby(patient_id.to_numpy()).nunique()
    shared = sets_a_patient.index[sets_a_patient > 1].tolist()
    if shared:
        raise ValueError(
            f"{len(shared)} patients are in two of the source's folds (first: {shared[0]}); use `split: patients`"
        )
    return split


def check_both_classes(label: NDArray[np.floating], split: Split, target: Target, remedy: str = "") -> None:
    """Refuse a split without a positive or without a negative ECG.

    Args:
        label: (n,) 1, 0 or NaN where missing.
        split: Name of the split.
        target: The diagnosis.
        remedy: What else would help, for the message.

    Raises:
        ValueError: One class only; the message counts both.
    """
    positive, negative = int((label == 1).sum()), int((label == 0).sum())
    if not positive or not negative:
        raise ValueError(
            f"target {target}: the {split} split has {positive} ECGs with it, {negative} without and "
            f"{int(np.isnan(label).sum())} where the label is missing; both classes are needed: take more ECGs, "
            f"another `data.split_seed`, or another target{remedy}"
        )


def seed_with_both_classes(label: NDArray[np.floating], patient_id: "pd.Series[str]") -> int | None:
    """The first split seed under 50 that gives every split both classes, for the remedy of an error.

    Args:
        label: (n,) 1, 0 or NaN where missing.
        patient_id: (n,) patient of each ECG.
    """
    for seed in range(_TRIED_SEEDS):
        split = split_by_patient(patient_id, seed)
        if all(np.isin((0, 1), label[split == name]).all() for name in ("train", "validation", "test")):
            return seed
    return None
