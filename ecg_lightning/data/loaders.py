"""Loaders of whole batches, and which share of them a rank reads."""

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, Sampler

from ecg_lightning.data.dataset import Batch, BeatDataset, as_is
from ecg_lightning.data.samplers import check_samplers_stay


def rank_of(trainer: Trainer | None) -> tuple[int, int]:
    """Return the rank of this process and the number of ranks; 0 and 1 without a trainer.

    Raises:
        ValueError: The trainer would replace the project's samplers by its own.
    """
    if not trainer:
        return 0, 1
    check_samplers_stay(trainer)
    return trainer.global_rank, trainer.world_size


def loader(dataset: BeatDataset, rows: Sampler[int], batch_size: int, num_workers: int) -> DataLoader[Batch]:
    """Make a loader of whole batches.

    Args:
        dataset: The ECGs of a split.
        rows: Rows of the dataset, in the order in which they are read.
        batch_size: ECGs a batch.
        num_workers: Number of worker processes.
    """
    # `sampler` and not `batch_sampler`: from the latter alone Lightning's `predict` would build batches of all rows
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=rows,
        collate_fn=as_is,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
