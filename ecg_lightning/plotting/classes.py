"""This module shows what a diagnosis looks like: beats that have it side by side, simulated and real, to one scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.figure import Figure

from ecg_lightning.plotting.class_beat import REGION_STYLES, ClassBeat, check_beats
from ecg_lightning.plotting.paper import STANDARD_SCALE, TRACE_COLOUR, TRACE_POINTS, PaperScale
from ecg_lightning.plotting.sheet import MARGIN_MM, Sheet, TextLine, heading, text_height
from ecg_lightning.plotting.stack import GUTTER_MM, SWATCH_MM, Stack, draw_swatch

BEAT_GAP_MM: Final = 2.5
COLUMN_POINTS: Final = 8.5
COLUMN_GAP_MM: Final = 5.0
LABEL_GAP_MM: Final = 1.0
LEGEND_GAP_MM: Final = 2.5
PULSE_SECONDS: Final = 0.2
LEGEND_LINE_MM: Final = 4.0

Columns = Mapping[str, Sequence[ClassBeat]]


def classes_figure(
    columns: Columns,
    *,
    title: str,
    subtitle: str | None = None,
    credit: str | None = None,
    scale: PaperScale = STANDARD_SCALE,
) -> Figure:
    """Draw beats beside each other on ECG paper, to one scale, with their evidence.

    Args:
        columns: Heading of a group of beats, such as ``simulated``, -> its beats, from left to right.
        title: Bold heading: the diagnosis, see ``class_title``.
        subtitle: Smaller heading below the title.
        credit: Small print under the legend: whose ECGs these are.
        scale: Paper speed and gain.

    Returns:
        A figure of the size that is to scale when it is printed at 100 %; save it with ``save_figure``.

    Raises:
        ValueError: A column without a beat, no column, or a beat or region that can't be drawn.
    """
    block = Block.for_columns(columns, scale)
    width = block.width + 2 * MARGIN_MM
    lines = heading(title, subtitle, width - 2 * MARGIN_MM)
    top = MARGIN_MM + sum(line.height for line in lines) + LABEL_GAP_MM
    legend = Legend.for_beats([beat for beats in columns.values() for beat in beats], scale, credit, block.width)
    sheet = Sheet.of_size(width, top + block.height + LEGEND_GAP_MM + legend.height + MARGIN_MM)
    sheet.add_lines(MARGIN_MM, MARGIN_MM, lines)
    block.draw(sheet, MARGIN_MM, top)
    legend.draw(sheet, MARGIN_MM, top + block.height + LEGEND_GAP_MM)
    return sheet.figure


@dataclass(frozen=True)
class Block:
    """A block holds stacks beside each other, under their headings and captions.

    Attributes:
        columns: Heading -> beats.
        stack: Where the leads lie in all of them.
        headings: Lines of each column's heading.
        captions: Lines of each beat's caption, a list for each column.
    """

    columns: Columns
    stack: Stack
    headings: list[list[TextLine]]
    captions: list[list[list[TextLine]]]

    @classmethod
    def for_columns(cls, columns: Columns, scale: PaperScale, leads: Sequence[str] | None = None) -> "Block":
        """Check the beats and break their captions into lines.

        Raises:
            ValueError: A column without a beat, a beat that can't be drawn, or an unknown lead.
        """
        empty = [name for name, beats in columns.items() if not beats]
        if empty or not columns:
            raise ValueError(f"expected columns of at least one beat, got none in {', '.join(empty) or 'all'}")
        of_all = [beat for beats in columns.values() for beat in beats]
        stack = Stack.for_beats(check_beats(of_all), scale, of_all[0].signal_format, leads)
        headings = [_column_heading(name, _paper_width(stack, len(beats))) for name, beats in columns.items()]
        captions = [[heading(None, beat.caption, stack.width) for beat in beats] for beats in columns.values()]
        return cls(columns, stack, headings, captions)

    @property
    def width(self) -> float:
        """Return the width in mm."""
        papers = sum(GUTTER_MM + _paper_width(self.stack, len(beats)) for beats in self.columns.values())
        return papers + (len(self.columns) - 1) * COLUMN_GAP_MM

    @property
    def height(self) -> float:
        """Return the height in mm."""
        return self._head + self._caption + LABEL_GAP_MM + self.stack.height

    @property
    def _head(self) -> float:
        return max(text_height(lines) for lines in self.headings)

    @property
    def _caption(self) -> float:
        return max(text_height(lines) for column in self.captions for lines in column)

    def draw(self, sheet: Sheet, left: float, top: float, *, minor: bool = True) -> None:
        """Draw everything, the upper left corner at (left, top) mm; ``minor``: the thin lines of the paper too."""
        paper_top = top + self._head + self._caption + LABEL_GAP_MM
        for beats, head, captions in zip(self.columns.values(), self.headings, self.captions, strict=True):
            left += GUTTER_MM
            sheet.add_lines(left, top, head)
            self.stack.draw_lead_names(sheet, left - 1.0, paper_top)
            for index, (beat, caption) in enumerate(zip(beats, captions, strict=True)):
                beat_left = left + index * (self.stack.width + BEAT_GAP_MM)
                sheet.add_lines(beat_left, top + self._head, caption)
                self.stack.draw(sheet, beat_left, paper_top, beat, minor=minor)
            left += _paper_width(self.stack, len(beats)) + COLUMN_GAP_MM


def _paper_width(stack: Stack, beats: int) -> float:
    return beats * stack.width + (beats - 1) * BEAT_GAP_MM


def _column_heading(text: str, width: float) -> list[TextLine]:
    return [TextLine(line.text, COLUMN_POINTS, "bold") for line in heading(text, None, width)]


@dataclass(frozen=True)
class Legend:
    """The legend shows the calibration pulse, the scale, what the marks mean, and the credit.

    Attributes:
        scale: Paper speed and gain.
        regions: Those that are on the sheet.
        credit: Lines of small print.
    """

    scale: PaperScale
    regions: tuple[str, ...]
    credit: list[TextLine]

    @classmethod
    def for_beats(cls, beats: Sequence[ClassBeat], scale: PaperScale, credit: str | None, width: float) -> "Legend":
        """Make the legend of what is on a sheet; a region that is nowhere marked is left out.

        Raises:
            ValueError: A region that can't be drawn.
        """
        shown = {name for beat in beats for name, mask in beat.checked_regions().items() if mask.any()}
        return cls(scale, tuple(name for name in REGION_STYLES if name in shown), heading(None, credit, width))

    @property
    def height(self) -> float:
        """Return the height in mm."""
        return (
            max(self.scale.mm_per_millivolt, LEGEND_LINE_MM * (1 + len(self.regions))) + text_height(self.credit) + 1.5
        )

    def draw(self, sheet: Sheet, left: float, top: float) -> None:
        """Draw the legend, its upper left corner at (left, top) mm."""
        self._draw_pulse(sheet, left, top)
        text_left = left + GUTTER_MM + PULSE_SECONDS * self.scale.mm_per_second
        sheet.add_text(text_left, top, f"{self.scale.note}; pulse: 1 mV, {PULSE_SECONDS:g} s")
        for index, region in enumerate(self.regions, start=1):
            line = top + index * LEGEND_LINE_MM
            draw_swatch(sheet, text_left, line, REGION_STYLES[region])
            sheet.add_text(text_left + SWATCH_MM[0] + 1.5, line, REGION_STYLES[region].meaning)
        sheet.add_lines(left, top + self.height - text_height(self.credit), self.credit)

    def _draw_pulse(self, sheet: Sheet, left: float, top: float) -> None:
        foot = 1.0 / self.scale.mm_per_second  # 1 mm
        end = foot + PULSE_SECONDS
        axes = sheet.add_axes(left, top, (end + foot) * self.scale.mm_per_second, self.scale.mm_per_millivolt)
        axes.set_xlim(0, end + foot)
        axes.set_ylim(0, 1)
        seconds, millivolts = [0, foot, foot, end, end, end + foot], [0, 0, 1, 1, 0, 0]
        axes.plot(seconds, millivolts, color=TRACE_COLOUR, linewidth=TRACE_POINTS, clip_on=False)
