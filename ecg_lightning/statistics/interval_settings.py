"""These settings say how the intervals of a table are made."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IntervalSettings:
    """The interval settings say how intervals are made.

    Attributes:
        n_resamples: Number of patient resamples, where an interval is a bootstrap.
        confidence: Confidence level of the intervals.
        seed: Seed of the bootstrap resamples.
    """

    n_resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
