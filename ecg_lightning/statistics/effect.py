"""An effect is a mean over patients and training seeds, with its interval and one-sided tests in closed form.

The variance of a mean over patients and seeds counts both as random: v = var(patient means) / n + var(seed means) / S.
The term that patients and seeds share is counted twice on purpose, which keeps a study of few seeds honest. A test
takes the larger p of Student's t and of Hall's transformation of it, which corrects for skewness and is monotone
(Hall P, J R Stat Soc B 1992;54:221-228).
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_ROUNDING: Final = 1e-12
"""Of values of this relative size and less nothing is known but rounding; scores are of the order of 1."""

MIN_PATIENTS: Final = 20
"""Patients with the diagnosis below which no test is made: with fewer, tests of skewed data exceed their level."""


@dataclass(frozen=True)
class Effect:
    """An effect holds estimates with what their tests need; every array has the shape (...).

    Attributes:
        estimate: Estimates of the effects.
        variance: Variance of the estimates' sampling distributions.
        df: Degrees of freedom of the variances.
        skewness: Skewness of the estimates' sampling distributions; 0 for symmetric data.
        n_patients: Patients that every seed has a value of.
        n_left_out: Patients that at least one seed lacks a value of.
        n_seeds: Number of training seeds.
    """

    estimate: NDArray[np.float64]
    variance: NDArray[np.float64]
    df: NDArray[np.float64]
    skewness: NDArray[np.float64]
    n_patients: NDArray[np.int64]
    n_left_out: NDArray[np.int64]
    n_seeds: int

    def at(self, index: int) -> "Effect":
        """Return one of several effects (effect,), as a scalar."""
        parts = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self) if field.name != "n_seeds"}
        return Effect(**{name: part[index] for name, part in parts.items()}, n_seeds=self.n_seeds)

    def interval(self, confidence: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute Student's t interval, low and high (...); NaN where the variance is unknown."""
        half = stats.t.ppf((1 + confidence) / 2, self.df) * np.sqrt(self.variance)
        return self.estimate - half, self.estimate + half

    def p_above(self, margin: float) -> NDArray[np.float64]:
        """Compute the one-sided p of "the effect is above the margin" (...); 1 where the variance is 0 or unknown."""
        return _larger_p(self.estimate - margin, self.variance, self.df, self.skewness)

    def p_below(self, margin: float) -> NDArray[np.float64]:
        """Compute the one-sided p of "the effect is below the margin" (...); 1 where the variance is 0 or unknown."""
        return _larger_p(margin - self.estimate, self.variance, self.df, -self.skewness)


def patient_means(values: ArrayLike, patient_ids: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.generic]]:
    """Average each patient's ECGs, so that every patient counts once.

    Args:
        values: (ecg, ...); NaN is left out of its patient's mean.
        patient_ids: Patient of each ECG, (ecg,).

    Returns:
        (patient, ...) means, NaN where a patient has no value; and the patients, sorted.

    Raises:
        ValueError: Shapes that do not agree.

    Example:
        >>> means, patients = patient_means([0.2, 0.4, 0.9], ["anna", "anna", "ben"])
        >>> means.round(2).tolist(), patients.tolist()
        ([0.3, 0.9], ['anna', 'ben'])
    """
    table, ids = np.asarray(values, dtype=np.float64), np.asarray(patient_ids)
    if table.ndim == 0 or ids.shape != table.shape[:1]:
        raise ValueError(f"expected values (ecg, ...) and patient ids (ecg,), got {table.shape} and {ids.shape}")
    patients, codes = np.unique(ids, return_inverse=True)
    known = np.isfinite(table)
    total, count = (np.zeros((len(patients), *table.shape[1:])) for _ in range(2))
    np.add.at(total, codes, np.where(known, table, 0.0))
    np.add.at(count, codes, known)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: NDArray[np.float64] = total / count
    return means, patients


