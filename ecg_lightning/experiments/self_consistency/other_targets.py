"""Maps of one ECG by networks that were trained for different diagnoses, with the same training seed.

A control of self-consistency: what two such maps have in common is of the ECG, of the architecture or of the weights
that both networks began with, not of a diagnosis. Apart from self-consistency's blocks, so that every map is smoothed
and ranked once for all targets.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecg_lightning.experiments.self_consistency.map_blocks import MapBlock, blocks_to_do
from ecg_lightning.functional.similarity import SIGNS, STATISTICS, similarity_matrices
from ecg_lightning.functional.smoothing import ORDER
from ecg_lightning.runs.seed_maps import OF_THE_SEED, SeedMaps, TargetMaps, in_paper_order, other_settings
from ecg_lightning.storage.atomic import write_parquet_atomic
from ecg_lightning.storage.hashing import digest_array_rows
from ecg_lightning.storage.store import RowStore, StoreSpec

OTHER_TARGET: Final = "other_target"
"""Folder of the comparison, one store a method."""

_OF_THE_TARGET: Final = (*OF_THE_SEED, "target", "backgrounds")
"""Settings of a map that differ between targets as they should."""


@dataclass(frozen=True)
class OtherTargets:
    """What was compared between targets.

    Attributes:
        ecgs: ``ecg_id, patient_id`` of the ECGs that two targets or more were tested on, in the order of the stores'
            rows.
        labels: Target -> (ecg,) its label; NaN where it was not tested on the ECG.
        tested: Target -> (ecg,) whether it was tested on the ECG.
        seeds: Target -> training repetitions.
        stores: Method -> store (ecg, statistic, sign, pair, seed); NaN where a target lacks the ECG or the seed.
        pairs: Method -> the pairs of targets, as in its store.
        left_out: What was not compared, in sentences.
    """

    ecgs: pd.DataFrame
    labels: dict[str, NDArray[np.float64]]
    tested: dict[str, NDArray[np.bool_]]
    seeds: dict[str, tuple[int, ...]]
    stores: dict[str, RowStore]
    pairs: dict[str, list[tuple[str, str]]]
    left_out: list[str]

    def merge(self) -> None:
        """After all blocks are kept."""
        for store in self.stores.values():
            store.merge()


def open_other_targets(comparison: Path, targets: Sequence[TargetMaps]) -> tuple[OtherTargets | None, list[MapBlock]]:
    """Open the stores, and say what they lack.

    Args:
        comparison: Folder of the study's comparison.
        targets: Each with one seed or more.

    Returns:
        The stores, and the blocks that fill them; None and no block where no two targets share test ECGs.
    """
    ecgs, places = _shared(targets)
    if not len(ecgs):
        print("no two targets share test ECGs, so that maps of networks of another target are not compared")
        return None, []
    folder = comparison / OTHER_TARGET
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet_atomic(folder / "examples.parquet", ecgs)
    stores: dict[str, RowStore] = {}
    pairs: dict[str, list[tuple[str, str]]] = {}
    work: list[MapBlock] = []
    left_out: list[str] = []
    for method in in_paper_order(set[str]().union(*(one.maps for one in targets))):
        chosen, why = _comparable(method, targets)
        left_out += why
        if len(chosen) < 2:
            continue
        own = np.stack([places[one.target] for one in chosen])
        maps = [one.maps[method] for one in chosen]
        pairs[method] = list(combinations([one.target for one in chosen], 2))
        stores[method] = _open_store(folder / method, maps, own, pairs[method])
        work += [
            MapBlock(partial(_measure, maps, own[:, block]), block, [stores[method]])
            for block in blocks_to_do(len(chosen), np.arange(len(ecgs)), [stores[method]])
        ]
    for sentence in left_out:
        warnings.warn(sentence, stacklevel=2)
    labels = {one.target: _taken(one.examples["label"].to_numpy(), places[one.target]) for one in targets}
    tested = {target: own >= 0 for target, own in places.items()}
    return OtherTargets(ecgs, labels, tested, {one.target: one.seeds for one in targets}, stores, pairs, left_out), work


def _shared(targets: Sequence[TargetMaps]) -> tuple[pd.DataFrame, dict[str, NDArray[np.int64]]]:
    """The ECGs of two targets or more, and target -> (ecg,) where in its examples each stands; -1 for nowhere."""
    every = [one.examples[["ecg_id", "patient_id"]] for one in targets]
    ecgs = pd.concat(every, ignore_index=True)
    ecgs = ecgs[ecgs.duplicated("ecg_id", keep=False)].drop_duplicates("ecg_id").reset_index(drop=True)
    return ecgs, {one.target: pd.Index(one.examples["ecg_id"]).get_indexer(ecgs["ecg_id"]) for one in targets}


def _comparable(method: str, targets: Sequence[TargetMaps]) -> tuple[list[TargetMaps], list[str]]:
    """The targets whose maps of a method were made alike; and why others are left out."""
    chosen: list[TargetMaps] = []
    left_out = []
    for one in targets:
        why = "" if method in one.maps else one.left_out.get(method, "it has no maps of this method")
        if not why and chosen:
            first = chosen[0].maps[method].folders[0]
            lines = other_settings(first, one.maps[method].folders[0], _OF_THE_TARGET)
            why = f"its settings are not those of {chosen[0].target}: {'; '.join(lines)}" if lines else ""
        if why:
            left_out.append(f"{one.target}: {method} is not compared with other targets: {why}")
        else:
            chosen.append(one)
    return chosen, left_out


def _open_store(
    folder: Path, maps: Sequence[SeedMaps], places: NDArray[np.int64], pairs: Sequence[tuple[str, str]]
) -> RowStore:
    seeds = sorted(set[int]().union(*(one.seeds for one in maps)))
    spec = StoreSpec(
        dims=("row", "statistic", "sign", "pair", "seed"),
        shape=(places.shape[1], len(STATISTICS), len(SIGNS), len(pairs), len(seeds)),
        coords={
            "statistic": STATISTICS,
            "sign": SIGNS,
            "pair": [f"{target}|{other}" for target, other in pairs],
            "seed": seeds,
        },
        unit="correlation",
        settings={
            "maps": [[store.spec.digest for store in one.stores()] for one in maps],
            "places": digest_array_rows(places),
            "smoothing": {"window": maps[0].smoothing_window, "order": ORDER},
        },
    )
    # what follows from maps that were replaced meanwhile is replaced too
    return RowStore.create(folder, spec, on_mismatch="replace")


def _taken(values: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.where(places >= 0, values[places], np.nan)


def _measure(maps: Sequence[SeedMaps], places: NDArray[np.int64]) -> Sequence[NDArray[np.float32]]:
    """Similarity of some ECGs' maps between targets, (ecg, statistic, sign, pair, seed); places (target, ecg)."""
    first, second = np.triu_indices(len(maps), 1)
    found = []
    for seed in sorted(set[int]().union(*(one.seeds for one in maps))):
        read = [_maps_of_seed(one, seed, own) for one, own in zip(maps, places, strict=True)]
        stacked = torch.from_numpy(np.stack(read, axis=1))
        matrices = similarity_matrices(stacked, window=maps[0].smoothing_window, scopes=("ecg",))
        found.append(np.stack([matrices[one][:, 0, :, first, second].float().numpy() for one in STATISTICS], axis=1))
    return [np.stack(found, axis=-1)]


def _maps_of_seed(maps: SeedMaps, seed: int, places: NDArray[np.int64]) -> NDArray[np.float32]:
    """(ecg, lead, sample); NaN where there is no such seed or ECG."""
    known = places >= 0
    own = maps.seeds.index(seed) if seed in maps.seeds else None
    store = RowStore.open(maps.folders[own or 0])
    found = np.full((len(places), *store.spec.shape[1:]), np.nan, dtype=np.float32)
    if own is not None:
        found[known] = store.read(maps.rows[own][places[known]])
    return found
