"""Figures of curves, boxes and bars have a title, panels under it, and a caption at the bottom."""

import textwrap
from typing import Final

from matplotlib.figure import SubFigure

from ecg_lightning.plotting.sheet import TEXT_COLOUR, CaptionedFigure

_CHARACTERS_PER_INCH: Final = 17
_LINE_INCHES: Final = 0.14


def captioned_figure(size: tuple[float, float], title: str | None, caption: str) -> tuple[CaptionedFigure, SubFigure]:
    """Make a figure with a bold title and a caption, and return it with its part for panels.

    Args:
        size: Width of the figure and height of the part for panels, in inches; the caption's lines come on top.
        title: Bold heading of the figure, if it has one.
        caption: Text under the panels, broken into lines.
    """
    width, height = size
    lines = textwrap.wrap(caption, int(width * _CHARACTERS_PER_INCH))
    heights = (height, _LINE_INCHES * len(lines) + 1e-3)
    figure = CaptionedFigure((width, sum(heights)), layout="constrained")
    figure.caption_inches = (height, sum(heights))
    top, bottom = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    if title is not None:
        top.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left", color=TEXT_COLOUR)
    bottom.text(0.01, 0.98, "\n".join(lines), fontsize=7.5, va="top", color=TEXT_COLOUR)
    return figure, top
