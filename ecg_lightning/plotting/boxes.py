"""This module draws the distribution of a score over ECGs, one box a method (paper, Figure 3B)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.plotting.captioned import captioned_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.sheet import TEXT_COLOUR, CaptionedFigure

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_BOX: Final = 0.62
_COLUMNS: Final = 3


@dataclass(frozen=True)
class BoxPanel:
    """A box panel is one pair of axes, with a box for each method.

    Attributes:
        title: Heading above the panel.
        values: Method -> values; NaN is left out.
        means: Method -> (mean, low, high) of its interval.
        floors: Method -> what would be there by chance, a grey diamond.
        notes: Method -> a number beside its box.
    """

    title: str
    values: Mapping[str, ArrayLike]
    means: Mapping[str, tuple[float, float, float]]
    floors: Mapping[str, float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def boxes_figure(
    panels: Sequence[BoxPanel],
    *,
    label: str,
    title: str,
    caption: str,
    limits: tuple[float, float] | None = None,
    notes_title: str = "",
) -> CaptionedFigure:
    """Draw boxes: quartiles, whiskers at the 5th and 95th percentile, the mean as a diamond with its interval.

    Args:
        panels: One or more, of the same methods.
        label: Quantity and unit.
        title: Bold heading of the figure.
        caption: What was measured, of how many ECGs.
        limits: Limits of the axis; None: from the data.
        notes_title: Heading above the numbers beside the boxes.

    Raises:
        ValueError: No panel.
    """
    if not panels:
        raise ValueError("expected one panel or more, got none")
    columns = min(_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    names = list(panels[0].values)
    width = 3.1 * columns + 1.5
    height = (0.2 * len(names) + 0.85) * rows + 0.4
    figure, top = captioned_figure((width, height), title, caption)
    axes = top.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for index, panel_axes in enumerate(axes.flat):
        if index < len(panels):
            _draw(panel_axes, panels[index], names, label, limits)
            _write_notes(panel_axes, panels[index], names, notes_title)
        else:
            panel_axes.set_axis_off()
    return figure


def _draw(axes: Axes, panel: BoxPanel, names: Sequence[str], label: str, limits: tuple[float, float] | None) -> None:
    for row, name in enumerate(names):
        values = np.asarray(panel.values.get(name, ()), dtype=np.float64).ravel()
        known = values[np.isfinite(values)]
        if not len(known):
            axes.text(0.5, row, "not defined", transform=axes.get_yaxis_transform(), fontsize=6.5, ha="center",
                      va="center")  # fmt: skip
            continue
        _draw_box(axes, row, np.quantile(known, QUANTILES), method_style(name).colour)
        if np.isfinite(floor := panel.floors.get(name, np.nan)):
            axes.plot(floor, row, marker="D", markersize=4.2, color="#777777", markeredgecolor="white", zorder=4.5)
        if name in panel.means:
            _draw_mean(axes, row, panel.means[name])
    axes.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(names)), [method_style(name).label for name in names], fontsize=7.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    if limits is not None:
        axes.set_xlim(*limits)
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_xlabel(label, fontsize=8)
    axes.tick_params(labelsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)


def _write_notes(axes: Axes, panel: BoxPanel, names: Sequence[str], title: str) -> None:
    across = axes.get_yaxis_transform()
    for row, name in enumerate(names):
        if note := panel.notes.get(name):
            axes.text(1.03, row, note, transform=across, fontsize=6.5, va="center", color=TEXT_COLOUR)
    if panel.notes:
        axes.text(1.03, -0.75, title, transform=across, fontsize=6.5, va="bottom", color=TEXT_COLOUR)


def _draw_box(axes: Axes, row: int, quantiles: NDArray[np.float64], colour: str) -> None:
    lowest, first, middle, third, highest = quantiles
    axes.plot([lowest, highest], [row, row], color=colour, linewidth=1.0)
    axes.barh(row, third - first, _BOX, left=first, color=colour, alpha=0.35, edgecolor=colour, linewidth=0.8)
    axes.plot([middle, middle], [row - _BOX / 2, row + _BOX / 2], color=colour, linewidth=1.6)


def _draw_mean(axes: Axes, row: int, mean: tuple[float, float, float]) -> None:
    value, low, high = mean
    if np.isfinite([low, high]).all():
        axes.plot([low, high], [row, row], color="black", linewidth=2.0, solid_capstyle="butt", zorder=4)
    axes.plot(value, row, marker="D", markersize=3.6, color="black", markerfacecolor="white", zorder=5)
