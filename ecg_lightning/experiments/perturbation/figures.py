"""The panels of perturbation curves, of one run and of a study alike (paper, Figure 4B)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from ecg_lightning.experiments.perturbation.words import MAP_WORDS, METRIC_WORDS, ORDER_WORDS
from ecg_lightning.plotting.curves import CurvePanel, XAxis, curve_of

AXIS: Final = XAxis("perturbed points (%)")


def curve_panels(table: pd.DataFrame, of_map: str, metric: str, *, names_map: bool = False) -> list[CurvePanel]:
    """One panel an order.

    Args:
        table: ``order, method, fraction, value, low, high`` of one kind, map and metric.
        of_map: Whose maps rank the points.
        metric: Which score of the network.
        names_map: Whether the titles say whose maps they are.
    """
    table = table.assign(percent=100 * table["fraction"])
    label, _, of_class = METRIC_WORDS[metric].partition(", only ")
    before = f"{of_class.removesuffix(' perturbed')}: " if of_class else ""
    before += f"{MAP_WORDS[of_map]}, " if names_map else ""
    level = 0.5 if metric.startswith("auroc") else None
    panels = []
    for order in dict.fromkeys(table["order"]):
        rows = table[table["order"] == order]
        names = dict.fromkeys(rows["method"])
        curves = {name: curve_of(rows[rows["method"] == name], "percent", "value") for name in names}
        panels.append(CurvePanel(f"{before}{ORDER_WORDS.get(order, order)}", label, curves, level=level))
    return panels


def on_one_scale(panels: Sequence[CurvePanel]) -> list[CurvePanel]:
    """The same limits for all, so that they can be compared; around all curves, bands and levels."""
    drawn = [np.concatenate([one.y, one.low, one.high]) for panel in panels for one in panel.curves.values()]
    known = np.concatenate([*drawn, [panel.level for panel in panels if panel.level is not None]])
    known = known[np.isfinite(known)] if np.isfinite(known).any() else np.array([0.0, 1.0])
    limits = (float(known.min()) - 0.03, float(known.max()) + 0.03)
    return [replace(panel, y_limits=limits) for panel in panels]
