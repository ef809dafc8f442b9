"""The picture of the gate shows the card's setting among the others: by what the network learnt, and by labels."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ecg_lightning.plotting.captioned import captioned_figure
from ecg_lightning.plotting.sheet import CaptionedFigure

_COLOURS: Final = {"card": "#1f4e79", "wrong": "#c0392b", "warning": "#d68910", "undetermined": "#8e8e8e"}
_OTHER: Final = "#bbbbbb"
_PANELS: Final = (
    ("s1", "First BatchNorm", "divergence (nat)"),
    ("s2", "All BatchNorms", "mean divergence (nat)"),
    ("auroc", "Target", "AUROC"),
    ("log_loss", "Labelled outputs", "log-loss (nat)"),
)
SETTINGS: Final = ("data", "output", "promise")
"""Checks that compare no settings: the picture leaves them out."""

GATE_CAPTION: Final = (
    "What the network reads as its card says (blue line), and otherwise. Divergence: KL divergence of the channels' "
    "statistics that arrive at BatchNorms from those that were learnt; lower is nearer to the training data. Log-loss: "
    "mean over outputs; lower is better. Red: clearly better than the card's setting; orange: a warning; dark grey: "
    "can't be told."
)


def gate_figure(table: pd.DataFrame, title: str, caption: str = GATE_CAPTION) -> CaptionedFigure:
    """Draw what the gate measured, one row a setting.

    Args:
        table: ``tables/gate.parquet`` of one run.
        title: Bold heading.
        caption: Text below the panels.
    """
    rows = table[~table["check"].isin(SETTINGS)].reset_index(drop=True)
    shown = [panel for panel in _PANELS if np.isfinite(rows[panel[0]].astype(float)).any()] or [_PANELS[0]]
    figure, top = captioned_figure((2.2 + 1.7 * len(shown), 0.19 * len(rows) + 1.1), title, caption)
    axes = top.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for (name, heading, label), one in zip(shown, axes, strict=True):
        _draw(one, rows, name)
        one.set_title(heading, fontsize=9, loc="left")
        one.set_xlabel(label, fontsize=8)
    axes[0].set_yticks(range(len(rows)), rows["setting"].tolist(), fontsize=7.5)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    values = rows[name].to_numpy(dtype=np.float64)
    colours = [_COLOURS.get(verdict, _OTHER) for verdict in rows["verdict"]]
    axes.scatter(values, np.arange(len(rows)), c=colours, s=18, zorder=2)
    own = values[rows["verdict"].to_numpy() == "card"]
    for value in own[np.isfinite(own)]:
        axes.axvline(value, color=_COLOURS["card"], linewidth=0.8, zorder=1)
    if name != "auroc" and (values[np.isfinite(values)] > 0).all():
        axes.set_xscale("log")
    axes.tick_params(labelsize=7.5)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
