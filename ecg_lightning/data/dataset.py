"""A split of the cache, read in whole batches from the memory map."""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ecg_lightning.data.cache import BeatCache


class Batch(TypedDict):
    """A batch as the datamodule yields it."""

    ecg: Tensor  # (batch, lead, sample) mV, float32
    label: Tensor  # (batch,) 1, 0 or NaN where missing, float32
    row: Tensor  # (batch,) row inside the split, int64


class BeatDataset(Dataset[Batch]):
    """ECGs of one split.

    Args:
        cache: The prepared beats.
        rows: (n,) rows of the cache that make the split.
        label: (n,) label of each.
    """

    def __init__(self, cache: BeatCache, rows: NDArray[np.intp], label: NDArray[np.float32]) -> None:
        self.cache = cache
        self.rows = rows
        self.label = label

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, items: Sequence[int]) -> Batch:
        """Read a whole batch at once; the DataLoader calls this instead of ``__getitem__`` for each item."""
        index = np.asarray(items, dtype=np.intp)
        return {
            "ecg": torch.from_numpy(self.cache.read_beats(self.rows[index])),
            "label": torch.from_numpy(self.label[index]),
            "row": torch.from_numpy(index.astype(np.int64)),
        }

    def __getitem__(self, item: int) -> Batch:
        return self.__getitems__([item])


def as_is(batch: Any) -> Any:
    """Collate a batch that is a batch already."""
    return batch
