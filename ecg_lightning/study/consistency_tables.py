"""Tables of what was compared over seeds, with intervals (design, section 6: patients are resampled, never ECGs)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ecg_lightning.functional.correlation import pearson, spearman
from ecg_lightning.functional.intervals import patient_bootstrap, percentile_interval, weighted_mean
from ecg_lightning.functional.self_consistency import (
    MIN_SEEDS_FOR_INTERVAL,
    kendall_w,
    mean_over_pairs,
    pair_weights,
)
from ecg_lightning.functional.similarity import SIGNS, STATISTICS
from ecg_lightning.run import Run
from ecg_lightning.study.compare import ComparedTarget

ALL_TARGETS: Final = "all"


@dataclass(frozen=True)
class IntervalSettings:
    """How intervals are made.

    Attributes:
        n_resamples: Of patients, and of seeds.
        confidence: Of the intervals.
        seed: Of the resamples.
    """

    n_resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0


def consistency_table(targets: Sequence[ComparedTarget], settings: IntervalSettings) -> pd.DataFrame:
    """Self-consistency of every method, in every target and over all targets.

    A target's value is the mean over ECGs of the mean over pairs of seeds, and ``sd`` the standard deviation over all
    ECGs and pairs. Over all targets it is the mean of the targets' values. ``low`` and ``high`` come from resampled
    patients (the same ones in every target); ``seed_low`` and ``seed_high`` from resampled seeds where there are five
    or more, else they are the least and the greatest pair's (``seed_interval`` says which).

    Args:
        targets: What was compared.
        settings: Of the intervals.

    Returns:
        ``target, method, statistic, sign, mean, sd, low, high, seed_low, seed_high, seed_interval, kendall_w, n_ecgs,
        n_patients, n_seeds, n_pairs, n_undefined, reliability, mean_disattenuated``. Kendall's W stands beside
        Spearman's native correlation; reliability is the median of stochastic maps.
    """
    rows: list[dict[str, object]] = []
    replicates: dict[tuple[str, str, str], list[tuple[float, NDArray[np.float64]]]] = {}
    for target in targets:
        for method, store in target.consistency.items():
            values = np.asarray(store.read(np.arange(len(store))), dtype=np.float64)
            reliability = _reliability(target, method)
            for s, statistic in enumerate(STATISTICS):
                for k, sign in enumerate(SIGNS):
                    row, draws = _one(target, values[:, s, k], settings)
                    head: dict[str, object] = {"target": target.target, "method": method}
                    extra = _corrected(values[:, s, k], reliability, statistic, sign, target)
                    rows.append(head | {"statistic": statistic, "sign": sign} | row | extra)
                    replicates.setdefault((method, statistic, sign), []).append((float(str(row["mean"])), draws))
    rows += [_overall(*key, found, settings, len(targets)) for key, found in replicates.items()]
    return pd.DataFrame(rows)


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


def _one(
    target: ComparedTarget, values: NDArray[np.float64], settings: IntervalSettings
) -> tuple[dict[str, object], NDArray[np.float64]]:
    """Mean and intervals of (ecg, pair) values, and the replicates over patients."""
    with np.errstate(invalid="ignore"):
        per_ecg = np.array([np.nan if np.isnan(row).all() else np.nanmean(row) for row in values])
    patients = target.examples["patient_id"].to_numpy()
    mean, low, high, draws = np.nan, np.nan, np.nan, np.full(settings.n_resamples, np.nan)
    if np.isfinite(per_ecg).any():
        mean = float(np.nanmean(per_ecg))
        if len(np.unique(patients)) > 1:
            found = patient_bootstrap(
                lambda weights: weighted_mean(per_ecg, weights),
                patients,
                n_resamples=settings.n_resamples,
                confidence=settings.confidence,
                seed=settings.seed,
            )
            low, high, draws = float(found.interval.low), float(found.interval.high), found.replicates
    seed_low, seed_high, kind = _over_seeds(values, len(target.seeds), settings)
    row: dict[str, object] = {
        "mean": mean,
        "sd": float(np.nanstd(values)) if np.isfinite(values).any() else np.nan,
        "low": low,
        "high": high,
        "seed_low": seed_low,
        "seed_high": seed_high,
        "seed_interval": kind,
        "n_ecgs": int(np.isfinite(per_ecg).sum()),
        "n_patients": len(np.unique(patients)),
        "n_seeds": len(target.seeds),
        "n_pairs": values.shape[1],
        "n_undefined": int(np.isnan(values).sum()),
    }
    return row, draws


def _over_seeds(values: NDArray[np.float64], n_seeds: int, settings: IntervalSettings) -> tuple[float, float, str]:
    """Interval over resampled seeds, or the range of the pairs where seeds are few."""
    each = mean_over_pairs(values.T, np.ones((1, len(values))))[0]  # of every pair, over ECGs
    if n_seeds < MIN_SEEDS_FOR_INTERVAL:
        known = each[np.isfinite(each)]
        return (float(known.min()), float(known.max()), "range") if len(known) else (np.nan, np.nan, "range")
    draws = mean_over_pairs(each, pair_weights(n_seeds, settings.n_resamples, settings.seed))
    interval = percentile_interval(draws, settings.confidence)
    return float(interval.low), float(interval.high), "bootstrap"


def _corrected(
    values: NDArray[np.float64],
    reliability: NDArray[np.float64] | None,
    statistic: str,
    sign: str,
    target: ComparedTarget,
) -> dict[str, object]:
    """What is known beside the mean: concordance of the seeds, reliability, and the mean without Monte-Carlo noise."""
    found: dict[str, object] = {"kendall_w": np.nan, "reliability": np.nan, "mean_disattenuated": np.nan}
    if not np.isfinite(values).any() or sign != "native":
        return found
    if statistic == "spearman":
        found["kendall_w"] = float(kendall_w(np.asarray(np.nanmean(values)), len(target.seeds)))
    elif reliability is None:
        found["mean_disattenuated"] = float(np.nanmean(values))  # a deterministic map has no noise
    else:
        first, second = np.triu_indices(len(target.seeds), 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            clean = values / np.sqrt(reliability[first] * reliability[second]).T
        clean = clean[np.isfinite(clean)]
        found["reliability"] = float(np.nanmedian(reliability)) if np.isfinite(reliability).any() else np.nan
        found["mean_disattenuated"] = float(clean.mean()) if clean.size else np.nan
    return found


def _overall(
    method: str,
    statistic: str,
    sign: str,
    found: list[tuple[float, NDArray[np.float64]]],
    settings: IntervalSettings,
    n_targets: int,
) -> dict[str, object]:
    means = np.array([mean for mean, _ in found])
    draws = np.stack([draw for _, draw in found])
    interval = percentile_interval(draws.mean(axis=0), settings.confidence)
    return {
        "target": ALL_TARGETS,
        "method": method,
        "statistic": statistic,
        "sign": sign,
        "mean": float(np.nanmean(means)) if np.isfinite(means).any() else np.nan,
        "sd": float(np.nanstd(means)) if np.isfinite(means).any() else np.nan,
        "low": float(interval.low),
        "high": float(interval.high),
        "n_targets": n_targets,
    }


def _reliability(target: ComparedTarget, method: str) -> NDArray[np.float64] | None:
    """(seed, ecg) of a stochastic method's maps; None of a deterministic one."""
    name = f"reliability/{method}"
    if not all((run.path / name).is_dir() for run in target.runs.values()):
        return None
    stores = [run.row_store(name) for run in target.runs.values()]
    read = [store.read(rows) for store, rows in zip(stores, target.rows, strict=True)]
    return np.stack(read).astype(np.float64)


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
