"""The panels of the scores of single maps, of one run and of a study alike."""

from collections.abc import Callable, Mapping
from typing import Final

import pandas as pd

from ecg_lightning.plotting.bars import ScorePanel

UNITS: Final[Mapping[str, str]] = {"infidelity": "1", "max_sensitivity": "1", "sparseness": "1", "complexity": "nat"}
"""Score -> its unit, in the order of the panels."""

_LABELS: Final[Mapping[str, str]] = {
    "infidelity": "infidelity (less is better)",
    "max_sensitivity": "max-sensitivity (less is better)",
    "sparseness": "sparseness (Gini)",
    "complexity": "complexity (nat)",
}


def score_panels(table: pd.DataFrame, averaged: Callable[[pd.DataFrame], pd.DataFrame]) -> list[ScorePanel]:
    """Make one panel a score.

    Args:
        table: ``score, method, map, value, low, high`` and what ``averaged`` needs.
        averaged: Gives the rows that are drawn from those of one score.
    """
    known = [name for name in UNITS if (table["score"] == name).any()]
    return [ScorePanel("", _LABELS[name], averaged(table[table["score"] == name])) for name in known]
