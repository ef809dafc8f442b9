"""This module lays out a sheet of small multiples: a row for each map of a signal, a column for each lead."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import SignalFormat
from ecg_lightning.plotting.ecg_paper import ROW_HEADER_MM
from ecg_lightning.plotting.paper import PaperScale, voltage_limits
from ecg_lightning.plotting.sheet import (
    MARGIN_MM,
    MM_PER_POINT,
    TEXT_POINTS,
    Sheet,
    TextLine,
    heading,
    text_height,
)

PAPER_SPEED: Final = 12.5
GAINS: Final = ((5.0, 20.0), (2.5, 30.0), (1.25, float("inf")))
"""mm/mV, and the height of a row in mm up to which each is used."""

SQUARE_MM: Final = 2.5
"""Distance of the grid's lines; thinner lines would turn the paper grey at this scale."""

LABEL_MM: Final = 34.0
SMALL_POINTS: Final = 6.0
"""Size of what stands under a method's name: unit and passes would not fit in the text's size."""

COLUMN_GAP_MM: Final = 2.0
ROW_GAP_MM: Final = 1.5
HALO_MM: Final = 1.2
LEAST_WIDTH_MM: Final = 170.0
"""A legend of two bars and text beside them."""

LEGEND_MM: Final = 22.0
"""Six lines of text."""


@dataclass(frozen=True)
class Overview:
    """An overview holds the positions of its parts, in mm from the upper left corner.

    Attributes:
        sheet: The sheet of the overview.
        seconds: Length of a panel.
        scale: Paper speed and gain.
        limits: Lower and upper limit of every panel in mV.
        top: Upper edge of the first row.
        height: Height of a panel.
        pitch: Distance of two rows; more than a panel's height where labels need it.
        legend_top: Upper edge of the legend.
    """

    sheet: Sheet
    seconds: float
    scale: PaperScale
    limits: tuple[float, float]
    top: float
    height: float
    pitch: float
    legend_top: float

    @classmethod
    def laid_out(
        cls,
        traces: NDArray[np.float64],
        labels: Sequence[Sequence[TextLine]],
        words: tuple[str | None, str | None],
        of_format: SignalFormat,
    ) -> "Overview":
        """Choose the gain and the height of the sheet for rows of these labels, and write heading and leads' names."""
        width = overview_width(of_format)
        lines = heading(*words, width - 2 * MARGIN_MM)
        for gain, highest in GAINS:
            limits = voltage_limits(traces, HALO_MM / gain, SQUARE_MM / gain)
            height = (limits[1] - limits[0]) * gain
            if height <= highest:
                break
        top = MARGIN_MM + sum(line.height for line in lines) + ROW_HEADER_MM
        pitch = max(height, *(text_height(label) for label in labels)) + ROW_GAP_MM
        legend_top = top + len(labels) * pitch + 1.5
        sheet = Sheet.of_size(width, legend_top + LEGEND_MM + MARGIN_MM)
        sheet.add_heading(lines)
        overview = cls(sheet, of_format.seconds, PaperScale(PAPER_SPEED, gain), limits, top, height, pitch, legend_top)
        for column, lead in enumerate(of_format.leads):
            name_top = top - TEXT_POINTS * MM_PER_POINT - 0.8
            sheet.add_text(overview.left(column), name_top, lead, weight="bold")
        return overview

    @property
    def width(self) -> float:
        """Return the width of a panel."""
        return self.seconds * self.scale.mm_per_second

    def left(self, column: int) -> float:
        """Return the left edge of a column of panels."""
        return MARGIN_MM + LABEL_MM + column * (self.width + COLUMN_GAP_MM)

    def row_top(self, row: int) -> float:
        """Return the upper edge of a row's panels, which lie in its middle where its label is higher."""
        return self.top + row * self.pitch + (self.pitch - ROW_GAP_MM - self.height) / 2

    def draw_label(self, row: int, label: Sequence[TextLine]) -> None:
        """Write a label at the left of its row, middle beside middle."""
        middle = self.row_top(row) + self.height / 2
        self.sheet.add_lines(MARGIN_MM, middle - text_height(label) / 2, label)


def overview_width(of_format: SignalFormat) -> float:
    """Return the width of the sheet in mm; a median beat's, 190, is A4 portrait with room for a printer's margin."""
    columns = len(of_format.leads)
    panels = columns * of_format.seconds * PAPER_SPEED + (columns - 1) * COLUMN_GAP_MM
    return max(2 * MARGIN_MM + LABEL_MM + panels, LEAST_WIDTH_MM)
