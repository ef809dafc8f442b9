"""The stores of random networks, of the runs that have them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.runs.target_runs import TargetRuns

FOLDER: Final = "cascade/random_networks"

POLICY: Final = "reset_recalibrated"
"""BatchNorms of the networks that a verdict rests on: nothing that was trained is left in them, and they are sane."""

BASIS: Final = f"{FOLDER}/{POLICY}"


def runs_with(runs: TargetRuns, store: str) -> TargetRuns | None:
    """The runs that have a store; None where none has."""
    places = [k for k, run in enumerate(runs.runs.values()) if (run.path / store / "manifest.json").is_file()]
    if not places:
        return None
    seeds = list(runs.runs)
    having = {seeds[k]: runs.runs[seeds[k]] for k in places}
    return TargetRuns(runs.target, having, runs.examples, runs.rows[places])


def read_draws(runs: TargetRuns, store: str) -> NDArray[np.float64]:
    """(seed, ecg, draw, method) of a store that every run has; NaN for draws that a network does not have."""
    each = [
        np.asarray(run.row_store(store).read(rows), dtype=np.float64)
        for run, rows in zip(runs.runs.values(), runs.rows, strict=True)
    ]
    most = max(one.shape[1] for one in each)
    return np.stack([np.pad(one, ((0, 0), (0, most - one.shape[1]), (0, 0)), constant_values=np.nan) for one in each])
