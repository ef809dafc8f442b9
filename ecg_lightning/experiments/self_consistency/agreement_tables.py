"""Tables of how far networks of several seeds agree in their logits, and targets in their ranking of the methods."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecg_lightning.experiments.self_consistency.compare import ComparedTarget
from ecg_lightning.functional.correlation import pearson, spearman
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.study_folder import ALL_TARGETS


def network_table(targets: Sequence[ComparedTarget]) -> pd.DataFrame:
    """How alike the networks' logits are, for every pair of seeds: maps of networks that disagree may disagree.

    Returns:
        ``target, seed, other_seed, pearson, spearman, n_ecgs``.
    """
    rows = []
    for target in targets:
        logits = np.stack([_logits(run, rows) for run, rows in zip(target.runs.values(), target.rows, strict=True)])
        for a, b in zip(*np.triu_indices(len(logits), 1), strict=True):
            known = np.isfinite(logits[[a, b]]).all(axis=0)
            one, other = torch.from_numpy(logits[a][known]), torch.from_numpy(logits[b][known])
            rows.append(
                {
                    "target": target.target,
                    "seed": target.seeds[a],
                    "other_seed": target.seeds[b],
                    "pearson": float(pearson(one, other)),
                    "spearman": float(spearman(one, other)),
                    "n_ecgs": int(known.sum()),
                }
            )
    return pd.DataFrame(rows)


def rank_table(consistency: pd.DataFrame, statistic: str = "pearson", sign: str = "native") -> pd.DataFrame:
    """Rank of the methods by self-consistency in each target, 1 for the most consistent, and how stable it is.

    Args:
        consistency: Of ``consistency_table``.
        statistic: Which.
        sign: Which.

    Returns:
        One row a method: rank in each target, ``mean_rank``, ``best_rank``, ``worst_rank``; ``attrs["kendall_w"]`` is
        the concordance of the targets (NaN under two targets or methods).
    """
    chosen = consistency[(consistency["statistic"] == statistic) & (consistency["sign"] == sign)]
    chosen = chosen[chosen["target"] != ALL_TARGETS]
    means = chosen.pivot(index="method", columns="target", values="mean")
    means = means.reindex(index=pd.unique(chosen["method"]), columns=pd.unique(chosen["target"]))
    ranked = means.rank(ascending=False)
    table = ranked.copy()
    table["mean_rank"], table["best_rank"], table["worst_rank"] = (
        ranked.mean(axis=1),
        ranked.min(axis=1),
        ranked.max(axis=1),
    )
    table.attrs["kendall_w"] = _concordance(ranked)
    return table.sort_values("mean_rank").reset_index()


def _logits(run: Run, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(run.row_store("logits").read(rows), dtype=np.float64)


def _concordance(ranked: pd.DataFrame) -> float:
    """Kendall's W of the targets' rankings of the methods that every target has; ties share their mean rank."""
    complete = ranked.dropna()
    methods, targets = complete.shape
    if methods < 2 or targets < 2:
        return float("nan")
    deviation = complete.sum(axis=1) - complete.sum(axis=1).mean()
    return float(12 * (deviation**2).sum() / (targets**2 * (methods**3 - methods)))
