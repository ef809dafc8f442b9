"""This module lists the ECGs of a split in a table, and gives the table a digest."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.label_columns import R_PEAKS, label_column, labels_of, targets_in
from ecg_lightning.data.study_splits import SETTINGS
from ecg_lightning.ecg import Target
from ecg_lightning.randomness import keyed_order
from ecg_lightning.storage.hashing import digest_array_rows, digest_settings

_BLOCK: Final = 4096
"""Beats that are hashed at a time (40 MB)."""


def examples_table(
    examples: pd.DataFrame, chosen: NDArray[np.bool_], target: Target, *, labelled: bool
) -> pd.DataFrame:
    """List the ECGs of a split in row order.

    Args:
        examples: Every ECG of a cache.
        chosen: (n,) which of them are in the split.
        target: The diagnosis that labels are of.
        labelled: Leave out those whose label is missing.

    Returns:
        Columns row, ecg_id, patient_id, label, age, sex, source, cache_row; of recordings also their ``r_peaks``.
    """
    label = labels_of(examples, target)
    if labelled:
        chosen = chosen & ~np.isnan(label)
    cache_row = np.flatnonzero(chosen)
    peaks = [R_PEAKS] if R_PEAKS in examples else []
    described = examples[["ecg_id", "patient_id", "age", "sex", "source", *peaks]].iloc[cache_row]
    table = described.assign(label=label[cache_row], cache_row=cache_row).reset_index(drop=True)
    table.insert(0, "row", np.arange(len(table)))
    return table


def population_table(examples: pd.DataFrame, split: NDArray[np.str_], settings: Mapping[str, object]) -> pd.DataFrame:
    """List every ECG of a source: ``ecg_id, patient_id, split, age, sex, source`` and a column of each target.

    Args:
        examples: Every ECG of a cache.
        split: (n,) names of the split.
        settings: What data these are, kept in ``attrs``.
    """
    labels = map(label_column, targets_in(examples))
    table = examples[["ecg_id", "patient_id", "age", "sex", "source", *labels]].reset_index(drop=True)
    table.insert(2, "split", split)
    table.attrs = {SETTINGS: dict(settings)}
    return table


def permute_labels(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Permute the known labels among the ECGs of a table: the prevalence stays, and no label depends on its ECG.

    Args:
        table: A table of ``examples_table``.
        seed: Another one gives another permutation; it depends on the ECGs' ids and not on their order.
    """
    known = np.flatnonzero(table["label"].notna())
    ids = table["ecg_id"].iloc[known]
    taken = known[np.argsort(ids.to_numpy(), kind="stable")]
    given = known[keyed_order(seed, "permuted labels " + ids)]
    labels = table["label"].to_numpy(copy=True)
    labels[given] = table["label"].to_numpy()[taken]
    return table.assign(label=labels)


def digest_examples(cache: BeatCache, table: pd.DataFrame) -> str:
    """Hash the ids and the beats of a table of examples."""
    rows, ids = table["cache_row"].to_numpy(dtype=np.intp), table["ecg_id"].tolist()
    parts = [
        digest_array_rows(cache.read_microvolts(rows[start : start + _BLOCK]), ids[start : start + _BLOCK])
        for start in range(0, len(rows), _BLOCK)
    ]
    return digest_settings({"ecgs": parts})
