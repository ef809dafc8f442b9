"""Train, validation and test ECGs, split by patient (paper, "Model architecture and algorithm development")."""

from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.randomness import keyed_order

Split = Literal["train", "validation", "test"]
SplitRule = Literal["auto", "patients", "folds", "test_only"]

HELD_OUT_PATIENTS: Final = 250
"""Patients in the validation set, and as many in the test set (paper, Table 1)."""

HELD_OUT_SHARE: Final = 0.1
"""Share of the patients in each of the two where 250 would be more than that."""

VALIDATION_FOLD: Final = 9
TEST_FOLD: Final = 10

_SPLITS_OF_STAGE: Final[dict[str, tuple[Split, ...]]] = {
    "fit": ("train", "validation"),
    "validate": ("validation",),
    "test": ("test",),
    "predict": (),  # unlabelled ECGs may be predicted
}

MORE: Final = "take more ECGs"
MORE_SIMULATED: Final = "simulate more patients (`--data.source.init_args.n_patients`)"


def split_examples(examples: pd.DataFrame, rule: SplitRule, seed: int, held_out: int | None = None) -> NDArray[np.str_]:
    """Decide the split of every ECG of a source.

    Args:
        examples: Columns ``patient_id`` and ``fold``.
        rule: ``patients``, and ``auto``: by hashed patient id; ``folds``: the source's own; ``test_only``: every ECG
            is a test ECG, for an archive that only tests networks trained elsewhere.
        seed: Seed of the split by patient.
        held_out: Patients in each of validation and test, by patient; see ``split_by_patient``.

    Returns:
        (n,) names of the split.

    Raises:
        ValueError: As for ``split_by_patient`` and ``split_by_fold``.
    """
    if rule == "test_only":
        return np.full(len(examples), "test", dtype="<U10")
    if rule == "folds":
        return split_by_fold(examples["fold"], examples["patient_id"])
    return split_by_patient(examples["patient_id"], seed, held_out)


def splits_of_stage(stage: str, rule: SplitRule) -> tuple[Split, ...]:
    """Return the splits in which a stage needs both classes.

    Args:
        stage: ``fit``, ``validate``, ``test`` or ``predict``.
        rule: How the source is split.

    Raises:
        ValueError: Another stage, or one that this split has no ECGs for.
    """
    if stage not in _SPLITS_OF_STAGE:
        raise ValueError(f"stage must be one of {', '.join(_SPLITS_OF_STAGE)}; got {stage!r}")
    if rule == "test_only" and stage in ("fit", "validate"):
        raise ValueError(
            "`data.split: test_only` has no training ECGs and no validation ECGs: it is for `test` and `predict` of a "
            f"network that was trained on another source, not for `{stage}`; use `data.split: patients`"
        )
    return _SPLITS_OF_STAGE[stage]


def split_by_patient(patient_id: "pd.Series[str]", seed: int = 0, held_out: int | None = None) -> NDArray[np.str_]:
    """Split so that no patient is in two sets: 250 patients for validation, 250 for test, else train.

    Under 2,500 patients it is 10 % each. A patient's set depends on the seed and on the ids only, not on the
    order of the ECGs nor on the training seed.

    Args:
        patient_id: (n,) patient of each ECG.
        seed: Seed of the split, ``data.split_seed``.
        held_out: Patients in each of the two sets; None: as above.

    Returns:
        (n,) names of the split.

    Raises:
        ValueError: Under 3 patients, or too few to hold out so many.
    """
    patients = pd.Series(patient_id.unique())
    if len(patients) < 3:
        raise ValueError(
            f"a split into train, validation and test needs at least 3 patients, got {len(patients)}: {MORE}, or "
            f"{MORE_SIMULATED}; `data.split: test_only` tests a network that was trained on another source"
        )
    if held_out is None:
        held_out = max(1, min(HELD_OUT_PATIENTS, round(HELD_OUT_SHARE * len(patients))))
    elif not 0 < held_out < len(patients) / 2:
        raise ValueError(
            f"`data.held_out_patients`: expected from 1 to {(len(patients) - 1) // 2} of the {len(patients)} patients "
            f"(as many each for validation and test), got {held_out}"
        )
    order = keyed_order(seed, patients)
    split = np.full(len(patients), "train", dtype="<U10")
    split[order[:held_out]] = "validation"
    split[order[held_out : 2 * held_out]] = "test"
    return pd.Series(split, index=patients).reindex(patient_id).to_numpy(dtype="<U10")


def split_by_fold(fold: "pd.Series[int]", patient_id: "pd.Series[str]") -> NDArray[np.str_]:
    """Split by PTB-XL's own folds: 9 for validation, 10 for test (Wagner et al. 2020).

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
