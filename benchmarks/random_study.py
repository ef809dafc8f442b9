"""A finished study on disk whose maps are random: what comparison and report are measured and tested on. No script.

Each map is a part that all seeds of a target share, and noise of its own, so that its self-consistency is known: maps
of two seeds correlate by ``share`` up to the scatter of one ECG.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ecg_lightning.ecg import Target
from ecg_lightning.functional.smoothing import savitzky_golay
from ecg_lightning.storage.atomic import write_parquet_atomic
from ecg_lightning.storage.store import RowStore, StoreSpec

SHAPE = (8, 600)
_BLOCK = 64


def write_random_study(
    folder: Path,
    targets: Sequence[Target],
    seeds: Sequence[int],
    methods: Sequence[str],
    n_ecgs: int,
    share: float = 0.5,
) -> Path:
    """Write ``<folder>/<target>/seed<k>/`` with examples, logits and maps.

    Args:
        folder: Of the study.
        targets: Diagnoses.
        seeds: Training repetitions.
        methods: Of the maps.
        n_ecgs: Test ECGs, about five a patient.
        share: Of a map's variance that is the same in every seed.

    Returns:
        The folder.
    """
    for number, target in enumerate(targets):
        generator = np.random.default_rng(number)
        label = (generator.random(n_ecgs) < 0.3).astype(float)
        common = {method: _seed_of(target, method) for method in methods}
        for seed in seeds:
            run = folder / target / f"seed{seed}"
            run.mkdir(parents=True)
            write_parquet_atomic(run / "examples.parquet", examples(n_ecgs, label))
            _write(run / "logits", (n_ecgs,), "logit", seed, partial(_logits, label, seed))
            for method in methods:
                _write(
                    run / "maps" / method,
                    (n_ecgs, *SHAPE),
                    "logit",
                    seed,
                    partial(_maps, common[method], seed, share),
                )
            (run / "fit.done.json").write_text("{}")
            (run / "test.done.json").write_text(json.dumps({"n_ecgs": n_ecgs}))
    return folder


def examples(n_ecgs: int, label: "np.ndarray") -> pd.DataFrame:
    """The test ECGs in row order."""
    row = np.arange(n_ecgs)
    return pd.DataFrame(
        {
            "row": row,
            "ecg_id": [f"e{k}" for k in row],
            "patient_id": [f"p{k // 5}" for k in row],
            "label": label,
            "age": 50.0 + row % 30,
            "sex": np.where(row % 2, "male", "female"),
            "source": "random",
        }
    )


def smooth_noise(seed: int, rows: "np.ndarray") -> "np.ndarray":
    """(row, lead, sample) noise of unit variance, a row's own whatever the block; smooth already."""
    maps = np.stack([np.random.default_rng((seed, int(row))).standard_normal(SHAPE, dtype=np.float32) for row in rows])
    smooth = savitzky_golay(torch.from_numpy(maps))
    return (smooth / smooth.std(dim=(-2, -1), keepdim=True)).float().numpy()


def _maps(common: int, seed: int, share: float, rows: "np.ndarray") -> "np.ndarray":
    own = smooth_noise(common * 1000 + seed + 1, rows)
    return np.sqrt(share) * smooth_noise(common, rows) + np.sqrt(1 - share) * own


def _logits(label: "np.ndarray", seed: int, rows: "np.ndarray") -> "np.ndarray":
    noise = np.random.default_rng((seed, 7)).standard_normal(len(label))
    return (4 * label - 2 + noise)[rows].astype(np.float32)


def _seed_of(target: str, method: str) -> int:
    return sum(f"{target}/{method}".encode()) % 100_003


def _write(path: Path, shape: tuple[int, ...], unit: str, seed: int, values) -> None:
    settings = {"training_seed": seed} if len(shape) > 1 else {}
    dims = ("row", "lead", "sample")[: len(shape)]
    spec = StoreSpec(dims=dims, shape=shape, unit=unit, settings=settings, network=f"net{seed}", examples="random")
    path.parent.mkdir(parents=True, exist_ok=True)
    with RowStore.create(path, spec) as store:
        for start in range(0, shape[0], _BLOCK):
            rows = np.arange(start, min(start + _BLOCK, shape[0]))
            store.write(rows, values(rows))
