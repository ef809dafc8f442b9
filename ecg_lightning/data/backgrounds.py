"""Reference ECGs of the SHAP methods: training ECGs, which travel with the checkpoint of their network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.splits import keyed_rank


@dataclass(frozen=True, eq=False)
class Backgrounds:
    """Training ECGs of distinct patients, in an order of which any beginning serves as a smaller set.

    Attributes:
        beats: (background, lead, sample) mV, float32 on the CPU.
        ecg_ids: Their ids.
        source: Name of the source that they are from.
    """

    beats: Tensor
    ecg_ids: list[str]
    source: str

    def __len__(self) -> int:
        return len(self.ecg_ids)

    def first(self, n: int) -> "Backgrounds":
        """The first ``n``."""
        return Backgrounds(self.beats[:n], self.ecg_ids[:n], self.source)

    def as_dict(self) -> dict[str, Any]:
        """For a checkpoint: 19 kB an ECG, and nothing that would need unpickling."""
        return {"beats": self.beats.clone(), "ecg_ids": list(self.ecg_ids), "source": self.source}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Backgrounds":
        """From a checkpoint."""
        return cls(content["beats"].cpu(), list(content["ecg_ids"]), content["source"])


def choose_backgrounds(cache: BeatCache, train: pd.DataFrame, n: int, seed: int, source: str) -> Backgrounds:
    """Training ECGs of distinct patients, by hashed id.

    Args:
        cache: The beats.
        train: The training ECGs: columns ``ecg_id``, ``patient_id`` and ``cache_row``.
        n: Wished number.
        seed: Of the choice.
        source: Name of the source.

    Returns:
        ``n`` of them, or fewer where there are fewer patients.
    """
    order = np.argsort(keyed_rank(seed, "background:" + train["ecg_id"]), kind="stable")
    chosen = train.iloc[order].drop_duplicates("patient_id").head(n)
    beats = cache.read_beats(chosen["cache_row"].to_numpy(dtype=np.intp))
    return Backgrounds(torch.from_numpy(beats), chosen["ecg_id"].tolist(), source)


def other_backgrounds(cache: BeatCache, train: pd.DataFrame, first: Backgrounds, seed: int) -> Backgrounds:
    """A second set, of patients that have no ECG in the first.

    Args:
        cache: The beats.
        train: The training ECGs, as for ``choose_backgrounds``.
        first: The first set.
        seed: Of the choice.

    Returns:
        As many as in the first, or fewer where there are fewer patients; none where the training ECGs are of another
        source than the first set.
    """
    used = train["patient_id"][train["ecg_id"].isin(first.ecg_ids)]
    if len(used) < len(first):
        train = train.head(0)
    return choose_backgrounds(cache, train[~train["patient_id"].isin(used)], len(first), seed, first.source)


def enough_backgrounds(
    kept: Backgrounds | None, own_source: str | None, choose: Callable[[], Backgrounds], n: int, target: str
) -> Backgrounds:
    """The reference ECGs of a test: the checkpoint's where it kept enough, else those of the training set at hand.

    Args:
        kept: The checkpoint's; None where it has none.
        own_source: Name of the source at hand; None where it has no training ECGs.
        choose: Gives those of the training set at hand.
        n: How many are needed.
        target: The diagnosis, for the message.

    Raises:
        ValueError: Fewer than ``n``, or those at hand are of another source than the network's.
    """
    if kept is not None and len(kept) >= n:
        return kept.first(n)
    asked = f"{n} backgrounds of distinct patients were asked for, "
    if own_source is None or (kept is not None and kept.source != own_source):
        raise ValueError(
            f"{asked}the checkpoint keeps {len(kept or [])}, and these ECGs are not the network's training data: "
            + ("lower `data.n_backgrounds`, " if kept else "")
            + "train it again with more, or leave out the methods that need them (gradient_shap, deeplift_shap)"
        )
    found = choose()
    if len(found) < n:
        raise ValueError(
            f"{asked}the training set has {len(found)} patients with a label for {target}; lower `data.n_backgrounds`"
        )
    return found
