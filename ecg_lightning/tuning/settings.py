"""This module sets what is tuned for, on how many ECGs and how far, and when a setting is good enough."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.attribution.budget import BudgetLimits
from ecg_lightning.functional.reliability import stopping_reliability

LOWEST: Final = 0.1
"""Quantile over ECGs that must not stay far below the target."""

_SHORTFALL: Final = 0.5
"""Share of the distance between the target and 1, that the lowest decile may lack: .985 for a target of .99."""


@dataclass(frozen=True)
class TuningSettings:
    """The tuning settings say what ``tune`` looks for.

    Args:
        target_correlation: Correlation of a map with its own limit, to be reached by the median ECG.
        n_ecgs: Validation ECGs, half of them with the diagnosis.
        max_samples: Draws that are tried at most; None: each method's own ``max_samples``.
        max_steps: Nodes of integrated gradients that are tried at most.
        max_forwards: Forwards of Shapley sampling that are tried at most; None: 24 times the number of groups for the
            surrogates (4,584 for 192 groups), 128 times it for permutations.

    Raises:
        ValueError: A correlation outside (0, 1), or a number that can't be.
    """

    target_correlation: float = 0.99
    n_ecgs: int = 8
    max_samples: int | None = None
    max_steps: int = 96
    max_forwards: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.target_correlation < 1.0:
            raise ValueError(
                f"tune.target_correlation must be between 0 and 1 (such as .99), got {self.target_correlation}"
            )
        least = {"n_ecgs": 2, "max_samples": 2, "max_steps": 2, "max_forwards": 2}
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is not None and value < smallest:
                raise ValueError(f"tune.{name} must be {smallest} or more, got {value}")

    def limits(self, backgrounds: int) -> BudgetLimits:
        """Return how far each method's grid may go, with so many training ECGs at hand as backgrounds."""
        return BudgetLimits(self.max_samples, self.max_steps, self.max_forwards, backgrounds)

    @property
    def wanted_median(self) -> float:
        """Return the predicted correlation that the median ECG must show.

        The first setting on a grid that is above a target is above it partly by chance, so there is the same margin
        as where an ECG's map stops by itself: .993 for .99.
        """
        return math.sqrt(stopping_reliability(self.target_correlation))

    @property
    def wanted_lowest(self) -> float:
        """Return the predicted correlation that the lowest decile of the ECGs must show: .985 for a target of .99."""
        return self.target_correlation - _SHORTFALL * (1.0 - self.target_correlation)

    def reached(self, correlation: NDArray[np.float64]) -> bool:
        """Return whether a setting is good enough.

        Args:
            correlation: (ecg,) predicted correlation with the limit; NaN for a constant map, which has none.
        """
        known = correlation[np.isfinite(correlation)]
        if not len(known):
            return False
        return bool(np.median(known) >= self.wanted_median and np.quantile(known, LOWEST) >= self.wanted_lowest)
