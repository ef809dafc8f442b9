"""Tables of what was compared over seeds: patients are the unit, never ECGs, and seeds are a second one."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.targets import known_info
from ecg_lightning.experiments.self_consistency.compare import ComparedTarget
from ecg_lightning.experiments.self_consistency.measure import kendall_w
from ecg_lightning.experiments.self_consistency.seed_pairs import (
    corrected_effect,
    interval_of,
    noise_of_pairs,
    raw_effect,
    reliability_of,
)
from ecg_lightning.functional.similarity import SIGNS, STATISTICS
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.store import RowStore

SEVERAL_TARGETS: Final = "none: several classes"

_LARGEST: Final = 0.999999
"""Correlations are cut here before Fisher's transformation, which is infinite at 1."""

_MEANS: Final = (
    *("mean", "mean_over_ecgs", "mean_fisher_z", "mean_matched", "floor", "above_floor", "corrected_above_floor"),
    "mean_disattenuated",
)


def consistency_table(targets: Sequence[ComparedTarget], settings: IntervalSettings) -> pd.DataFrame:
    """Self-consistency of every method, in every target and over all targets.

    ``mean`` averages each patient's ECGs first, ``mean_over_ecgs`` does not, ``mean_fisher_z`` averages Fisher's z of
    the correlations instead; ``sd`` is the standard deviation over all ECGs and pairs, ``lowest_pair`` and
    ``highest_pair`` are the extreme pairs of seeds. ``low`` and ``high`` are a t interval over patients and seeds
    jointly, and ``interval`` says so, or why there is none. ``mean_matched`` is of the pairs that predict the same
    class, ``floor`` that of two seeds' maps of different patients, ``above_floor`` the difference, pair by pair, and
    ``corrected_above_floor`` what it would be without the maps' Monte-Carlo noise, with its interval. Over all targets
    the means are those of the targets' means, ``sd`` their spread, and several targets have no interval.

    Args:
        targets: What was compared.
        settings: Of the intervals.

    Returns:
        ``target, method, statistic, sign, mean, low, high, interval, mean_over_ecgs, mean_fisher_z, sd, lowest_pair,
        highest_pair, mean_matched, floor, above_floor, corrected_above_floor, corrected_low, corrected_high,
        mean_disattenuated, reliability, kendall_w, n_ecgs, n_patients, n_patients_with`` (the diagnosis)``, n_seeds,
        n_pairs, n_undefined, n_disagreeing, n_without_partner, n_targets``. The counts behind ``n_pairs`` are of ECGs
        and pairs. Kendall's W stands beside Spearman's native correlation; what is corrected beside Pearson's native
        one, whose reliability is known.
    """
    rows: list[dict[str, object]] = []
    for target in targets:
        for method in target.consistency:
            values, floor = (_all_rows(stores[method]) for stores in (target.consistency, target.floor))
            reliability = reliability_of(target.runs, target.rows, method)
            for s, statistic in enumerate(STATISTICS):
                for k, sign in enumerate(SIGNS):
                    head = {"target": target.target, "method": method, "statistic": statistic, "sign": sign}
                    own, other = values[:, s, k], floor[:, s, k]
                    row = head | _described(target, own, other, settings) | _counted(target, own)
                    if sign == "native":
                        row |= _native(target, own, other, reliability, statistic, settings)
                    rows.append(row)
    return pd.concat([pd.DataFrame(rows), _over_targets(pd.DataFrame(rows))], ignore_index=True)


def _all_rows(store: RowStore) -> NDArray[np.float64]:
    return np.asarray(store.read(np.arange(len(store))), dtype=np.float64)


def _described(
    target: ComparedTarget, values: NDArray[np.float64], floor: NDArray[np.float64], settings: IntervalSettings
) -> dict[str, object]:
    """Means, spread and interval of (ecg, pair) values."""
    patients = target.examples["patient_id"].to_numpy()

    def mean(part: NDArray[np.float64]) -> float:
        return float(raw_effect(part, patients, target.seeds).estimate)

    effect = raw_effect(values, patients, target.seeds)
    low, high, kind = interval_of(effect, settings.confidence)
    pairs = _mean(values, 0)
    return {
        "mean": float(effect.estimate),
        "low": low,
        "high": high,
        "interval": kind,
        "mean_over_ecgs": float(_mean(_mean(values, 1), 0)),
        "mean_fisher_z": float(np.tanh(mean(np.arctanh(np.clip(values, -_LARGEST, _LARGEST))))),
        "sd": float(np.nanstd(values)) if np.isfinite(values).any() else np.nan,
        "lowest_pair": float(np.min(pairs)),
        "highest_pair": float(np.max(pairs)),
        "mean_matched": mean(np.where(target.partners.agreed >= 0, values, np.nan)),
        "floor": mean(floor),
        "above_floor": mean(values - floor),
    }


def _counted(target: ComparedTarget, values: NDArray[np.float64]) -> dict[str, object]:
    """What the means are of, and what is left out of them."""
    there = target.examples[np.isfinite(values).any(axis=1)]
    agreed, partner = target.partners.agreed, target.partners.partner
    return {
        "n_ecgs": len(there),
        "n_patients": there["patient_id"].nunique(),
        "n_patients_with": there.loc[known_info(target.target).present(there["label"]), "patient_id"].nunique(),
        "n_seeds": len(target.seeds),
        "n_pairs": values.shape[1],
        "n_undefined": int(np.isnan(values).sum()),
        "n_disagreeing": int((agreed < 0).sum()),
        "n_without_partner": int(((agreed >= 0) & (partner < 0)).sum()),
    }


def _native(
    target: ComparedTarget,
    values: NDArray[np.float64],
    floor: NDArray[np.float64],
    reliability: NDArray[np.float64] | None,
    statistic: str,
    settings: IntervalSettings,
) -> dict[str, object]:
    """What is known of maps with their sign only: concordance, reliability, and means without Monte-Carlo noise."""
    patients = target.examples["patient_id"].to_numpy()
    if statistic == "spearman":
        mean = float(raw_effect(values, patients, target.seeds).estimate)
        return {"kendall_w": float(kendall_w(np.asarray(mean), len(target.seeds)))}
    noise = noise_of_pairs(reliability, values.shape)
    above = corrected_effect(values - floor, noise, patients, target.seeds)
    low, high, _ = interval_of(above, settings.confidence)
    known = np.nan if reliability is None or np.isnan(reliability).all() else float(np.nanmedian(reliability))
    return {
        "corrected_above_floor": float(above.estimate),
        "corrected_low": low,
        "corrected_high": high,
        "mean_disattenuated": float(corrected_effect(values, noise, patients, target.seeds).estimate),
        "reliability": known,
    }


def _over_targets(table: pd.DataFrame) -> pd.DataFrame:
    """Means of the targets' means; a single target keeps its interval."""
    groups = table.groupby(["method", "statistic", "sign"], sort=False)
    found = groups[list(_MEANS)].mean()
    found["sd"] = groups["mean"].std(ddof=0)
    found["n_targets"] = groups["mean"].count()
    single = groups["target"].transform("nunique") == 1
    bounds = ["low", "high", "corrected_low", "corrected_high"]
    found = found.join(table[single].set_index(["method", "statistic", "sign"])[[*bounds, "interval"]])
    found["interval"] = found["interval"].fillna(SEVERAL_TARGETS)
    return found.reset_index().assign(target=ALL_TARGETS)


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: NDArray[np.float64] = np.where(known, values, 0.0).sum(axis=axis) / known.sum(axis=axis)
    return mean
