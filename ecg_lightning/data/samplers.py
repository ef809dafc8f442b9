"""This module decides which rows each rank reads, in which order: no row is padded, repeated or gathered."""

from collections.abc import Iterator
from itertools import count

from lightning.pytorch import Trainer
from torch.utils.data import Sampler

from ecg_lightning.randomness import numpy_generator

_BLOCK = 65_536
"""Rows turned into Python integers at a time, so that an epoch of millions needs no list of them."""


class ShuffledRows(Sampler[int]):
    """One rank's share of each global batch of a shuffled epoch.

    The order depends on seed and epoch only. Every rank gets as many rows of a batch as the others, so that
    no rank waits for another; the rest of the last batch (fewer rows than ranks) waits for the next epoch.

    Args:
        n: Number of rows.
        global_batch: Rows of a batch over all ranks.
        seed: Seed of the shuffling.
        rank: Rank of this process.
        ranks: Number of processes.

    Raises:
        ValueError: A batch can't be shared evenly, there are fewer rows than ranks, or no such rank.
    """

    def __init__(self, n: int, global_batch: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        if global_batch < ranks or global_batch % ranks:
            raise ValueError(
                f"`data.batch_size` is the batch over all ranks and must be a multiple of their number: got "
                f"{global_batch} for {ranks} ranks"
            )
        _check_rank(rank, ranks)
        if n < ranks:
            raise ValueError(f"{n} training ECGs for {ranks} ranks: use at most {n} devices")
        self.n = n
        self.global_batch = global_batch
        self.seed = seed
        self.rank = rank
        self.ranks = ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this before each one, also after a resume."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n // self.ranks

    def __iter__(self) -> Iterator[int]:
        order = numpy_generator([self.seed, self.epoch]).permutation(self.n)
        for start in range(0, self.n, self.global_batch):
            batch = order[start : start + self.global_batch]
            share = len(batch) // self.ranks
            yield from batch[self.rank * share : (self.rank + 1) * share].tolist()


class RankRows(Sampler[int]):
    """Every row once over all ranks, in order; each rank reads one block, none more than one row longer.

    Blocks and not stripes, so that ranks of several nodes write to different pages of a store.

    Args:
        n: Number of rows.
        rank: Rank of this process.
        ranks: Number of processes.

    Raises:
        ValueError: There is no such rank.
    """

    def __init__(self, n: int, rank: int = 0, ranks: int = 1) -> None:
        _check_rank(rank, ranks)
        self.rows = range(rank * n // ranks, (rank + 1) * n // ranks)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[int]:
        for start in range(0, len(self.rows), _BLOCK):
            yield from self.rows[start : start + _BLOCK]


def _check_rank(rank: int, ranks: int) -> None:
    if not 0 <= rank < ranks:
        raise ValueError(f"rank must lie in 0 to {ranks - 1} for {ranks} ranks, got {rank}")


def equal_batch_size(n: int, batch_size: int, ranks: int) -> int:
    """Return the smallest batch size from ``batch_size`` on that gives every rank of ``RankRows`` as many batches.

    In validation under DDP each forward is a collective call: a rank with one batch more would wait forever.

    Args:
        n: Number of rows.
        batch_size: Wished batch size a rank.
        ranks: Number of processes.

    Raises:
        ValueError: Fewer rows than ranks.
    """
    # ranks have `fewest` rows or one more, which makes one batch more where `fewest` fills its last batch
    if n < ranks:
        raise ValueError(f"{n} validation ECGs for {ranks} ranks: use at most {n} devices")
    fewest, uneven = divmod(n, ranks)
    return next(size for size in count(batch_size) if not uneven or fewest % size)


def check_samplers_stay(trainer: Trainer) -> None:
    """Refuse a trainer that would replace the samplers by Lightning's, which repeat ECGs to fill up every rank.

    Raises:
        ValueError: Several processes and ``use_distributed_sampler=True``, Lightning's default.
    """
    # the trainer's own public attributes don't say
    if trainer.world_size > 1 and trainer._accelerator_connector.use_distributed_sampler:
        raise ValueError(
            f"this trainer has {trainer.world_size} processes and would replace the datamodule's samplers, which "
            "already give each process its share of the ECGs, by ones that repeat ECGs: pass "
            "`Trainer(use_distributed_sampler=False)` (`--trainer.use_distributed_sampler false`)"
        )
