"""Reference ECGs of the SHAP methods: training ECGs, which travel with the checkpoint of their network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.randomness import keyed_order
from ecg_lightning.storage.hashing import digest_bytes

_ROWS_AT_ONCE: Final = 1024  # 20 MB of beats


@dataclass(frozen=True, eq=False)
class Backgrounds:
    """Training ECGs of distinct patients, in an order of which any beginning serves as a smaller set.

    Attributes:
        beats: (background, lead, sample) mV, float32 on the CPU.
        ecg_ids: Their ids; from a checkpoint, what stands for them there.
        source: Name of the source that they are from.
    """

    beats: Tensor
    ecg_ids: list[str]
    source: str

    def __len__(self) -> int:
        return len(self.ecg_ids)

    def first(self, n: int) -> "Backgrounds":
        """Return the first ``n`` reference ECGs."""
        return Backgrounds(self.beats[:n], self.ecg_ids[:n], self.source)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint: 19 kB an ECG, and nothing that would need unpickling.

        Checkpoints are given away, so that ids stay here: each ECG is named by its beat's content.
        """
        names = [beat_name(beat) for beat in self.beats.numpy()]
        return {"beats": self.beats.clone(), "ecg_ids": names, "source": self.source}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Backgrounds":
        """Read them from a checkpoint; one of an earlier version names ids."""
        return cls(content["beats"].cpu(), list(content["ecg_ids"]), content["source"])


def beat_name(beat: NDArray[np.float32]) -> str:
    """Name a beat by its content alone, such as ``beat-8f14e45fce``: only who has the beat can recognise it.

    Args:
        beat: (lead, sample) mV.
    """
    return f"beat-{digest_bytes(np.ascontiguousarray(beat, dtype='<f4').tobytes(), 5)}"


def choose_backgrounds(cache: BeatCache, train: pd.DataFrame, n: int, seed: int, source: str) -> Backgrounds:
    """Choose training ECGs of distinct patients, by hashed id.

    Args:
        cache: The cache that holds the beats.
        train: The training ECGs: columns ``ecg_id``, ``patient_id`` and ``cache_row``.
        n: Number of ECGs that are wished for.
        seed: Seed of the choice.
        source: Name of the source.

    Returns:
        ``n`` of them, or fewer where there are fewer patients.
    """
    order = keyed_order(seed, "background:" + train["ecg_id"])
    chosen = train.iloc[order].drop_duplicates("patient_id").head(n)
    beats = cache.read_beats(chosen["cache_row"].to_numpy(dtype=np.intp))
    return Backgrounds(torch.from_numpy(beats), chosen["ecg_id"].tolist(), source)


def other_backgrounds(cache: BeatCache, train: pd.DataFrame, first: Backgrounds, seed: int) -> Backgrounds:
    """Choose a second set, of patients that have no ECG in the first.

    The first set's patients are found by the content of its beats: a checkpoint stores no ids.

    Args:
        cache: The cache that holds the beats.
        train: The training ECGs, as for ``choose_backgrounds``.
        first: The first set.
        seed: Seed of the choice.

    Returns:
        As many as in the first, or fewer where there are fewer patients; none where the training ECGs are of another
        source than the first set.
    """
    used = train["patient_id"][_holds(cache, train["cache_row"].to_numpy(dtype=np.intp), first.beats.numpy())]
    if len(used) < len(first):
        train = train.head(0)
    return choose_backgrounds(cache, train[~train["patient_id"].isin(used)], len(first), seed, first.source)


def _holds(cache: BeatCache, rows: NDArray[np.intp], beats: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n,) whether the beat of each row of the cache is among some beats (k, lead, sample)."""
    known = {beat.tobytes() for beat in np.ascontiguousarray(beats)}
    found = np.zeros(len(rows), dtype=np.bool_)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = cache.read_beats(rows[start : start + _ROWS_AT_ONCE])
        found[start : start + len(part)] = [beat.tobytes() in known for beat in part]
    return found


def enough_backgrounds(
    kept: Backgrounds | None, own_source: str | None, choose: Callable[[], Backgrounds], n: int, target: str
) -> Backgrounds:
    """Return the reference ECGs of a test: the checkpoint's where it has enough, else training ECGs of this datamodule.

    Args:
        kept: The checkpoint's reference ECGs; None where it has none.
        own_source: Name of the source at hand; None where it has no training ECGs.
        choose: Gives those of the training set at hand.
        n: Number of ECGs that are needed.
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
