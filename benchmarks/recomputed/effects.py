"""The closed forms behind verdicts, written again from their description: loops over patients, pairs by pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from recomputed.stores import Array
from recomputed.tables import mean, patient_means

NOTHING = 1e-12
"""A standard error below this share of the values is rounding: nothing was sampled."""


@dataclass(frozen=True)
class Effect:
    """An estimate over patients and networks.

    Attributes:
        estimate: Of the effect.
        variance: Of the estimate; NaN where it is unknown.
        df: Degrees of freedom of the variance.
        skewness: Of the estimate.
        n_patients: That count.
        n_left_out: That do not.
    """

    estimate: float
    variance: float
    df: float
    skewness: float
    n_patients: int
    n_left_out: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's t."""
        half = stats.t.ppf((1 + confidence) / 2, self.df) * np.sqrt(self.variance)
        return self.estimate - half, self.estimate + half

    def p(self, margin: float, side: str) -> float:
        """One-sided, of lying above or below the margin: the larger of t's and of Hall's transformation."""
        if not self.variance > 0:
            return 1.0
        sign = 1 if side == "above" else -1
        t, g = sign * (self.estimate - margin) / np.sqrt(self.variance), sign * self.skewness
        hall = t + g / 6 + g * t**2 / 3 + g**2 * t**3 / 27
        return float(max(1 - stats.t.cdf(t, self.df), stats.t.sf(hall, self.df)))


def made_of(
    estimate: float, parts: Sequence[tuple[float, int]], third: float, size: float, n_patients: int, n_left_out: int
) -> Effect:
    """From (variance, degrees of freedom) of the independent parts and the third moment of the estimate."""
    kept = [(0.0 if v <= (NOTHING * max(size, 1.0)) ** 2 else v, max(f, 1)) for v, f in parts]
    variance = sum(v for v, _ in kept)
    df = sum(f for _, f in kept)
    if variance != 0:  # Satterthwaite's exponent 2 falls to 1 as a part's share rises
        df = 1 / sum((v / variance) ** (2 - v / variance) / f for v, f in kept)
    skewness = 0.0 if variance == 0 else third / variance**1.5
    return Effect(float(estimate), float(variance), float(df), float(skewness), n_patients, n_left_out)


def mean_effect(values: Array) -> Effect:
    """Of (patient, seed): patients that a seed lacks are left out."""
    complete = values[np.isfinite(values).all(axis=1)]
    n, seeds = complete.shape
    if n == 0:
        return Effect(np.nan, np.nan, np.nan, np.nan, 0, len(values))
    a = complete.mean(axis=1)
    over_patients = a.var(ddof=1) / n if n > 1 else np.nan
    over_seeds = complete.mean(axis=0).var(ddof=1) / seeds if seeds > 1 else 0.0
    third = ((a - a.mean()) ** 3).sum() / n**3
    parts = [(over_patients, n - 1), (over_seeds, seeds - 1)]
    return made_of(a.mean(), parts, third, np.abs(complete).max(), n, len(values) - n)


def over_patients_and_seeds(values: Array, patients: np.ndarray) -> Effect:
    """Of (seed, ecg)."""
    return mean_effect(patient_means(values.T, patients).to_numpy())


def over_draws(values: Array, patients: np.ndarray) -> Effect:
    """Of (network, ecg, draw): draws averaged within networks; of one network draws stand in their place."""
    if len(values) > 1:
        return over_patients_and_seeds(mean(values, axis=2), patients)
    own = patient_means(values[0], patients).to_numpy()  # (patient, draw)
    measured = np.isfinite(own).any(axis=0)
    if measured.sum() > 1:
        return mean_effect(own[:, measured])
    one = mean_effect(own[:, measured] if measured.any() else own[:, :1])
    return Effect(one.estimate, np.nan, one.df, one.skewness, one.n_patients, one.n_left_out)


