"""Scores of methods and controls as points with intervals, beside what chance reaches."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.sheet import TEXT_COLOUR


@dataclass(frozen=True)
class ScorePanel:
    """One score.

    Attributes:
        title: What it is of.
        label: Quantity and unit, on the axis.
        scores: ``method, value, low, high``, one row each; NaN for what is not known.
        chance: What chance reaches; None: no line.
    """

    title: str
    label: str
    scores: pd.DataFrame
    chance: float | None = None


def scores_figure(panels: Sequence[ScorePanel], title: str, caption: str) -> Figure:
    """Draw panels side by side, methods from top to bottom, controls below them.

    Args:
        panels: One or more, of the same methods in the same order.
        title: Bold heading.
        caption: Data, settings, and what the intervals are.

    Raises:
        ValueError: No panel.
    """
    if not panels:
        raise ValueError("expected one panel or more, got none")
    rows = len(panels[0].scores)
    width = 2.6 * len(panels) + 1.6
    lines = textwrap.wrap(caption, int(width * 17))
    heights = (0.21 * rows + 1.25, 0.14 * len(lines) + 1e-3)
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    axes = top.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for panel, one in zip(panels, axes, strict=True):
        _draw(one, panel)
    top.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left", color=TEXT_COLOUR)
    bottom.text(0.01, 0.98, "\n".join(lines), fontsize=7.5, va="top", color=TEXT_COLOUR)
    return figure


def _draw(axes: Axes, panel: ScorePanel) -> None:
    names = panel.scores["method"].tolist()
    places = _places(names)
    for place, row in zip(places, panel.scores.to_dict("records"), strict=True):
        style = method_style(row["method"])
        if not np.isfinite(row["value"]):
            axes.text(
                0.5, place, "not defined", transform=axes.get_yaxis_transform(), fontsize=6.5, ha="center", va="center"
            )
            continue
        if np.isfinite(row["low"]) and np.isfinite(row["high"]):
            axes.plot([row["low"], row["high"]], [place, place], color=style.colour, linewidth=1.6, alpha=0.6)
        face = "white" if style.control else style.colour
        axes.plot(row["value"], place, marker="o", markersize=4.5, color=style.colour, markerfacecolor=face)
    if panel.chance is not None:
        axes.axvline(panel.chance, color="#999999", linewidth=0.9, linestyle="--", zorder=0)
        axes.annotate(
            "chance", (panel.chance, 1.0), xycoords=("data", "axes fraction"), xytext=(2, 1), fontsize=6.5,
            textcoords="offset points", color="#777777",
        )  # fmt: skip
    axes.set_yticks(places, [method_style(name).label for name in names], fontsize=7.5)
    for label, name in zip(axes.get_yticklabels(), names, strict=False):  # the first panel alone has labels
        label.set_fontstyle("italic" if method_style(name).control else "normal")
    axes.set_ylim(max(places) + 0.7, -0.7)
    axes.set_title(panel.title, fontsize=9, loc="left", pad=10)
    axes.set_xlabel(panel.label, fontsize=8)
    axes.tick_params(labelsize=7.5)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _places(names: Sequence[str]) -> list[float]:
    """One row each, controls half a row apart."""
    return [index + (0.5 if method_style(name).control else 0.0) for index, name in enumerate(names)]
