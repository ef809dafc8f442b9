"""How alike the maps of each pair of methods are: a heat map with its numbers (paper, Figure 3A)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.plotting.colour_scale import BAR_MM, BAR_WITH_TICKS_MM, GREY, diverging_colours
from ecg_lightning.plotting.method_style import method_labels, method_style
from ecg_lightning.plotting.sheet import (
    MARGIN_MM,
    TEXT_COLOUR,
    TEXT_POINTS,
    CaptionedFigure,
    Sheet,
    heading,
    text_height,
)

CELL_MM: Final = 9.0
GAP_MM: Final = 2.0
"""Between methods and controls."""

LABEL_MM: Final = 27.0
"""For the names, at the left and above; more where a method of one's own has a long one."""

LETTER_MM: Final = 1.7
"""Of a name; 1.5 mm is the mean."""

MINIMAL_WIDTH_MM: Final = 130.0
"""So that the caption of a few methods is no column of words."""

NUMBER_POINTS: Final = 6.5
DIAGONAL_COLOUR: Final = "#f2f2f2"
UNDEFINED: Final = "\N{EN DASH}"
INCOMPLETE_MARK: Final = "*"
_NORM: Final = Normalize(-1.0, 1.0)


def similarity_figure(
    similarity: ArrayLike,
    names: Sequence[str],
    *,
    quantity: str,
    title: str | None = None,
    caption: str = "",
    incomplete: ArrayLike | None = None,
    beside: Mapping[str, ArrayLike] | None = None,
) -> CaptionedFigure:
    """Draw the similarity of every pair of methods and controls, controls set apart behind the methods.

    Args:
        similarity: (name, name) symmetric, -1 to 1; NaN is drawn grey, with a dash. The diagonal is not drawn: a map is
            equal to itself.
        names: Methods and controls in the order of the rows.
        quantity: What a number is, for the colour bar: "Pearson correlation".
        title: Bold heading.
        caption: What was compared, over how many ECGs, with which settings.
        incomplete: (name, name) boolean: pairs that are not defined for every ECG, marked with an asterisk.
        beside: Control without the patient -> (name,) similarity of each map with what stands in for it: columns set
            apart at the right.

    Returns:
        The figure; save it with ``save_figure``.

    Raises:
        ValueError: A matrix or a column that does not fit the names, or values beyond -1 and 1.
    """
    values, marked = _checked(similarity, names), _marked(incomplete, names)
    columns = {name: _checked_column(name, column, names) for name, column in (beside or {}).items()}
    order = sorted(range(len(names)), key=lambda index: method_style(names[index]).control)
    values, marked = values[np.ix_(order, order)], marked[np.ix_(order, order)]
    ordered = [names[index] for index in order]
    places, label = _places(ordered), max(LABEL_MM, LETTER_MM * max(map(len, method_labels([*ordered, *columns]))))
    extent = places[-1] + CELL_MM
    right = [extent + 2 * GAP_MM + index * CELL_MM for index in range(len(columns))]
    across = right[-1] + CELL_MM if right else extent
    width = max(MINIMAL_WIDTH_MM, 2 * MARGIN_MM + label + across)
    head, foot = heading(title, None, width - 2 * MARGIN_MM), heading(None, caption, width - 2 * MARGIN_MM)
    top = MARGIN_MM + text_height(head) + label
    bar_top = top + extent + 4.0
    caption_top = bar_top + BAR_WITH_TICKS_MM + 5.5
    sheet = Sheet.of_size(width, caption_top + text_height(foot) + MARGIN_MM)
    sheet.add_lines(MARGIN_MM, MARGIN_MM, head)
    sheet.add_caption(caption_top, foot)
    axes = _millimetre_axes(sheet, MARGIN_MM + label, top, across, extent)
    _draw_cells(axes, values, marked, places)
    _draw_names(axes, ordered, places)
    for x, (name, column) in zip(right, columns.items(), strict=True):
        _draw_column(axes, x, name, column[order], places)
    _draw_bar(sheet, MARGIN_MM + label, bar_top, quantity)
    return sheet.figure


def _checked(similarity: ArrayLike, names: Sequence[str]) -> NDArray[np.float64]:
    values = np.asarray(similarity, dtype=np.float64)
    if not names or values.shape != (len(names), len(names)):
        raise ValueError(f"expected one row and column for each of the {len(names)} names, got {values.shape}")
    if (np.abs(values) > 1).any():
        raise ValueError(f"expected correlations between -1 and 1, got {np.nanmin(values)} to {np.nanmax(values)}")
    return values