def auroc_sum(logits: Array, weights: Array, label: Array, patients: np.ndarray) -> Effect:
    """Of weighted AUROCs, logits (seed, ecg, term): every pair of an ECG with and one without is looked at."""
    known = np.isfinite(logits).all(axis=(0, 2)) & np.isfinite(label)
    left_out = len(set(patients[~known]))
    ids, with_it = patients[known], label[known] == 1
    n_patients = len(set(ids))
    if with_it.all() or not with_it.any():
        return Effect(np.nan, np.nan, np.nan, np.nan, n_patients, left_out)
    table = logits[:, known]
    a, b = table[:, with_it], table[:, ~with_it]
    pairs = np.zeros((len(table), a.shape[1], b.shape[1]))
    for term, weight in enumerate(weights):
        x, y = a[:, :, None, term], b[:, None, :, term]
        pairs += weight * ((x > y) + 0.5 * (x == y))
    of_seeds = pairs.mean(axis=(1, 2))
    share = {1: (pairs.mean(axis=(0, 2)) - of_seeds.mean()) / a.shape[1]}
    share[0] = (pairs.mean(axis=(0, 1)) - of_seeds.mean()) / b.shape[1]
    sums = {kind: _summed(share[kind], ids[with_it == bool(kind)]) for kind in (1, 0)}
    if min(len(one) for one in sums.values()) < 2:
        return Effect(float(of_seeds.mean()), np.nan, np.nan, np.nan, n_patients, left_out)
    factor = {kind: np.sqrt(len(one) / (len(one) - 1)) for kind, one in sums.items()}
    groups: dict[tuple[bool, bool], list[float]] = {(True, False): [], (False, True): [], (True, True): []}
    third = 0.0
    for patient in set(ids):
        one = {kind: sums[kind].get(patient, 0.0) for kind in (1, 0)}
        groups[patient in sums[1], patient in sums[0]].append(sum(factor[kind] * one[kind] for kind in (1, 0)))
        third += (one[1] + one[0]) ** 3
    parts = [(float(np.square(group).sum()), len(group) - 1) for group in groups.values()]
    parts.append((of_seeds.var(ddof=1) / len(of_seeds) if len(of_seeds) > 1 else 0.0, len(of_seeds) - 1))
    return made_of(of_seeds.mean(), parts, third, np.abs(weights).sum(), n_patients, left_out)


def _summed(values: Array, ids: np.ndarray) -> dict:
    found: dict = {}
    for value, patient in zip(values, ids, strict=True):
        found[patient] = found.get(patient, 0.0) + value
    return found


def pair_ratio(above: Array, below: Array, patients: np.ndarray, seeds: int) -> Effect:
    """Mean of ``above`` over mean of ``below``, both (ecg, pair of seeds); seeds are left out one by one."""
    known = np.isfinite(above) & np.isfinite(below)
    one, other = (patient_means(np.where(known, part, np.nan), patients).to_numpy() for part in (above, below))
    pairs = list(combinations(range(seeds), 2))
    there = np.isfinite(one).any(axis=1)
    n = int(there.sum())
    ratio, shares = _ratio(one, other)
    if n == 0 or np.isnan(ratio):
        return Effect(np.nan, np.nan, np.nan, np.nan, n, len(one) - n)
    without = [
        _ratio(one[:, keep], other[:, keep])[0]
        for keep in ([k for k, pair in enumerate(pairs) if seed not in pair] for seed in range(seeds))
    ]
    over_patients = float(np.square(shares).sum() * n / (n - 1)) if n > 1 else np.nan
    over_seeds = (seeds - 1) / seeds * ((without - np.mean(without)) ** 2).sum() if seeds > 2 else np.nan
    parts = [(over_patients, n - 1), (float(over_seeds), seeds - 1)]
    return made_of(ratio, parts, (shares**3).sum(), np.nanmax(np.abs(one)), n, len(one) - n)


def _ratio(above: Array, below: Array) -> tuple[float, Array]:
    """Of means over patients of means over pairs; and what each patient contributes to its error."""
    there = np.isfinite(above).any(axis=1) if above.shape[1] else np.zeros(len(above), dtype=bool)
    if not there.any():
        return np.nan, np.zeros(0)
    numerator, denominator = mean(above[there], axis=1), mean(below[there], axis=1)
    if denominator.sum() <= 0:
        return np.nan, np.zeros(0)
    ratio = numerator.sum() / denominator.sum()
    return float(ratio), (numerator - ratio * denominator) / denominator.sum()
