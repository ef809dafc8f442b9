"""Blocks of ECGs whose maps are compared: handed to workers of one thread each, and what comes back is kept."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from ecg_lightning.data.worker_pool import worker_count, worker_pool
from ecg_lightning.storage.store import RowStore

Measured = Sequence[NDArray[np.float32]]
"""What is measured of a block, (ecg, ...) for each of its stores."""

BLOCK_MAPS: Final = 128
"""Maps in a worker's memory at a time (5 MB as float64, and a few copies), besides those of partners elsewhere."""


@dataclass(frozen=True)
class MapBlock:
    """Some ECGs of one method.

    Attributes:
        measure: What a worker calls; it can be pickled.
        ecgs: Rows of the stores.
        stores: One for each array that ``measure`` returns.
    """

    measure: Callable[[], Measured]
    ecgs: NDArray[np.int64]
    stores: Sequence[RowStore]

    def keep(self, measured: Measured) -> None:
        """Write the rows that a store lacks."""
        for store, values in zip(self.stores, measured, strict=True):
            lacking = ~store.done[self.ecgs]
            store.write(self.ecgs[lacking], values[lacking])


def blocks_to_do(maps_an_ecg: int, order: NDArray[np.int64], stores: Sequence[RowStore]) -> Iterator[NDArray[np.int64]]:
    """ECGs that any of the stores lacks, those that follow each other in one block.

    Args:
        maps_an_ecg: How many maps of one ECG are in memory at a time.
        order: (ecg,) every row of the stores once.
        stores: Of what is measured.
    """
    missing = order[~np.all([store.done for store in stores], axis=0)[order]]
    size = max(1, BLOCK_MAPS // maps_an_ecg)
    for start in range(0, len(missing), size):
        yield missing[start : start + size]


def measure_blocks(work: Sequence[MapBlock], processes: int | None) -> None:
    """Measure and keep all blocks.

    Args:
        work: The blocks.
        processes: Worker processes; None: one a core.
    """
    workers = worker_count(processes)
    if workers > 1 and len(work) > 1:
        context = multiprocessing.get_context("spawn")
        with worker_pool(workers, context, _start_worker, "comparing maps") as pool:
            _run(work, pool, workers)
    else:
        for block in work:
            block.keep(block.measure())


def _run(work: Sequence[MapBlock], pool: Executor, workers: int) -> None:
    """Hand the blocks out, few ahead of those that are done, and write what comes back."""
    waiting: list[tuple[MapBlock, Future[Measured]]] = []
    for one in work:
        waiting.append((one, pool.submit(one.measure)))
        if len(waiting) > 4 * workers:
            block, result = waiting.pop(0)
            block.keep(result.result())
    for block, result in waiting:
        block.keep(result.result())


def _start_worker() -> None:
    torch.set_num_threads(1)
