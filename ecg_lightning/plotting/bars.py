"""This module draws scores of methods and controls as points with intervals, beside what chance reaches."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.lines import Line2D

from ecg_lightning.plotting.captioned import captioned_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.sheet import CaptionedFigure

MARKS: Final = "Grey, italic: controls, which know nothing of the network."
"""What captions say of the rows; the legend says what the marks are."""

_OF_MAP: Final = {
    "own": ("o", 4.5, 0.0, True),
    "other_ecg": ("o", 3.6, 0.2, False),
    "mean_map": ("s", 3.0, 0.38, False),
}
"""Marker, size, how far below the row's middle, and whether it is filled, of each map."""


@dataclass(frozen=True)
class ScorePanel:
    """A score panel shows one score of every method.

    Attributes:
        title: What it is of.
        label: Quantity and unit, on the axis.
        scores: ``method, value, low, high``, one row each; NaN for what is not known. With a column ``map`` one row a
            method and map: ``own``, and what stands in for it.
        chance: What chance reaches; None: no line.
    """

    title: str
    label: str
    scores: pd.DataFrame
    chance: float | None = None


def scores_figure(panels: Sequence[ScorePanel], title: str, caption: str) -> CaptionedFigure:
    """Draw panels side by side, methods from top to bottom, controls below them.

    Args:
        panels: One or more, of the same methods in the same order.
        title: Bold heading of the figure.
        caption: Data, settings, and what the intervals are.

    Raises:
        ValueError: No panel.
    """
    if not panels:
        raise ValueError("expected one panel or more, got none")
    rows = panels[0].scores["method"].nunique()
    maps = _maps(panels[0].scores)
    width = 2.6 * len(panels) + 1.6
    height = (0.21 if len(maps) < 2 else 0.26) * rows + 1.25
    figure, top = captioned_figure((width, height), title, caption)
    axes = top.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for panel, panel_axes in zip(panels, axes, strict=True):
        _draw(panel_axes, panel)
    if len(maps) > 1:
        _add_legend(top, maps)
    return figure


def _draw(axes: Axes, panel: ScorePanel) -> None:
    names = list(dict.fromkeys(panel.scores["method"].tolist()))
    positions = _positions(names)
    scores = panel.scores if "map" in panel.scores else panel.scores.assign(map="own")
    for row in scores.to_dict("records"):
        _mark(axes, positions[names.index(row["method"])], row)
    if panel.chance is not None:
        axes.axvline(panel.chance, color="#999999", linewidth=0.9, linestyle="--", zorder=0)
        axes.annotate(
            "chance", (panel.chance, 1.0), xycoords=("data", "axes fraction"), xytext=(2, 1), fontsize=6.5,
            textcoords="offset points", color="#777777",
        )  # fmt: skip
    axes.set_yticks(positions, [method_style(name).label for name in names], fontsize=7.5)
    for label, name in zip(axes.get_yticklabels(), names, strict=False):  # the first panel alone has labels
        label.set_fontstyle("italic" if method_style(name).control else "normal")
    axes.set_ylim(max(positions) + 0.7, -0.7)
    axes.set_title(panel.title, fontsize=9, loc="left", pad=10)
    axes.set_xlabel(panel.label, fontsize=8)
    axes.tick_params(labelsize=7.5)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _mark(axes: Axes, y: float, row: dict[Hashable, Any]) -> None:
    """A point, and the interval of the own map's."""
    colour = method_style(row["method"]).colour
    marker, size, below, filled = _OF_MAP[row["map"]]
    is_own_map = row["map"] == "own"
    if not np.isfinite(row["value"]):
        if is_own_map:
            across = axes.get_yaxis_transform()
            axes.text(0.5, y, "not defined", transform=across, fontsize=6.5, ha="center", va="center")
        return
    if is_own_map and np.isfinite(row["low"]) and np.isfinite(row["high"]):
        axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.6, alpha=0.6)
    face = colour if filled else "white"
    axes.plot(row["value"], y + below, marker=marker, markersize=size, color=colour, markerfacecolor=face,
              markeredgewidth=0.9, linestyle="none")  # fmt: skip


def _maps(scores: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(scores["map"])) if "map" in scores else ["own"]


def _add_legend(figure: SubFigure, maps: Sequence[str]) -> None:
    """In the upper right corner, beside the heading."""
    marks = []
    for name in maps:
        marker, size, _, filled = _OF_MAP[name]
        label = "own map" if name == "own" else method_style(name).label
        face = "#444444" if filled else "white"
        marks.append(Line2D([], [], marker=marker, markersize=size, color="#444444", markerfacecolor=face,
                            linestyle="none", label=label))  # fmt: skip
    figure.legend(handles=marks, loc="upper right", ncols=len(marks), frameon=False, fontsize=7, handletextpad=0.1,
                  columnspacing=0.8)  # fmt: skip


def _positions(names: Sequence[str]) -> list[float]:
    """One row each, controls half a row apart."""
    return [index + (0.5 if method_style(name).control else 0.0) for index, name in enumerate(names)]