def mean_effect(values: ArrayLike) -> Effect:
    """Average over patients and seeds.

    Args:
        values: (patient, seed, ...): one value a patient and seed, see :func:`patient_means`. A patient that some seed
            has no value (NaN) of is left out of that effect, and counted.

    Returns:
        Effects of shape (...). With one seed the variance is that over patients alone; with fewer than two patients the
        variance is NaN.

    Raises:
        ValueError: No dimension of patients and seeds.

    Example:
        >>> effect = mean_effect([[0.1], [0.2], [0.3], [0.4]])  # four patients, one seed
        >>> low, high = effect.interval()
        >>> print(f"{effect.estimate:.2f} ({low:.2f} to {high:.2f}), {effect.df:.0f} degrees of freedom")
        0.25 (0.04 to 0.46), 3 degrees of freedom
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim < 2 or not table.shape[1]:
        raise ValueError(f"expected values (patient, seed, ...) of one seed or more, got {table.shape}")
    complete = np.asarray(np.isfinite(table).all(axis=1))  # (patient, ...)
    known = np.where(complete[:, None], table, 0.0)
    patients, seeds = complete.sum(axis=0), table.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        of_seeds = known.sum(axis=0) / patients  # (seed, ...)
        estimate = of_seeds.mean(axis=0)
        contributions = np.where(complete, (known.mean(axis=1) - estimate) / patients, 0.0)  # (patient, ...)
        over_patients = (contributions**2).sum(axis=0) * patients / (patients - 1)
    over_patients = np.where(patients > 1, over_patients, np.nan)
    over_seeds = of_seeds.var(axis=0, ddof=1) / seeds if seeds > 1 else np.zeros_like(estimate)
    size = np.abs(known).max(axis=(0, 1), initial=0.0)
    return effect_of(
        estimate,
        variances=[over_patients, over_seeds],
        df=[patients - 1, np.full_like(patients, seeds - 1)],
        third_moment=(contributions**3).sum(axis=0),
        size=size,
        n_patients=patients,
        n_left_out=len(table) - patients,
        n_seeds=seeds,
    )


def effect_of(
    estimate: ArrayLike,
    *,
    variances: ArrayLike,
    df: ArrayLike,
    third_moment: ArrayLike,
    size: ArrayLike,
    n_patients: ArrayLike,
    n_left_out: ArrayLike,
    n_seeds: int,
) -> Effect:
    """Make an effect from the parts of its variance.

    Args:
        estimate: The effect, of any shape (...).
        variances: (part, ...) of the independent parts that add up to the estimate's variance.
        df: (part, ...) their degrees of freedom; less than one counts as one.
        third_moment: (...) of the estimate about its mean.
        size: (...) of the largest value that the estimate is made of. A part of the variance that such values have by
            their rounding alone is 0: a difference that is the same for all patients was not sampled.
        n_patients: (...) that count.
        n_left_out: (...) that do not.
        n_seeds: Number of training seeds.
    """
    parts = np.asarray(variances, dtype=np.float64)
    parts = np.where(parts <= (_ROUNDING * np.maximum(size, 1.0)) ** 2, 0.0, parts)  # NaN stays
    variance = parts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        skewness = np.where(variance == 0, 0.0, np.asarray(third_moment) / variance**1.5)
    return Effect(
        np.asarray(estimate, dtype=np.float64),
        variance,
        degrees_of_freedom(parts, np.maximum(df, 1)),
        skewness,
        np.asarray(n_patients, dtype=np.int64),
        np.asarray(n_left_out, dtype=np.int64),
        n_seeds,
    )


def degrees_of_freedom(variances: ArrayLike, df: ArrayLike) -> NDArray[np.float64]:
    """Compute the degrees of freedom of a sum of independent variance estimates.

    Satterthwaite (Biometrics Bull 1946;2:110-114) weighs each part's 1/df by the square of its share of the sum. With
    three seeds that make up most of the variance, one-sided tests of nominal .025 then have a level of up to .039:
    where the seeds happen to lie close, their share is small and the degrees of freedom are many. Here the exponent
    falls from 2 to 1 as a part's share rises: at most .033, and the same where one part is nearly all.

    Args:
        variances: (part, ...) estimates that are added up.
        df: (part, ...) degrees of freedom of each.

    Returns:
        (...) their degrees of freedom; the sum of ``df`` where all variances are 0, NaN where one is unknown.
    """
    parts, freedom = np.asarray(variances, dtype=np.float64), np.asarray(df, dtype=np.float64)
    total = parts.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = parts / total
        of_sum = 1 / (share ** (2 - share) / freedom).sum(axis=0)
    return np.asarray(np.where(total == 0, freedom.sum(axis=0), of_sum), dtype=np.float64)


def _larger_p(
    distance: NDArray[np.float64], variance: NDArray[np.float64], df: NDArray[np.float64], skewness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The larger one-sided p of Student's t and of Hall's transformation."""
    tested = np.asarray(variance) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.asarray(distance) / np.sqrt(np.asarray(variance))
        g = np.asarray(skewness)
        hall = t + g / 6 + g * t**2 / 3 + g**2 * t**3 / 27
        p = np.maximum(stats.t.sf(t, df), stats.t.sf(hall, df))
    return np.asarray(np.where(tested, p, 1.0), dtype=np.float64)
