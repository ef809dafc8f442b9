"""This module draws how well maps correlate with their limit against the passes that they cost."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator, ScalarFormatter
from numpy.typing import NDArray

from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.sheet import TEXT_COLOUR, TEXT_POINTS

_SIZE_INCHES: Final = (7.2, 4.2)
_CAPTION_CHARACTERS: Final = 128
_TICKS: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999)
_CLOSEST: Final = 1e-4
"""Smallest distance to 1; whatever is closer is drawn there."""


class PassCurve(NamedTuple):
    """A pass curve is one method's correlation with its limit against the passes of a map.

    Attributes:
        passes: (point,) of a map.
        median: (point,) correlation with the limit, of the median ECG.
        low: (point,) lower end of the band over ECGs.
        high: (point,) upper end.
        chosen: Whether the last point is the chosen setting.
        reached: Whether it reaches the target.
    """

    passes: NDArray[np.float64]
    median: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    chosen: bool
    reached: bool


def passes_figure(curves: Mapping[str, PassCurve], target: float, title: str, caption: str) -> Figure:
    """Draw one curve a method, on axes that spread the correlations close to 1.

    Args:
        curves: Method -> curve.
        target: Correlation that was requested.
        title: Bold heading of the figure.
        caption: Data, settings, and what the bands are.

    Returns:
        The figure; save it with ``save_figure``.

    Raises:
        ValueError: No curve.
    """
    if not curves:
        raise ValueError("expected one curve or more, got none")
    lines = textwrap.wrap(caption, _CAPTION_CHARACTERS)
    space = 0.14 * len(lines) + 0.08
    figure = Figure(figsize=(_SIZE_INCHES[0], _SIZE_INCHES[1] + space), layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subfigures(2, 1, height_ratios=(_SIZE_INCHES[1], space), squeeze=False)[:, 0]
    axes = top.subplots()
    for name, curve in curves.items():
        _draw(axes, name, curve)
    axes.axhline(1.0 - target, color="#555555", linewidth=0.9, linestyle="--", zorder=1)
    _scale(axes, list(curves.values()), target)
    top.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left", color=TEXT_COLOUR)
    top.legend(loc="outside right center", fontsize=TEXT_POINTS, frameon=False)
    bottom.text(0.01, 0.98, "\n".join(lines), fontsize=TEXT_POINTS, va="top", color=TEXT_COLOUR)
    return figure


def _draw(axes: Axes, name: str, curve: PassCurve) -> None:
    style = method_style(name)
    axes.fill_between(
        curve.passes, _missing(curve.high), _missing(curve.low), color=style.colour, alpha=0.12, linewidth=0
    )
    axes.plot(
        curve.passes,
        _missing(curve.median),
        color=style.colour,
        linestyle=style.dash,
        marker=style.marker,
        markersize=3.5,
        linewidth=1.5,
        label=style.label,
    )
    if curve.chosen:
        last = (curve.passes[-1:], _missing(curve.median[-1:]))
        axes.plot(
            *last,
            marker="o" if curve.reached else "X",
            markersize=9,
            markerfacecolor="none" if curve.reached else style.colour,
            markeredgecolor=style.colour,
            markeredgewidth=1.3,
            linestyle="",
            zorder=4,
        )


def _missing(correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is missing to 1."""
    return np.clip(1.0 - correlation, _CLOSEST, None)


def _scale(axes: Axes, curves: Sequence[PassCurve], target: float) -> None:
    """Both axes logarithmic, the correlation as distance to 1 and growing upwards."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    known = np.concatenate([_missing(part) for curve in curves for part in (curve.low, curve.high)])
    known = known[np.isfinite(known)]
    far = max(float(known.max(initial=0.0)), 2.0 * (1.0 - target)) * 1.15
    close = min(float(known.min(initial=1.0)), 0.5 * (1.0 - target)) / 1.15
    axes.set_ylim(min(far, 1.05), close)
    ticks = [tick for tick in _TICKS if close <= 1.0 - tick <= far]
    axes.yaxis.set_major_locator(FixedLocator([1.0 - tick for tick in ticks]))
    axes.yaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("passes a map (gradients and forwards)", fontsize=8)
    axes.set_ylabel("correlation with the limit (distance to 1, log)", fontsize=8)
    axes.tick_params(labelsize=TEXT_POINTS)
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
