"""How the intervals of a table are made."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IntervalSettings:
    """How intervals are made.

    Attributes:
        n_resamples: Of patients, where an interval is a bootstrap.
        confidence: Of the intervals.
        seed: Of the resamples.
    """

    n_resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
