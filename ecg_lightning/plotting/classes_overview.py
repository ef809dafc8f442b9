"""This module draws all diagnoses on one sheet: a few beats of each, small."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.figure import Figure

from ecg_lightning.plotting.classes import LEGEND_GAP_MM, Block, Columns, Legend
from ecg_lightning.plotting.paper import PaperScale
from ecg_lightning.plotting.sheet import MARGIN_MM, Sheet, TextLine, heading, text_height

OVERVIEW_SCALE: Final = PaperScale(25.0, 5.0)
"""Half gain, as electrocardiographs do for large amplitudes: nine classes shall fit on a sheet."""

OVERVIEW_LEADS: Final = ("I", "II", "V1", "V5")
"""P waves, both bundle branches, limb voltage and Sokolow and Lyon's sum are seen in these four."""

ACROSS: Final = 3
CELL_GAP_MM: Final = 6.0
ROW_GAP_MM: Final = 5.0
TITLE_GAP_MM: Final = 1.5


def classes_overview(
    classes: Mapping[str, Columns],
    *,
    title: str | None = None,
    subtitle: str | None = None,
    credit: str | None = None,
    leads: Sequence[str] = OVERVIEW_LEADS,
    across: int = ACROSS,
) -> Figure:
    """Draw a block of beats for each diagnosis, some blocks beside each other.

    Args:
        classes: Heading of a block, what follows a colon in small, -> its columns as ``classes_figure`` takes them.
        title: Bold heading of the sheet.
        subtitle: Smaller heading below the title.
        credit: Small print under the legend: whose ECGs these are.
        leads: The leads that are drawn, from top to bottom.
        across: Blocks beside each other.

    Returns:
        A figure of the size that is to scale when it is printed at 100 %; save it with ``save_figure``.

    Raises:
        ValueError: No class, a column without a beat, ``across`` under 1, or what can't be drawn.
    """
    if not classes or across < 1:
        raise ValueError(f"expected at least 1 class and 1 block across, got {len(classes)} and {across}")
    rows = _rows(classes, across, leads)
    cell = max(block.width for row in rows for block in row.blocks)
    width = across * cell + (across - 1) * CELL_GAP_MM
    head = heading(title, subtitle, width)
    beats = [beat for columns in classes.values() for group in columns.values() for beat in group]
    legend = Legend.for_beats(beats, OVERVIEW_SCALE, credit, width)
    top = MARGIN_MM + text_height(head) + (ROW_GAP_MM if head else 0)
    legend_top = top + sum(row.height + ROW_GAP_MM for row in rows) - ROW_GAP_MM + LEGEND_GAP_MM
    sheet = Sheet.of_size(width + 2 * MARGIN_MM, legend_top + legend.height + MARGIN_MM)
    sheet.add_lines(MARGIN_MM, MARGIN_MM, head)
    for row in rows:
        row.draw(sheet, top, cell + CELL_GAP_MM)
        top += row.height + ROW_GAP_MM
    legend.draw(sheet, MARGIN_MM, legend_top)
    return sheet.figure


@dataclass(frozen=True)
class Row:
    """A row holds blocks beside each other, each under the name of its class.

    Attributes:
        blocks: The blocks of the row.
        titles: Lines of each block's title.
    """

    blocks: list[Block]
    titles: list[list[TextLine]]

    @property
    def _head(self) -> float:
        return max(text_height(lines) for lines in self.titles) + TITLE_GAP_MM

    @property
    def height(self) -> float:
        """Return the height in mm."""
        return self._head + max(block.height for block in self.blocks)

    def draw(self, sheet: Sheet, top: float, pitch: float) -> None:
        """Draw the row, its blocks ``pitch`` mm apart; captions of a row begin at one height."""
        for index, (block, lines) in enumerate(zip(self.blocks, self.titles, strict=True)):
            left = MARGIN_MM + index * pitch
            sheet.add_lines(left, top, lines)
            block.draw(sheet, left, top + self._head, minor=False)


def _rows(classes: Mapping[str, Columns], across: int, leads: Sequence[str]) -> list[Row]:
    blocks = {name: Block.for_columns(columns, OVERVIEW_SCALE, leads) for name, columns in classes.items()}
    width = max(block.width for block in blocks.values())
    titles = {name: heading(*_parted(name), width) for name in blocks}
    parts = [list(blocks)[start : start + across] for start in range(0, len(blocks), across)]
    return [Row([blocks[name] for name in part], [titles[name] for name in part]) for part in parts]


def _parted(name: str) -> tuple[str, str]:
    """What stands before a colon in a class title, and what stands behind it."""
    before, _, behind = name.partition(": ")
    return before, behind