def _checked_column(name: str, column: ArrayLike, names: Sequence[str]) -> NDArray[np.float64]:
    values = np.asarray(column, dtype=np.float64)
    if values.shape != (len(names),) or (np.abs(values) > 1).any():
        raise ValueError(f"{name}: expected a correlation for each of the {len(names)} names, got {values}")
    return values


def _marked(incomplete: ArrayLike | None, names: Sequence[str]) -> NDArray[np.bool_]:
    shape = (len(names), len(names))
    marked = np.zeros(shape, dtype=np.bool_) if incomplete is None else np.asarray(incomplete, dtype=np.bool_)
    if marked.shape != shape:
        raise ValueError(f"expected incomplete to have the shape {shape} of the matrix, got {marked.shape}")
    return marked


def _places(names: Sequence[str]) -> list[float]:
    """Left (upper) edge of each column (row) in mm."""
    methods = sum(not method_style(name).control for name in names)
    return [index * CELL_MM + (GAP_MM if index >= methods > 0 else 0.0) for index in range(len(names))]


def _millimetre_axes(sheet: Sheet, left: float, top: float, width: float, height: float) -> Axes:
    """Axes whose coordinates are mm from their upper left corner."""
    axes = sheet.add_axes(left, top, width, height)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return axes


def _draw_cells(
    axes: Axes,
    values: NDArray[np.float64],  # (name, name)
    marked: NDArray[np.bool_],  # (name, name)
    places: Sequence[float],
) -> None:
    cells = [
        (x, y, value, "" if row == column else _number(float(value), bool(marked[row, column])))
        for row, y in enumerate(places)
        for x, (column, value) in zip(places, enumerate(values[row]), strict=True)
    ]
    _add_cells(axes, cells)


def _draw_column(axes: Axes, x: float, name: str, values: NDArray[np.float64], places: Sequence[float]) -> None:
    """What stands in for the maps of each row, under its name."""
    _add_cells(
        axes, [(x, y, value, _number(float(value), marked=False)) for y, value in zip(places, values, strict=True)]
    )
    axes.text(x + CELL_MM / 2, -1.2, method_style(name).label, ha="center", va="bottom", rotation=90,
              fontsize=TEXT_POINTS, color=TEXT_COLOUR, fontstyle="italic")  # fmt: skip


def _add_cells(axes: Axes, cells: Sequence[tuple[float, float, float, str]]) -> None:
    """Draw cells with a left and an upper edge, a value and its text; one without text is of the diagonal."""
    colours = diverging_colours()
    faces = [DIAGONAL_COLOUR if not text else GREY if np.isnan(value) else colours(_NORM(value))
             for _, _, value, text in cells]  # fmt: skip
    squares = [Rectangle((x, y), CELL_MM, CELL_MM) for x, y, _, _ in cells]
    axes.add_collection(PatchCollection(squares, facecolors=faces, edgecolors="white", linewidths=0.6))
    for x, y, _, text in cells:
        if text:
            axes.text(x + CELL_MM / 2, y + CELL_MM / 2, text, fontsize=NUMBER_POINTS, color=TEXT_COLOUR, ha="center",
                      va="center")  # fmt: skip


def _number(value: float, marked: bool) -> str:
    if np.isnan(value):
        return UNDEFINED
    text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
    return ("0.00" if text == "\N{MINUS SIGN}0.00" else text) + (INCOMPLETE_MARK if marked else "")


def _draw_names(axes: Axes, names: Sequence[str], places: Sequence[float]) -> None:
    """Names in the colours that methods have in every figure, controls slanted."""
    for name, place in zip(names, places, strict=True):
        style, middle = method_style(name), place + CELL_MM / 2
        slant = "italic" if style.control else "normal"
        looks: dict[str, Any] = {"fontsize": TEXT_POINTS, "color": style.colour, "fontstyle": slant}
        axes.text(-1.2, middle, style.label, ha="right", va="center", **looks)
        axes.text(middle, -1.2, style.label, ha="center", va="bottom", rotation=90, **looks)


def _draw_bar(sheet: Sheet, left: float, top: float, quantity: str) -> None:
    axes = sheet.add_axes(left, top, *BAR_MM)
    axes.set_axis_on()
    bar = sheet.figure.colorbar(ScalarMappable(_NORM, diverging_colours()), cax=axes, orientation="horizontal")
    ticks = [-1.0, -0.5, 0.0, 0.5, 1.0]
    bar.set_ticks(ticks, labels=[f"{tick:g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    bar.set_label(quantity, fontsize=TEXT_POINTS, color=TEXT_COLOUR, labelpad=1)
    bar.ax.tick_params(labelsize=TEXT_POINTS, labelcolor=TEXT_COLOUR, length=2, width=0.5, color=TEXT_COLOUR)
    bar.ax.spines["outline"].set_linewidth(0.5)
