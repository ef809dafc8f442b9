"""A sheet of paper is measured in millimetres; this module lays it out.

Figures are made with Matplotlib's objects and never with ``pyplot``: no window, no global state, so that
callbacks may draw from any thread and nothing has to be closed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

from ecg_lightning.plotting.figure_files import SAVE_DPI

MM_PER_INCH: Final = 25.4
MM_PER_POINT: Final = MM_PER_INCH / 72
MARGIN_MM: Final = 5.0
"""White border on every side of a sheet."""

TITLE_POINTS: Final = 10.0
TEXT_POINTS: Final = 7.5
TEXT_COLOUR: Final = "#333333"
LINE_SPACING: Final = 1.35
_ASCENT_MM: Final = 0.5
"""How far letters may reach above the upper edge of their line."""

Weight = Literal["normal", "bold"]


class TextLine(NamedTuple):
    """A text line is one line of a sheet's heading."""

    text: str
    points: float
    weight: Weight

    @property
    def height(self) -> float:
        """Return the height in mm, with the space to the next line."""
        return self.points * MM_PER_POINT * LINE_SPACING


def heading(title: str | None, subtitle: str | None, width: float) -> list[TextLine]:
    """Break a title and a subtitle into lines that fit a width.

    Args:
        title: Bold lines; line breaks stay.
        subtitle: Smaller lines under them; line breaks stay.
        width: Width in mm.

    Returns:
        The lines, from top to bottom; none where both are empty.
    """
    return _styled(title, TITLE_POINTS, "bold", width) + _styled(subtitle, TEXT_POINTS, "normal", width)


def text_height(lines: Sequence[TextLine]) -> float:
    """Return the height in mm of lines under each other."""
    return sum(line.height for line in lines)


def _styled(text: str | None, points: float, weight: Weight, width: float) -> list[TextLine]:
    font = FontProperties(size=points, weight=weight)
    parts = (text or "").splitlines()
    return [TextLine(line, points, weight) for part in parts for line in _wrapped(part, font, width)]


def _wrapped(text: str, font: FontProperties, width: float) -> list[str]:
    """Fill lines with words by their measured width; a word that is wider than a line is broken."""
    lines, line, used, space = [], "", 0.0, text_width(" ", font)
    for word in text.split():
        own = text_width(word, font)  # words' widths add up, for the font is set without hints
        if used + space * bool(line) + own <= width:
            line, used = (f"{line} {word}", used + space + own) if line else (word, own)
            continue
        lines.append(line)
        line, used = word, own
        while len(line) > 1 and used > width:
            fits = next((n for n in range(len(line) - 1, 1, -1) if text_width(line[:n], font) <= width), 1)
            lines.append(line[:fits])
            line = line[fits:]
            used = text_width(line, font)
    return [line for line in [*lines, line] if line]


@lru_cache(maxsize=4096)
def text_width(text: str, font: FontProperties) -> float:
    """Return the width of a line in mm."""
    points, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(points) * MM_PER_POINT


class CaptionedFigure(Figure):
    """A captioned figure knows where its caption stands, for a page that writes the caption below the picture.

    Attributes:
        caption_inches: Upper and lower edge of the caption, from the top of the figure; equal where there is none.
    """

    caption_inches: tuple[float, float] = (0.0, 0.0)

    def __init__(self, size: tuple[float, float], **more: Any) -> None:
        super().__init__(figsize=size, dpi=SAVE_DPI, facecolor="white", **more)  # laid out for the pixels of its file
        FigureCanvasAgg(self)

    def without_caption(self) -> NDArray[np.uint8]:
        """Return the pixels of the PNG that was saved last, without the rows of the caption: (row, column, RGBA)."""
        assert isinstance(self.canvas, FigureCanvasAgg)
        first, last = (round(edge * SAVE_DPI) for edge in self.caption_inches)
        return np.delete(np.asarray(self.canvas.renderer.buffer_rgba()), slice(first, last), axis=0)


@dataclass(frozen=True)
class Sheet:
    """A sheet is a figure whose parts are placed in millimetres from its upper left corner.

    Attributes:
        figure: The Matplotlib figure.
        width: Width in mm.
        height: Height in mm.
    """

    figure: CaptionedFigure
    width: float
    height: float

    @classmethod
    def of_size(cls, width: float, height: float) -> "Sheet":
        """Make an empty white sheet of a size in mm."""
        return cls(CaptionedFigure((width / MM_PER_INCH, height / MM_PER_INCH)), width, height)

    def add_axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add bare axes (no ticks, no frame) whose upper left corner lies at (left, top) mm."""
        bottom = self.height - top - height
        rectangle = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(rectangle)
        axes.set_axis_off()
        return axes

    def add_text(
        self,
        left: float,
        top: float,
        text: str,
        points: float = TEXT_POINTS,
        weight: Weight = "normal",
        align: Literal["left", "center", "right"] = "left",
    ) -> None:
        """Write one line whose upper edge lies at ``top`` mm and whose ``align`` end lies at ``left`` mm."""
        # parse_math: an "$" in a person's title is a dollar sign.
        self.figure.text(
            left / self.width,
            1 - top / self.height,
            text,
            fontsize=points,
            fontweight=weight,
            ha=align,
            va="top",
            color=TEXT_COLOUR,
            parse_math=False,
        )

    def add_lines(self, left: float, top: float, lines: Sequence[TextLine]) -> None:
        """Write the lines of ``heading`` under each other, the first one's upper edge at ``top`` mm."""
        for line in lines:
            self.add_text(left, top, line.text, line.points, line.weight)
            top += line.height

    def add_heading(self, lines: Sequence[TextLine]) -> None:
        """Write a title and a subtitle, which is the sheet's caption, at the top."""
        title = [line for line in lines if line.weight == "bold"]
        self.add_lines(MARGIN_MM, MARGIN_MM, title)
        self.add_caption(MARGIN_MM + text_height(title), lines[len(title) :])

    def add_caption(self, top: float, lines: Sequence[TextLine]) -> None:
        """Write the lines of the caption, the first one's upper edge at ``top`` mm."""
        self.add_lines(MARGIN_MM, top, lines)
        edges = (top - _ASCENT_MM, top + text_height(lines) - _ASCENT_MM) if lines else (0.0, 0.0)
        self.figure.caption_inches = (edges[0] / MM_PER_INCH, edges[1] / MM_PER_INCH)
