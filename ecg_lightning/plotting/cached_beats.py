"""This module reads beats, recordings and masks for pictures from a cache."""

from collections.abc import Collection
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.label_columns import label_column, labels_of, targets_in
from ecg_lightning.data.targets import PAPER_TARGETS, known_info, nearest
from ecg_lightning.ecg import Target
from ecg_lightning.plotting.class_beat import ClassBeat
from ecg_lightning.plotting.class_words import class_short
from ecg_lightning.randomness import keyed_order

EVIDENCE: Final = ("causal", "core")
WAVES: Final = ("P", "QRS", "T")


def choose_rows(
    examples: pd.DataFrame,
    target: Target,
    n: int,
    *,
    present: bool = True,
    without: Collection[str] = (),
    seed: int = 0,
) -> list[int]:
    """Choose ECGs with or without a diagnosis, of distinct patients, by hashed id.

    An ECG's rank depends on the seed, the target and its id only: more ECGs in the table replace few of the chosen.

    Args:
        examples: ECGs as in ``BeatCache.examples``, indexed by their rows in the cache.
        target: The diagnosis; ECGs whose label is missing are never chosen.
        n: Number of ECGs; fewer where there are not as many patients.
        present: Whether they have the diagnosis; of a measurement, whether they are in the highest or lowest third.
        without: Patients that are left out.
        seed: Another one chooses others.

    Returns:
        Rows in the cache.

    Raises:
        ValueError: ``n`` is not positive, or there is no such target.
    """
    if n < 1:
        raise ValueError(f"expected to choose at least 1 ECG, got n = {n}")
    if label_column(target) not in examples:
        raise ValueError(f"no such target among these ECGs: {target!r}; {nearest(target, targets_in(examples))}")
    has = _in_group(labels_of(examples, target), target, present=present)
    known = examples[has & ~examples["patient_id"].isin(list(without)).to_numpy()]
    order = keyed_order(seed, f"picture:{target}:" + known["ecg_id"])
    return [int(row) for row in known.iloc[order].drop_duplicates("patient_id").head(n).index]


def group_words(target: Target) -> tuple[str, str]:
    """Head the ECGs that are ``present``, and the others."""
    if known_info(target).kind == "regression":
        return "highest third of the values", "lowest third"
    return "with the diagnosis", "without it"


def _in_group(label: NDArray[np.float32], target: Target, *, present: bool) -> NDArray[np.bool_]:
    """(n,) the ECGs with the diagnosis or without, or in the highest or lowest third of a measurement."""
    if known_info(target).kind == "binary":
        return np.asarray(label == float(present))
    if np.isnan(label).all():
        return np.zeros(len(label), dtype=np.bool_)
    low, high = np.nanquantile(label, (1 / 3, 2 / 3))
    return np.asarray(label >= high if present else label <= low)


def _labels(one: pd.DataFrame, target: Target) -> list[str]:
    """Name the diagnoses of the table's only ECG, and the value of a measurement that is explained."""
    info = known_info(target)
    diagnoses = [name for name in dict.fromkeys((*PAPER_TARGETS, target)) if known_info(name).kind == "binary"]
    found = [class_short(name) for name in diagnoses if labels_of(one, name)[0] == 1]
    if info.kind == "regression" and np.isfinite(value := labels_of(one, target)[0]):
        found.append(f"{info.short_title} {value:.3g} {info.unit}".rstrip())
    return found


def mask_of(cache: BeatCache, row: int, region: str) -> NDArray[np.bool_] | None:
    """Read the mask of one ECG.

    Args:
        cache: The cache that holds the mask.
        row: Row in the cache.
        region: Such as ``causal/sinus_rhythm`` or ``QRS``.

    Returns:
        (lead, sample), or None where it is not known for this ECG.
    """
    if region not in cache.regions:
        return None
    packed, present = cache.masks(region)
    if not present[row]:
        return None
    return np.unpackbits(packed[row], axis=-1, count=cache.signal_format.samples).astype(np.bool_)


def has_evidence(cache: BeatCache, target: Target) -> bool:
    """Return whether the cache knows the evidence of a target for any ECG."""
    return any(f"{kind}/{target}" in cache.regions for kind in EVIDENCE)


def class_beat(cache: BeatCache, row: int, target: Target, name: str, *, waves: bool = True) -> ClassBeat:
    """Read one ECG as an example of a target: with its evidence where known, else with waves where known.

    Args:
        cache: The cache that holds the beat.
        row: Row in the cache.
        target: The diagnosis whose evidence is drawn.
        name: What the ECG is called in the picture.
        waves: False leaves the waves out, for a sheet on which other beats show evidence.
    """
    one = cache.examples.iloc[[row]]
    example = one.iloc[0]
    masks = {kind: mask_of(cache, row, f"{kind}/{target}") for kind in EVIDENCE}
    if waves and all(mask is None for mask in masks.values()):
        masks = {wave: mask_of(cache, row, wave) for wave in WAVES}
    return ClassBeat(
        beat=cache.read_beats(np.array([row]))[0],
        source=str(example["source"]),
        name=name,
        heart_rate=float(example["heart_rate"]),
        labels=_labels(one, target),
        regions={name: mask for name, mask in masks.items() if mask is not None},
        signal_format=cache.signal_format,
    )
