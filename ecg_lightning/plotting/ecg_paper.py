"""This module draws a beat on ECG paper, to scale: 25 mm/s and 10 mm/mV on a print at 100 %.

Lengths in this module are millimetres on the sheet unless a name says seconds or mV.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.plotting.drawable import check_beat
from ecg_lightning.plotting.paper import (
    GRID_RED,
    HEADROOM_MILLIVOLT,
    STANDARD_SCALE,
    TRACE_COLOUR,
    TRACE_POINTS,
    PaperScale,
    SampleTimes,
    draw_trace,
    panel_width,
    set_up_paper,
    voltage_limits,
)
from ecg_lightning.plotting.sheet import MARGIN_MM, MM_PER_POINT, TEXT_POINTS, Sheet, heading

COLUMNS: Final = 4
"""Panels beside each other, unless a narrow sheet needs two."""

GAP_MM: Final = 4.0
"""White between two columns of panels."""

ROW_HEADER_MM: Final = 4.5
"""Height above a row of panels for the names of its leads."""

CALIBRATION_SECONDS: Final = 0.2
NOTE_MM: Final = 5.0


@dataclass(frozen=True)
class BeatSheet:
    """A beat sheet is a sheet with ECG paper for each lead.

    Attributes:
        sheet: The sheet that the paper is on.
        panels: Lead -> axes in s and mV.
        footer_top: Where the space under the panels begins, mm from the top.
    """

    sheet: Sheet
    panels: dict[str, Axes]
    footer_top: float


def sheet_width(scale: PaperScale, signal_format: SignalFormat, columns: int = COLUMNS) -> float:
    """Return the width in mm of a sheet with so many panels beside each other."""
    panels = columns * panel_width(scale, signal_format)
    return first_panel_left(scale) + panels + (columns - 1) * GAP_MM + MARGIN_MM


def first_panel_left(scale: PaperScale) -> float:
    """Return the left edge in mm of a row's first panel, right of the calibration pulse with 1 mm on either side."""
    return MARGIN_MM + CALIBRATION_SECONDS * scale.mm_per_second + 2.0


def beat_sheet(
    beat: NDArray[np.float64],  # (lead, sample) mV
    signal_format: SignalFormat,
    *,
    title: str | None,
    subtitle: str | None,
    scale: PaperScale,
    grid: tuple[str, str] = GRID_RED,
    footer: float = 0.0,
    headroom: float = HEADROOM_MILLIVOLT,
    columns: int = COLUMNS,
) -> BeatSheet:
    """Lay out paper for a checked beat: rows of panels, one for each lead in their order, without traces.

    Args:
        beat: (lead, sample) mV.
        signal_format: Leads, rate and samples.
        title: Bold heading of the sheet.
        subtitle: Smaller heading below the title.
        scale: Paper speed and gain, shared by all panels.
        grid: Colours of the thin and of the strong lines.
        footer: Height in mm left free under the panels and their note.
        headroom: Least distance of a trace to the upper and lower edge of its row in mV.
        columns: Panels beside each other.
    """
    parts = [slice(start, start + columns) for start in range(0, len(beat), columns)]
    limits = [voltage_limits(beat[part], headroom) for part in parts]
    heights = [(high - low) * scale.mm_per_millivolt for low, high in limits]
    width = sheet_width(scale, signal_format, columns)
    lines = heading(title, subtitle, width - 2 * MARGIN_MM)
    top = MARGIN_MM + sum(line.height for line in lines)
    footer_top = top + sum(heights) + len(parts) * ROW_HEADER_MM + NOTE_MM
    sheet = Sheet.of_size(width, footer_top + footer + MARGIN_MM)
    sheet.add_heading(lines)
    panels: dict[str, Axes] = {}
    for part, limit, height in zip(parts, limits, heights, strict=True):
        top += ROW_HEADER_MM
        draw_calibration(sheet, top, height, limit, scale)
        of_row = replace(signal_format, leads=signal_format.leads[part])
        panels |= _row_of_panels(sheet, (top, height), of_row, limit, scale, grid)
        top += height
    sheet.add_text(first_panel_left(scale), top + 1.5, scale.note)
    return BeatSheet(sheet, panels, footer_top)


def _row_of_panels(
    sheet: Sheet,
    top_and_height: tuple[float, float],
    signal_format: SignalFormat,
    limits: tuple[float, float],
    scale: PaperScale,
    grid: tuple[str, str],
) -> dict[str, Axes]:
    """Add the paper of some leads beside each other, each under its name."""
    top, height = top_and_height
    width = panel_width(scale, signal_format)
    panels = {}
    for column, lead in enumerate(signal_format.leads):
        left = first_panel_left(scale) + column * (width + GAP_MM)
        sheet.add_text(left, top - TEXT_POINTS * MM_PER_POINT - 0.8, lead, weight="bold")
        panels[lead] = sheet.add_axes(left, top, width, height)
        set_up_paper(panels[lead], limits, colours=grid, seconds=signal_format.seconds)
    return panels


def draw_calibration(sheet: Sheet, top: float, height: float, limits: tuple[float, float], scale: PaperScale) -> None:
    """Draw the calibration pulse, 1 mV for 0.2 s, at the left of a row of panels."""
    width = first_panel_left(scale) - MARGIN_MM
    axes = sheet.add_axes(MARGIN_MM, top, width, height)
    axes.set_xlim(0, width / scale.mm_per_second)
    axes.set_ylim(limits)
    foot = 0.5 / scale.mm_per_second  # 0.5 mm
    start, end = foot, foot + CALIBRATION_SECONDS
    seconds = [start - foot, start, start, end, end, end + foot]
    axes.plot(seconds, [0, 0, 1, 1, 0, 0], color=TRACE_COLOUR, linewidth=TRACE_POINTS, clip_on=False)


def ecg_figure(
    beat: ArrayLike,
    *,
    title: str | None = None,
    subtitle: str | None = None,
    scale: PaperScale = STANDARD_SCALE,
    fiducial: bool = False,
    signal_format: SignalFormat = MEDIAN_BEAT,
) -> Figure:
    """Draw a beat on ECG paper, to scale.

    Args:
        beat: (lead, sample) mV: a median beat, or another signal of the format.
        title: Bold heading, broken into lines where it is long.
        subtitle: Smaller heading below the title.
        scale: Paper speed and gain; all panels share them, and a row grows with its amplitudes.
        fiducial: Whether the fiducial of the QRS complex is marked, where the format has one.
        signal_format: Leads, rate and samples.

    Returns:
        A figure of the size that is to scale when it is printed at 100 %; save it with ``save_figure``.

    Raises:
        ValueError: The beat has another shape, or values that are not finite or above 20 mV.
    """
    traces, times = check_beat(beat, signal_format), SampleTimes(signal_format.sampling_rate)
    drawn = beat_sheet(traces, signal_format, title=title, subtitle=subtitle, scale=scale)
    for trace, axes in zip(traces, drawn.panels.values(), strict=True):
        draw_trace(axes, trace, times)
    if fiducial and signal_format.fiducial is not None:
        at = float(times.seconds(signal_format.fiducial))
        for axes in drawn.panels.values():
            axes.axvline(at, color=TRACE_COLOUR, linewidth=0.5, linestyle=":", zorder=2)
        note = f"dotted: fiducial of the QRS complex, {at:g} s"
        drawn.sheet.add_text(drawn.sheet.width - MARGIN_MM, drawn.footer_top - NOTE_MM + 1.5, note, align="right")
    return drawn.sheet.figure
