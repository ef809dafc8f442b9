"""What is left of the maps when the weights are random: a row a method, a mark a kind of comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ecg_lightning.plotting.captioned import captioned_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.sheet import TEXT_COLOUR, CaptionedFigure

_BAND_COLOUR: Final = "#e3f1e3"
_ROW_INCHES: Final = 0.27


class MarkStyle(NamedTuple):
    """How one kind of comparison is drawn.

    Attributes:
        label: In the legend.
        marker: Matplotlib's.
        offset: Below the row's middle, in rows.
        size: Points.
    """

    label: str
    marker: str
    offset: float
    size: float


BASIS: Final = "basis"

MARKS: Final[dict[str, MarkStyle]] = {
    BASIS: MarkStyle("given |ECG| and |slope|, with interval: decides", "o", 0.0, 6.0),
    "magnitude": MarkStyle("by magnitude", "s", -0.22, 4.2),
    "signed": MarkStyle("with sign", "D", 0.22, 3.6),
    "kept": MarkStyle("by magnitude, BatchNorms kept", "^", -0.22, 4.4),
    "kept_signed": MarkStyle("with sign, BatchNorms kept (the paper's)", "v", 0.22, 4.4),
    "between": MarkStyle("two random networks, by magnitude", "|", 0.0, 9.0),
    "other_ecg": MarkStyle("another ECG's map, by magnitude", "x", 0.0, 4.6),
}
"""Kind -> style; hollow but for the one that decides."""


@dataclass(frozen=True)
class LeftOverPanel:
    """One pair of axes.

    Attributes:
        title: Above it.
        rows: ``method``, ``kind`` (of ``MARKS``), ``mean``, ``low``, ``high``; NaN for what is not defined.
    """

    title: str
    rows: pd.DataFrame


def left_over_figure(
    panels: Sequence[LeftOverPanel], bound: float, raw_bound: float, title: str, caption: str, columns: int = 2
) -> CaptionedFigure:
    """Draw panels side by side, methods from top to bottom, controls below them.

    Args:
        panels: One or more, of the same methods in the same order.
        bound: A pass lies within plus and minus this; shaded.
        raw_bound: What the similarity by magnitude must stay under; a dotted line.
        title: Bold heading.
        caption: Data, settings, and what the intervals are.
        columns: Panels a row at most.

    Raises:
        ValueError: No panel.
    """
    if not panels:
        raise ValueError("expected one panel or more, got none")
    names = list(dict.fromkeys(panels[0].rows["method"]))
    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    size = (3.9 * columns + 1.4, lines * (_ROW_INCHES * len(names) + 0.95) + 1.1)
    figure, top = captioned_figure(size, title, caption)
    axes = top.subplots(lines, columns, squeeze=False, sharey=True, sharex=True).ravel()
    for one in axes[len(panels) :]:
        one.set_axis_off()
    for panel, one in zip(panels, axes, strict=False):
        _draw(one, panel, names, bound, raw_bound)
    shown = [kind for kind in MARKS if any((panel.rows["kind"] == kind).any() for panel in panels)]
    top.legend(
        handles=_handles(shown, bound, raw_bound), loc="outside lower left", fontsize=7.5, frameon=False, ncols=2
    )
    return figure


def _draw(axes: Axes, panel: LeftOverPanel, names: Sequence[str], bound: float, raw_bound: float) -> None:
    axes.axvspan(-bound, bound, color=_BAND_COLOUR, linewidth=0, zorder=0)
    axes.axvline(raw_bound, color="#999999", linewidth=0.9, linestyle=":", zorder=1)
    axes.axvline(0, color="#bbbbbb", linewidth=0.8, zorder=1)
    places = [place + (0.5 if method_style(name).control else 0.0) for place, name in enumerate(names)]
    for place, name in zip(places, names, strict=True):
        for row in panel.rows[panel.rows["method"] == name].to_dict("records"):
            _mark(axes, place, {str(key): value for key, value in row.items()}, method_style(name).colour)
    axes.set_yticks(places, [method_style(name).label for name in names], fontsize=7.5)
    for label, name in zip(axes.get_yticklabels(), names, strict=False):  # the first panel of a row alone has labels
        label.set_fontstyle("italic" if method_style(name).control else "normal")
    axes.set_ylim(max(places) + 0.7, -0.7)
    axes.set_title(panel.title, fontsize=9, loc="left")
    axes.set_xlabel("correlation with the trained network's map", fontsize=8)
    axes.tick_params(labelsize=7.5)
    axes.grid(axis="y", color="#f0f0f0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _mark(axes: Axes, place: float, row: Mapping[str, Any], colour: str) -> None:
    kind, mark = row["kind"], MARKS[row["kind"]]
    if not np.isfinite(row["mean"]):
        if kind == BASIS:
            axes.text(
                0.0, place, "nothing left to correlate", fontsize=6.5, ha="center", va="center", color=TEXT_COLOUR
            )
        return
    if kind == BASIS and np.isfinite([row["low"], row["high"]]).all():
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2.2, alpha=0.7, zorder=3)
    axes.plot(
        row["mean"],
        place + mark.offset,
        marker=mark.marker,
        markersize=mark.size,
        color=colour,
        markerfacecolor=colour if kind == BASIS else "white",
        markeredgewidth=0.9,
        linestyle="none",
        zorder=5 if kind == BASIS else 4,
    )


def _handles(shown: Sequence[str], bound: float, raw_bound: float) -> list[Line2D | Patch]:
    grey = "#555555"
    marks: list[Line2D | Patch] = [
        Line2D(
            [],
            [],
            color=grey,
            marker=MARKS[kind].marker,
            markersize=MARKS[kind].size,
            markerfacecolor=grey if kind == BASIS else "white",
            linestyle="-" if kind == BASIS else "none",
            label=MARKS[kind].label,
        )
        for kind in shown
    ]
    marks.append(Patch(color=_BAND_COLOUR, label=f"a pass lies within \N{PLUS-MINUS SIGN}{bound:g}"))
    marks.append(Line2D([], [], color="#999999", linestyle=":", label=f"a pass is under {raw_bound:g} by magnitude"))
    return marks


def left_over_rows(table: pd.DataFrame, basis: str, beside: str) -> pd.DataFrame:
    """The rows of a panel from a table of random networks.

    Args:
        table: Of ``random_network_table``.
        basis: The BatchNorm policy that decides.
        beside: The policy that is shown beside it.
    """
    kinds = {
        (basis, "partial"): BASIS,
        (basis, "magnitude"): "magnitude",
        (basis, "signed"): "signed",
        (basis, "between"): "between",
        (beside, "magnitude"): "kept",
        (beside, "signed"): "kept_signed",
        ("", "other_ecg"): "other_ecg",
    }
    kind = [kinds.get(key, "") for key in zip(table["batchnorm"], table["quantity"], strict=True)]
    rows = table.assign(kind=kind)
    return rows.loc[rows["kind"] != "", ["method", "kind", "mean", "low", "high"]]
