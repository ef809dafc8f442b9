"""Self-consistency over seeds from the stored maps (paper, "Self-consistency of attribution methods").

Streams from the memory maps: what is in memory does not grow with the number of ECGs. Every method of every target has
a store of its own, so that a comparison that was killed goes on with the rows that are missing.
"""

import multiprocessing
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecg_lightning.atomic import write_parquet_atomic
from ecg_lightning.data.worker_count import worker_count
from ecg_lightning.digest import JSON, digest_array_rows
from ecg_lightning.functional.self_consistency import seed_pairs, self_consistency
from ecg_lightning.functional.similarity import SIGNS, STATISTICS
from ecg_lightning.functional.smoothing import ORDER, WINDOW
from ecg_lightning.run import Run
from ecg_lightning.store import RowStore, StoreSpec
from ecg_lightning.study.floor_partners import FloorPartners, floor_partners
from ecg_lightning.study.folder import StudyFolder, UnfinishedRun
from ecg_lightning.study.seed_maps import SeedMaps, comparable_maps, same_ecgs

CONSISTENCY: Final = "self_consistency"
FLOOR: Final = "self_consistency_floor"
"""Folders of a target's stores, one store a method."""

_Measured = tuple[NDArray[np.float32], NDArray[np.float32]]

_BLOCK_MAPS: Final = 128
"""Maps in a worker's memory at a time (5 MB as float64, and a few copies), besides those of partners elsewhere."""


@dataclass(frozen=True)
class ComparedTarget:
    """What was compared of one target.

    Attributes:
        target: The diagnosis.
        seeds: Training repetitions.
        examples: The ECGs, in the order of the stores' rows.
        consistency: Method -> store (ecg, statistic, sign, pair).
        floor: Method -> store of the same shape: similarity with maps of other patients.
        partners: Of the floor.
        runs: Seed -> run.
        rows: (seed, ecg) in which row of each run an ECG stands.
        left_out: Method -> why it was not compared.
    """

    target: str
    seeds: tuple[int, ...]
    examples: pd.DataFrame
    consistency: dict[str, RowStore]
    floor: dict[str, RowStore]
    partners: FloorPartners
    runs: dict[int, Run]
    rows: NDArray[np.int64]
    left_out: dict[str, str]


@dataclass(frozen=True)
class Comparison:
    """What was compared of a study.

    Attributes:
        targets: The targets with two or more finished seeds.
        single: Targets with one finished seed, which has no partner.
        unfinished: Runs that are left out.
    """

    targets: list[ComparedTarget]
    single: list[str]
    unfinished: list[UnfinishedRun]


def compare_maps(study: StudyFolder, processes: int | None = None) -> Comparison:
    """Measure the similarity of every ECG's maps between every pair of seeds, and with maps of other patients.

    Args:
        study: Its folder; results go to ``comparison/<target>/``. What lacks the floor only gets it.
        processes: Worker processes of one thread each; None: one a core.

    Returns:
        The stores, all complete.

    Raises:
        ValueError: Maps of one method that were made of other ECGs or with other settings.
    """
    finished, unfinished = study.finished_runs()
    for one in unfinished:
        warnings.warn(f"{study.name}: {one.target}, seed {one.seed} is left out: {one.reason}", stacklevel=2)
    targets, work, single = [], [], []
    for target, runs in finished.items():
        if len(runs) < 2:
            single.append(target)
            print(f"{target}: one seed only ({next(iter(runs))}), so there is no self-consistency")
            continue
        compared, todo = _open_target(study, target, runs)
        targets.append(compared)
        work += todo
    workers = worker_count(processes)
    if workers > 1 and len(work) > 1:
        # Not fork: this process may hold torch's threads.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker) as pool:
            _run(work, pool, workers)
    else:
        for block in work:
            _keep(block, _measure(block.maps, block.ecgs, block.partner))
    for compared in targets:
        for store in (*compared.consistency.values(), *compared.floor.values()):
            store.merge()
    return Comparison(targets, single, unfinished)


@dataclass(frozen=True)
class _Work:
    """A block of ECGs of one method, and the stores of what is measured."""

    maps: SeedMaps
    ecgs: NDArray[np.int64]
    partner: NDArray[np.int64]
    stores: tuple[RowStore, RowStore]


