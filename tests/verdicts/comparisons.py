"""Comparisons whose effects are known, for tests of what follows from them."""

import numpy as np

from ecg_lightning.statistics.effect import Effect
from ecg_lightning.verdicts.checks import Margin, margins_of
from ecg_lightning.verdicts.comparison import Comparison

EVIDENCE = margins_of("localization", "uses_the_network")[0]


def effect(estimate: float, error: float = 0.02, n: int = 30, seeds: int = 3, skewness: float = 0.0) -> Effect:
    values = (estimate, error**2, n - 1.0, skewness)
    return Effect(*(np.array(value) for value in values), np.array(n), np.array(0), seeds)


def comparison(estimate: float, margin: Margin = EVIDENCE, error: float = 0.02, n: int = 30, **more) -> Comparison:
    """One of ``n`` patients with the diagnosis, and as many without it."""
    seeds = more.pop("seeds", 3)
    given = {"target": "atrial_fibrillation", "method": "saliency", "control": False, "against": "absolute_input"}
    counts = {"n_positive": n, "n_negative": n, "n_ecgs": 2 * n, "value": 0.7}
    return Comparison(margin=margin, effect=effect(estimate, error, n, seeds), **{**given, **counts, **more})
