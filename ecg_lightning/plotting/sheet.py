"""A sheet of paper is measured in millimetres; this module lays it out and writes it to a file.

Figures are made with Matplotlib's objects and never with ``pyplot``: no window, no global state, so that
callbacks may draw from any thread and nothing has to be closed.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import NDArray

from ecg_lightning.storage.atomic import atomic_path

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

SAVE_DPI: Final = 200
FigureFile = Literal["png", "svg", "pdf"]
FILE_KINDS: Final[tuple[FigureFile, ...]] = get_args(FigureFile)
FORMATS: Final = tuple(f".{kind}" for kind in FILE_KINDS)
WITHOUT_DATE: Final[dict[str, dict[str, None]]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Format -> metadata that Matplotlib leaves out: the same figure gives the same file."""


def figure_kinds(words: Sequence[str]) -> tuple[FigureFile, ...]:
    """Read kinds of files from words such as ``png`` or ``[png, svg]``.

    Raises:
        ValueError: There is another kind among them.
    """
    kinds = [kind for word in words for kind in re.findall(r"\w+", word)]
    if unknown := sorted(set(kinds) - set(FILE_KINDS)):
        raise ValueError(f"files of figures are {', '.join(FILE_KINDS)}, got {', '.join(unknown)}")
    return tuple(kind for kind in FILE_KINDS if kind in kinds)


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
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if _width(longer, font) <= width:
            line = longer
            continue
        lines.append(line)
        line = word
        while len(line) > 1 and _width(line, font) > width:
            fits = next((n for n in range(len(line) - 1, 1, -1) if _width(line[:n], font) <= width), 1)
            lines.append(line[:fits])
            line = line[fits:]
    return [line for line in [*lines, line] if line]


def _width(text: str, font: FontProperties) -> float:
    """Width of a line in mm."""
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


def save_figure(figure: Figure, path: str | os.PathLike[str], dpi: int = SAVE_DPI) -> Path:
    """Write a figure whole: a reader sees the old file or the new one, never half of one.

    Args:
        figure: The figure; its size does not change, so that a print at 100 % is to scale. It keeps its layout.
        path: Where to write; the suffix (``.png``, ``.svg``, ``.pdf``) is the format. Folders are made.
        dpi: Dots per inch of a PNG and of the coloured parts of an SVG or PDF.

    Returns:
        The path that was written.

    Raises:
        ValueError: The suffix is none of the three.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"expected a file name that ends in {', '.join(FORMATS)}, got {path.name!r} ({path})")
    if (layout := figure.get_layout_engine()) is not None:
        figure.set_dpi(dpi)
        layout.execute(figure)
        figure.set_layout_engine("none")  # else it is done for each file, and everything drawn twice for it
    with atomic_path(path) as temporary:
        kind = path.suffix.lower().removeprefix(".")
        figure.savefig(temporary, dpi=dpi, format=kind, metadata=WITHOUT_DATE[kind])
    return path


def save_figure_files(figure: Figure, path: Path, files: Sequence[FigureFile]) -> None:
    """Write a figure as PNG, and as files of other kinds beside it.

    Args:
        figure: The figure.
        path: Where to write the PNG.
        files: Kinds of the files.
    """
    save_figure(figure, path)
    for kind in dict.fromkeys(files):
        if kind != "png":
            save_figure(figure, path.with_suffix(f".{kind}"))
