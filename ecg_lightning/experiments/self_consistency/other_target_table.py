"""Table of how alike maps of one ECG are by networks of different targets: means over patients, then over seeds."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.targets import known_info
from ecg_lightning.experiments.self_consistency.other_targets import OtherTargets
from ecg_lightning.experiments.self_consistency.seed_pairs import FEW_PATIENTS, OVER_BOTH, UNDEFINED
from ecg_lightning.functional.similarity import SIGNS, STATISTICS
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.statistics.effect import MIN_PATIENTS, Effect, mean_effect, patient_means

ONE_SEED: Final = "t over patients: one seed"
SEVERAL_PAIRS: Final = "none: several pairs of classes"


def other_target_table(others: OtherTargets, confidence: float) -> pd.DataFrame:
    """Similarity of both targets' networks of one seed, for every pair of targets that share ECGs and seeds, once.

    Args:
        others: What was compared.
        confidence: Confidence level of the intervals.

    Returns:
        ``target, other_target, method, statistic, sign, mean, low, high, interval, n_patients, n_patients_with``
        (the target's diagnosis)``, n_patients_with_other, n_left_out`` (patients that a seed has no value of)``,
        n_ecgs, n_seeds, n_undefined`` (ECGs and seeds)``, n_pairs``. Rows of which both targets are ``all`` hold the
        means of the pairs' means.
    """
    table = pd.DataFrame(list(_rows(others, confidence)))
    if table.empty:
        return table
    groups = table.groupby(["method", "statistic", "sign"], sort=False)["mean"]
    overall = pd.DataFrame({"mean": groups.mean(), "n_pairs": groups.count()}).reset_index()
    overall = overall.assign(target=ALL_TARGETS, other_target=ALL_TARGETS, interval=SEVERAL_PAIRS)
    return pd.concat([table.assign(n_pairs=1), overall], ignore_index=True)


def _rows(others: OtherTargets, confidence: float) -> Iterator[dict[str, object]]:
    for method, store in others.stores.items():
        seeds = [int(seed) for seed in store.spec.coords["seed"]]
        read = np.asarray(store.read(np.arange(len(store))), dtype=np.float64)
        for place, (target, other) in enumerate(others.pairs[method]):
            ecgs = others.tested[target] & others.tested[other]
            both = np.isin(seeds, others.seeds[target]) & np.isin(seeds, others.seeds[other])
            if not (ecgs.any() and both.any()):
                continue
            for s, statistic in enumerate(STATISTICS):
                for k, sign in enumerate(SIGNS):
                    values = read[ecgs, s, k, place][:, both]
                    head = {"target": target, "other_target": other, "method": method}
                    head |= {"statistic": statistic, "sign": sign}
                    yield head | _described(others, target, other, ecgs, values, confidence)


def _described(
    others: OtherTargets,
    target: str,
    other: str,
    ecgs: NDArray[np.bool_],
    values: NDArray[np.float64],
    confidence: float,
) -> dict[str, object]:
    """Mean, interval and counts of (ecg, seed) values."""
    patients = others.ecgs.loc[ecgs, "patient_id"].to_numpy()
    means, names = patient_means(values, patients)
    effect = mean_effect(means)
    low, high, kind = _interval(effect, confidence)
    counted = names[np.isfinite(means).all(axis=1)]
    present = {one: known_info(one).present(others.labels[one][ecgs]) for one in (target, other)}
    having = [np.intersect1d(patients[present[one]], counted) for one in (target, other)]
    return {
        "mean": float(effect.estimate),
        "low": low,
        "high": high,
        "interval": kind,
        "n_patients": int(effect.n_patients),
        "n_patients_with": len(having[0]),
        "n_patients_with_other": len(having[1]),
        "n_left_out": int(effect.n_left_out),
        "n_ecgs": int(np.isfinite(values).any(axis=1).sum()),
        "n_seeds": effect.n_seeds,
        "n_undefined": int(np.isnan(values).sum()),
    }


def _interval(effect: Effect, confidence: float) -> tuple[float, float, str]:
    if int(effect.n_patients) < MIN_PATIENTS:
        return np.nan, np.nan, FEW_PATIENTS
    low, high = (float(bound) for bound in effect.interval(confidence))
    if not np.isfinite(low):
        return np.nan, np.nan, UNDEFINED
    return low, high, OVER_BOTH if effect.n_seeds > 1 else ONE_SEED