def _open_target(study: StudyFolder, target: str, runs: dict[int, Run]) -> tuple[ComparedTarget, list[_Work]]:
    examples, rows = same_ecgs(target, runs)
    found, left_out = comparable_maps(target, runs, rows)
    for method, why in left_out.items():
        warnings.warn(f"{target}: {method} is not compared: {why}", stacklevel=2)
    folder = study.comparison / target
    folder.mkdir(parents=True, exist_ok=True)
    partners = floor_partners(runs, examples, rows)
    write_parquet_atomic(folder / "examples.parquet", examples)
    write_parquet_atomic(folder / "partners.parquet", partners.table(_pair_names(tuple(runs))))
    met: dict[str, JSON] = {"partners": digest_array_rows(partners.partner)}
    consistency = {maps.method: _open_store(folder / CONSISTENCY, maps, {}) for maps in found}
    floor = {maps.method: _open_store(folder / FLOOR, maps, met) for maps in found}
    work = [
        _Work(maps, block, partners.partner[block], (consistency[maps.method], floor[maps.method]))
        for maps in found
        for block in _blocks(len(maps.seeds), partners.order, (consistency[maps.method], floor[maps.method]))
    ]
    return ComparedTarget(target, tuple(runs), examples, consistency, floor, partners, runs, rows, left_out), work


def _pair_names(seeds: Sequence[int]) -> list[str]:
    return [f"{a}-{b}" for a, b in seed_pairs(seeds)]


def _open_store(folder: Path, maps: SeedMaps, settings: dict[str, JSON]) -> RowStore:
    pairs = _pair_names(maps.seeds)
    spec = StoreSpec(
        dims=("row", "statistic", "sign", "pair"),
        shape=(maps.rows.shape[1], len(STATISTICS), len(SIGNS), len(pairs)),
        coords={"statistic": STATISTICS, "sign": SIGNS, "pair": pairs},
        unit="correlation",
        settings={
            "maps": [store.spec.digest for store in maps.stores()],
            "smoothing": {"window": WINDOW, "order": ORDER},
            **settings,
        },
    )
    # what follows from maps that were replaced meanwhile is replaced too
    return RowStore.create(folder / maps.method, spec, on_mismatch="replace")


def _blocks(n_seeds: int, order: NDArray[np.int64], stores: Sequence[RowStore]) -> Iterator[NDArray[np.int64]]:
    """ECGs that any of the stores lacks, partners in one block where that can be."""
    missing = order[~np.all([store.done for store in stores], axis=0)[order]]
    size = max(1, _BLOCK_MAPS // n_seeds)
    for start in range(0, len(missing), size):
        yield missing[start : start + size]


def _run(work: Sequence[_Work], pool: Executor, workers: int) -> None:
    """Hand the blocks out, few ahead of those that are done, and write what comes back."""
    waiting: list[tuple[_Work, Future[_Measured]]] = []
    for one in work:
        waiting.append((one, pool.submit(_measure, one.maps, one.ecgs, one.partner)))
        if len(waiting) > 4 * workers:
            block, result = waiting.pop(0)
            _keep(block, result.result())
    for block, result in waiting:
        _keep(block, result.result())


def _keep(work: _Work, measured: _Measured) -> None:
    for store, values in zip(work.stores, measured, strict=True):
        lacking = ~store.done[work.ecgs]
        store.write(work.ecgs[lacking], values[lacking])


def _start_worker() -> None:
    torch.set_num_threads(1)


def _measure(maps: SeedMaps, ecgs: NDArray[np.int64], partner: NDArray[np.int64]) -> _Measured:
    """Self-consistency and floor of some ECGs, (ecg, statistic, sign, pair)."""
    wanted = np.union1d(ecgs, partner[partner >= 0])
    place = np.where(partner >= 0, np.searchsorted(wanted, partner), -1)
    own, floor = self_consistency(
        maps.read(maps.stores(), wanted), torch.from_numpy(np.searchsorted(wanted, ecgs)), torch.from_numpy(place)
    )
    return own.float().numpy(), floor.float().numpy()
