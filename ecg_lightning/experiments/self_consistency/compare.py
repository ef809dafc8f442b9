"""Self-consistency over seeds from the stored maps (paper, "Self-consistency of attribution methods").

Streams from the memory maps: what is in memory does not grow with the number of ECGs. Every method of every target has
a store of its own, so that a comparison that was killed goes on with the rows that are missing.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecg_lightning.experiments.self_consistency.floor_partners import FloorPartners, floor_partners
from ecg_lightning.experiments.self_consistency.map_blocks import MapBlock, blocks_to_do, measure_blocks
from ecg_lightning.experiments.self_consistency.measure import seed_pairs, self_consistency
from ecg_lightning.experiments.self_consistency.other_targets import OtherTargets, open_other_targets
from ecg_lightning.functional.similarity import SIGNS, STATISTICS
from ecg_lightning.functional.smoothing import ORDER
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.seed_maps import SeedMaps, TargetMaps
from ecg_lightning.runs.study_folder import StudyFolder, UnfinishedRun
from ecg_lightning.storage.atomic import write_parquet_atomic
from ecg_lightning.storage.hashing import JSON, digest_array_rows
from ecg_lightning.storage.store import RowStore, StoreSpec

CONSISTENCY: Final = "self_consistency"
FLOOR: Final = "self_consistency_floor"
"""Folders of a target's stores, one store a method."""


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
        others: Similarity with networks of other targets; None where no two targets share test ECGs.
    """

    targets: list[ComparedTarget]
    single: list[str]
    unfinished: list[UnfinishedRun]
    others: OtherTargets | None


def compare_maps(study: StudyFolder, processes: int | None = None) -> Comparison:
    """Measure how alike every ECG's maps are between seeds, with other patients' maps, and between targets.

    Args:
        study: Its folder; results go to ``comparison/<target>/``. What lacks the floor only gets it.
        processes: Worker processes of one thread each; None: one a core.

    Returns:
        The stores, all complete.

    Raises:
        ValueError: Maps of one method that were made of other ECGs or with other settings; or no run is left.
    """
    finished, unfinished = study.finished_runs()
    if not finished:
        raise ValueError(study.nothing_finished(unfinished, "compare"))
    for one in unfinished:
        warnings.warn(f"{study.name}: {one.target}, seed {one.seed} is left out: {one.reason}", stacklevel=2)
    joined = {target: TargetMaps.of(target, runs) for target, runs in finished.items()}
    targets, work, single = [], [], []
    for target, runs in finished.items():
        if len(runs) < 2:
            single.append(target)
            print(f"{target}: one seed only ({next(iter(runs))}), so there is no self-consistency")
            continue
        compared, todo = _open_target(study, runs, joined[target])
        targets.append(compared)
        work += todo
    others, todo = open_other_targets(study.comparison, list(joined.values()))
    measure_blocks([*work, *todo], processes)
    for compared in targets:
        for store in (*compared.consistency.values(), *compared.floor.values()):
            store.merge()
    if others is not None:
        others.merge()
    return Comparison(targets, single, unfinished, others)


def _open_target(study: StudyFolder, runs: dict[int, Run], joined: TargetMaps) -> tuple[ComparedTarget, list[MapBlock]]:
    target, examples, rows = joined.target, joined.examples, joined.rows
    folder = study.comparison / target
    folder.mkdir(parents=True, exist_ok=True)
    partners = floor_partners(runs, examples, rows)
    write_parquet_atomic(folder / "examples.parquet", examples)
    write_parquet_atomic(folder / "partners.parquet", partners.table(_pair_names(tuple(runs))))
    met: dict[str, JSON] = {"partners": digest_array_rows(partners.partner)}
    consistency = {method: _open_store(folder / CONSISTENCY, maps, {}) for method, maps in joined.maps.items()}
    floor = {method: _open_store(folder / FLOOR, maps, met) for method, maps in joined.maps.items()}
    work: list[MapBlock] = []
    for method, maps in joined.maps.items():
        stores = consistency[method], floor[method]
        work += [
            MapBlock(partial(_measure, maps, block, partners.partner[block]), block, stores)
            for block in blocks_to_do(len(maps.seeds), partners.order, stores)
        ]
    compared = ComparedTarget(target, tuple(runs), examples, consistency, floor, partners, runs, rows, joined.left_out)
    return compared, work


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
            "smoothing": {"window": maps.smoothing_window, "order": ORDER},
            **settings,
        },
    )
    # what follows from maps that were replaced meanwhile is replaced too
    return RowStore.create(folder / maps.method, spec, on_mismatch="replace")


def _measure(maps: SeedMaps, ecgs: NDArray[np.int64], partner: NDArray[np.int64]) -> Sequence[NDArray[np.float32]]:
    """Self-consistency and floor of some ECGs, (ecg, statistic, sign, pair)."""
    wanted = np.union1d(ecgs, partner[partner >= 0])
    place = np.where(partner >= 0, np.searchsorted(wanted, partner), -1)
    own, floor = self_consistency(
        maps.read(maps.stores(), wanted),
        torch.from_numpy(np.searchsorted(wanted, ecgs)),
        torch.from_numpy(place),
        window=maps.smoothing_window,
    )
    return own.float().numpy(), floor.float().numpy()
