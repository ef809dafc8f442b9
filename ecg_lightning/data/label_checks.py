"""Labels with which nothing could be learnt or tested are refused, with what would help."""

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.label_columns import label_column, labels_of, targets_in, two_class_targets
from ecg_lightning.data.splits import MORE, MORE_SIMULATED, Split, SplitRule, split_by_patient
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.ecg import Target

_TRIED_SEEDS: Final = 50

_SMALL_SOURCE: Final = 20_000
"""ECGs up to which other split seeds are tried for an error's remedy."""

_LISTED: Final = 12


class LabelsError(ValueError):
    """An error of a source's labels: too few for the request; the message counts them, and says what to do."""


def check_column(examples: pd.DataFrame, target: Target, folder: object) -> None:
    """Refuse a cache that was made before its source had labels of a target.

    Args:
        examples: Every ECG of the cache.
        target: Of the run.
        folder: The cache's, for the message.

    Raises:
        LabelsError: It has no column of the target.
    """
    if label_column(target) not in examples:
        raise LabelsError(
            f"{folder} has no labels of the target {target}: it was made by an earlier version or before the source "
            "had this target, or no ECG has the label; run `prepare` with the same settings and `--overwrite true`"
        )


def check_labels(label: NDArray[np.floating], split: Split, target: TargetInfo, remedy: Callable[[], str]) -> None:
    """Refuse a split whose labels all agree.

    Args:
        label: (n,) labels, NaN where missing.
        split: Name of the split.
        target: The target that labels are of.
        remedy: Says what would help; asked only where that is needed.

    Raises:
        LabelsError: One class only, or one value only.
    """
    if target.kind == "binary":
        if not np.isin((0, 1), label).all():
            check_both_classes(label, split, target.name, remedy())
        return
    known = label[~np.isnan(label)]
    if len(np.unique(known)) < 2:
        only = f", all {known[0]:g} {target.unit}".rstrip() if len(known) else ""
        raise LabelsError(
            f"target {target.name}: the {split} split has {len(known)} ECGs with a value{only}, and "
            f"{int(np.isnan(label).sum())} where it is missing; two values or more are needed: {MORE}, another "
            "`data.split_seed`, or another target"
        )


def check_both_classes(
    label: NDArray[np.floating],
    split: Split,
    target: Target,
    remedy: str = f"{MORE}, another `data.split_seed`, or another target",
) -> None:
    """Refuse a split without a positive or without a negative ECG.

    Args:
        label: (n,) 1, 0 or NaN where missing.
        split: Name of the split.
        target: The diagnosis that labels are of.
        remedy: What would help, for the message.

    Raises:
        LabelsError: One class only; the message counts both.
    """
    positive, negative = int((label == 1).sum()), int((label == 0).sum())
    if not positive or not negative:
        raise LabelsError(
            f"target {target}: the {split} split has {positive} ECGs with it, {negative} without and "
            f"{int(np.isnan(label).sum())} where the label is missing; both classes are needed: {remedy}"
        )


def class_remedy(examples: pd.DataFrame, rule: SplitRule, target: Target, held_out: int | None = None) -> str:
    """Say what to do where a split of a source has one class only.

    Args:
        examples: Every ECG of the source, with the columns ``source``, ``patient_id`` and the targets.
        rule: How it is split.
        target: The diagnosis that labels are of.
        held_out: Patients in each of validation and test: see ``split_by_patient``.
    """
    label = labels_of(examples, target)
    more = MORE_SIMULATED if examples["source"].eq("synthetic").all() else MORE
    if not np.isin((0, 1), label).all():
        both = two_class_targets(examples)
        never = bool(np.isnan(label).all())  # an archive that nobody looked for it in has no more of them
        if all(np.isnan(labels_of(examples, name)).all() for name in targets_in(examples)):
            return (
                "no ECG of this source has a label of any target, so that nothing can be learnt or tested on them; "
                "take an archive with labels (`predict` needs no labels)"
            )
        nothing = "none of its ECGs has this label" if never else "all of its labelled ECGs agree"
        remedy = "take another target" if never else f"take another target, or {more}"
        return (
            f"{nothing}, whatever the split; {remedy}: this source has both classes of "
            f"{', '.join(both[:_LISTED]) or 'no target'}{', ...' * (len(both) > _LISTED)} (`predict` needs no labels)"
        )
    remedy = f"{more}, another `data.split_seed`, or another target"
    if rule != "patients" or len(examples) > _SMALL_SOURCE:
        return remedy
    seed = seed_with_both_classes(label, examples["patient_id"], held_out)
    return remedy if seed is None else f"{remedy}; `--data.split_seed {seed}` would give every split both"


def seed_with_both_classes(
    label: NDArray[np.floating], patient_id: "pd.Series[str]", held_out: int | None = None
) -> int | None:
    """Find the first split seed under 50 that gives every split both classes, for the remedy of an error.

    Args:
        label: (n,) 1, 0 or NaN where missing.
        patient_id: (n,) patient of each ECG.
        held_out: Patients in each of validation and test: see ``split_by_patient``.
    """
    for seed in range(_TRIED_SEEDS):
        split = split_by_patient(patient_id, seed, held_out)
        if all(np.isin((0, 1), label[split == name]).all() for name in ("train", "validation", "test")):
            return seed
    return None
