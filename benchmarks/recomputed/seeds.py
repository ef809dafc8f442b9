"""What is compared between networks that differ in their seed."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np

from recomputed import effects
from recomputed.comparisons import Comparison
from recomputed.effects import Effect
from recomputed.stores import Array, RunFiles, Store, read_runs, store_names


def noise_of(runs: list[RunFiles], method: str, pairs: int) -> Array:
    """(ecg, pair) root of the product of both maps' reliabilities; 1 of deterministic methods."""
    if not all(run.has(f"reliability/{method}") for run in runs):
        return np.ones((len(runs[0].examples), pairs))
    reliability, _ = read_runs(runs, f"reliability/{method}")
    both = [reliability[a] * reliability[b] for a, b in combinations(range(len(runs)), 2)]
    return np.sqrt([np.where(one > 0, one, np.nan) for one in both]).T


def seed_comparisons(runs: list[RunFiles], study: Path) -> Iterator[Comparison]:
    """Of self-consistency, from the stores of ``compare``."""
    folder = study / "comparison" / runs[0].target
    patients, label = runs[0].examples["patient_id"].to_numpy(), runs[0].label
    for method in store_names(folder / "self_consistency_floor"):
        own, floor = (Store.open(folder / kind / method) for kind in ("self_consistency", "self_consistency_floor"))
        place = own.coords["statistic"].index("pearson"), own.coords["sign"].index("native")
        values, below = own.values[:, place[0], place[1]], floor.values[:, place[0], place[1]]
        noise = noise_of(runs, method, values.shape[1])
        counted = np.isfinite((values - below) * noise).any(axis=1)
        with_it = set(patients[counted & (label == 1)])
        yield Comparison(
            of=("self_consistency", "seeds_agree", "corrected_above_floor"),
            method=method,
            against="maps of different patients",
            effect=effects.pair_ratio(values - below, noise, patients, len(runs)),
            value=effects.pair_ratio(values, noise, patients, len(runs)).estimate,
            n_with=len(with_it),
            n_without=len(set(patients[counted]) - with_it),
            n_ecgs=int(counted.sum()),
            n_seeds=len(runs),
            undefined=not counted.any() or len(runs) < 3,
        )


def raw_ratio(values: Array, runs: list[RunFiles]) -> Effect:
    """Of (ecg, pair) values without correction."""
    patients = runs[0].examples["patient_id"].to_numpy()
    return effects.pair_ratio(values, np.where(np.isfinite(values), 1.0, np.nan), patients, len(runs))
