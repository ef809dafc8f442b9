"""The picture of the progressive cascade, of one run and of a study alike (paper, Figures 4A and S5)."""

from collections.abc import Mapping
from typing import Final

import pandas as pd

from ecg_lightning.plotting.curves import CurvePanel, NetworkCurve, XAxis, curve_of

AXIS: Final = XAxis("randomised layers")

_DIRECTIONS: Final[Mapping[str, str]] = {
    "from_output": "from the output",
    "from_input": "from the input",
    "independent": "each layer alone, counted from the output",
}


_SCORES: Final[Mapping[str, tuple[str, float, str]]] = {
    "auroc": ("AUROC", 0.5, "chance"),
    "r2": ("R2", 0.0, "the mean of the values"),
}
"""Column of the network's score: its name, what a network that knows nothing has, and how that is called."""


def network_score(network: pd.DataFrame) -> str:
    """Name the column with the network's score: ``auroc``, or ``r2`` where only measurements were explained."""
    return "auroc" if ("auroc" in network and network["auroc"].notna().any()) or "r2" not in network else "r2"


def network_words(network: pd.DataFrame) -> str:
    """Say the network's score, and what one that knows nothing has: AUROC on the same ECGs, and chance."""
    name, _, chance = _SCORES[network_score(network)]
    return f"{name} on the same ECGs, and {chance}"


def cascade_panels(table: pd.DataFrame, network: pd.DataFrame, statistic: str, sign: str) -> list[CurvePanel]:
    """One panel a direction: similarity to the trained map by depth, and below it the network's AUROC, or R2.

    Args:
        table: ``direction, smooth, statistic, sign, method, depth, similarity, low, high``; one row a point.
        network: ``direction, depth, auroc, low, high``, or ``r2`` in place of ``auroc``.
        statistic: ``pearson`` or ``spearman``.
        sign: ``native`` or ``absolute``.
    """
    chosen = table[~table["smooth"] & (table["statistic"] == statistic) & (table["sign"] == sign)]
    label = f"{statistic.capitalize()} correlation with\nthe trained map"
    panels = []
    for direction in dict.fromkeys(chosen["direction"]):
        part = chosen[chosen["direction"] == direction]
        names = dict.fromkeys(part["method"])
        curves = {name: curve_of(part[part["method"] == name], "depth", "similarity") for name in names}
        score = network_score(network)
        of_network = curve_of(network[network["direction"] == direction], "depth", score)
        words, chance, chance_words = _SCORES[score]
        own = NetworkCurve(f"{words} of\nthe network", of_network, chance, chance_words)
        panels.append(CurvePanel(_DIRECTIONS.get(direction, direction), label, curves, None, 0.0, own))
    return panels
