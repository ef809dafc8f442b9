"""This module draws curves of methods and controls with intervals, in panels side by side (paper, Figure 4)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ecg_lightning.attribution.style import MethodStyle
from ecg_lightning.plotting.captioned import captioned_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.sheet import CaptionedFigure

_PANEL_INCHES: Final = (3.6, 3.0)
_NETWORK_INCHES: Final = 1.0
_BAND_ALPHA: Final = 0.12
_NETWORK_STYLE: Final = MethodStyle("", "black", "-", "", control=True)


class Curve(NamedTuple):
    """A curve is one line of a panel.

    Attributes:
        x: (point,) horizontal positions.
        y: (point,) NaN where it is not known.
        low: (point,) lower end of its interval; NaN for none.
        high: (point,) upper end of its interval.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def curve_of(rows: pd.DataFrame, x: str, y: str) -> Curve:
    """Make a curve from the columns ``x``, ``y``, ``low`` and ``high`` of a table."""
    return Curve(*(rows[name].to_numpy(dtype=float) for name in (x, y, "low", "high")))


class NetworkCurve(NamedTuple):
    """The network's own curve has axes of its own below the panel, because it is no correlation.

    Attributes:
        label: Quantity and unit.
        curve: The curve that is drawn.
        chance: What a network that knows nothing reaches.
        chance_words: How that is called.
    """

    label: str
    curve: Curve
    chance: float
    chance_words: str = "chance"


@dataclass(frozen=True)
class CurvePanel:
    """A curve panel is one pair of axes, with a curve for each method.

    Attributes:
        title: Heading above the panel.
        y_label: Quantity and unit.
        curves: Method or control -> curve.
        y_limits: Limits of the vertical axis; None: from the data.
        level: A horizontal line, such as chance.
        network: The network's own curve, drawn black.
    """

    title: str
    y_label: str
    curves: Mapping[str, Curve]
    y_limits: tuple[float, float] | None = None
    level: float | None = None
    network: NetworkCurve | None = None


@dataclass(frozen=True)
class XAxis:
    """The horizontal axis is shared by all panels.

    Attributes:
        label: Quantity and unit.
        ticks: Where; none: matplotlib's choice.
        tick_labels: What stands there.
    """

    label: str
    ticks: Sequence[float] = field(default_factory=tuple)
    tick_labels: Sequence[str] = field(default_factory=tuple)


def curves_figure(
    panels: Sequence[CurvePanel], x_axis: XAxis, title: str, caption: str, columns: int | None = None
) -> CaptionedFigure:
    """Draw the panels side by side, with one legend and a caption.

    Args:
        panels: One or more.
        x_axis: What they share.
        title: Bold heading of the figure.
        caption: Data, settings, and what the bands are.
        columns: Panels in a row; None: all of them.

    Returns:
        The figure; save it with ``save_figure``.

    Raises:
        ValueError: No panel.
    """
    if not panels:
        raise ValueError("expected one panel or more, got none")
    across = min(columns or len(panels), len(panels))
    down = -(-len(panels) // across)
    width = _PANEL_INCHES[0] * across + 1.9
    strip = _NETWORK_INCHES if any(panel.network is not None for panel in panels) else 0.0
    height = (_PANEL_INCHES[1] + strip) * down + 0.75
    figure, top = captioned_figure((width, height), title, caption)
    ratios = (_PANEL_INCHES[1], strip) if strip else (_PANEL_INCHES[1],)
    grid = top.subplots(
        len(ratios) * down, across, squeeze=False, sharex="col" if strip else False, height_ratios=ratios * down
    )
    for index in range(across * down):
        stacked = list(grid[index // across * len(ratios) :, index % across][: len(ratios)])
        if index < len(panels):
            _draw_stacked(stacked, panels[index], x_axis)
        else:
            for unused in stacked:
                unused.remove()
    top.legend(handles=_handles(panels), loc="outside right center", fontsize=7.5, frameon=False, handlelength=2.6)
    return figure


def _draw_stacked(axes: Sequence[Axes], panel: CurvePanel, x_axis: XAxis) -> None:
    """A panel's curves, and below them those of the network where there are two axes."""
    _draw(axes[0], panel)
    if len(axes) > 1:
        _draw_network(axes[1], panel.network)
    _draw_x_axis(axes[-1], x_axis)


def _draw(axes: Axes, panel: CurvePanel) -> None:
    for name, curve in panel.curves.items():
        style = method_style(name)
        _line(axes, curve, style, 1.2 if style.control else 1.5)
    if panel.level is not None:
        axes.axhline(panel.level, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_ylabel(panel.y_label, fontsize=8)
    if panel.y_limits is not None:
        axes.set_ylim(*panel.y_limits)
    _plain(axes)


def _draw_network(axes: Axes, network: NetworkCurve | None) -> None:
    if network is None:
        axes.set_visible(False)
        return
    axes.axhline(network.chance, color="#999999", linewidth=0.9, linestyle="--", zorder=0)
    axes.annotate(
        network.chance_words, (1.0, network.chance), xycoords=("axes fraction", "data"), xytext=(-2, -8), fontsize=6.5,
        ha="right", textcoords="offset points", color="#777777",
    )  # fmt: skip
    _line(axes, network.curve, _NETWORK_STYLE, 1.8)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, network.chance - 0.08), max(high, 1.0))
    axes.set_ylabel(network.label, fontsize=8)
    _plain(axes)


def _draw_x_axis(axes: Axes, x_axis: XAxis) -> None:
    axes.set_xlabel(x_axis.label, fontsize=8)
    if len(x_axis.ticks):
        axes.set_xticks(x_axis.ticks, x_axis.tick_labels or None)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)


def _line(axes: Axes, curve: Curve, style: MethodStyle, width: float) -> None:
    every = max(1, len(curve.x) // 8)
    axes.plot(
        curve.x,
        curve.y,
        color=style.colour,
        linestyle=style.dash,
        marker=style.marker or None,
        markevery=every,
        markersize=3.5,
        linewidth=width,
        zorder=2 if style.control else 3,
    )
    known = np.isfinite(curve.low) & np.isfinite(curve.high)
    if known.any():
        axes.fill_between(
            curve.x, curve.low, curve.high, where=known.tolist(), color=style.colour, alpha=_BAND_ALPHA, linewidth=0
        )


def _handles(panels: Sequence[CurvePanel]) -> list[Line2D]:
    names = dict.fromkeys(name for panel in panels for name in panel.curves)
    ordered = sorted(names, key=lambda name: method_style(name).control)
    return [_handle(method_style(name), method_style(name).label) for name in ordered]


def _handle(style: MethodStyle, label: str) -> Line2D:
    line = Line2D([], [], color=style.colour, marker=style.marker or None, markersize=3.5, label=label)
    line.set_linestyle(style.dash)
    return line
