"""Beats that the BatchNorm statistics of a random network are made of."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.splits import Split
from ecg_lightning.randomness import keyed_order

RECALIBRATION_BEATS: Final = 256
"""The twenty backgrounds alone would leave a random network's statistics partly to chance."""


@dataclass(frozen=True, eq=False)
class RecalibrationBeats:
    """ECGs and where they are from.

    Attributes:
        beats: (n, lead, sample) mV, float32 on the CPU.
        origin: Where the ECGs are from, in words for notes.
    """

    beats: Tensor
    origin: str


def recalibration_beats(
    datamodule: EcgDataModule, backgrounds: Tensor, n: int = RECALIBRATION_BEATS
) -> RecalibrationBeats:
    """Choose training ECGs by a hash of their ids; the same for every network of a study.

    Args:
        datamodule: The datamodule, set up.
        backgrounds: (background, lead, sample) mV, which come first where the data at hand have no training split.
        n: Number of ECGs at most.

    Returns:
        ``n`` training ECGs, or all where there are fewer; of data that only test a network, its backgrounds and test
        ECGs (nothing but the scale of hidden values is taken from them).
    """
    if datamodule.split_rule != "test_only":
        beats = _chosen(datamodule, "train", n)
        return RecalibrationBeats(beats, f"{len(beats)} training ECGs")
    beats = _chosen(datamodule, "test", max(n - len(backgrounds), 0))
    origin = f"{len(backgrounds)} backgrounds and {len(beats)} test ECGs, as these data have no training split"
    return RecalibrationBeats(torch.cat([backgrounds.to(beats), beats]), origin)


def _chosen(datamodule: EcgDataModule, split: Split, n: int) -> Tensor:
    ids = datamodule.examples(split)["ecg_id"]
    order = keyed_order(datamodule.split_seed, "recalibration:" + ids)[:n]
    return datamodule.dataset(split).__getitems__(order.tolist())["ecg"]
