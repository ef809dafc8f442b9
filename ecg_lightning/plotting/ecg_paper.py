"""A beat on ECG paper, to scale: 25 mm/s and 10 mm/mV when the sheet is printed at 100 %.

Thin lines every 1 mm, strong lines every 5 mm, as on the paper of an electrocardiograph. Lengths in this
module are millimetres on the sheet unless a name says seconds or mV.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, LEADS, SAMPLING_RATE
from ecg_lightning.plotting.checks import check_beat
from ecg_lightning.plotting.sheet import MARGIN_MM, MM_PER_POINT, TEXT_POINTS, Sheet, heading

BEAT_SECONDS: Final = BEAT_SAMPLES / SAMPLING_RATE
FIDUCIAL_SECONDS: Final = FIDUCIAL_SAMPLE / SAMPLING_RATE
SAMPLE_SECONDS: Final = np.arange(BEAT_SAMPLES) / SAMPLING_RATE

COLUMNS: Final = 4
GAP_MM: Final = 4.0
"""White between two columns of panels."""

ROW_HEADER_MM: Final = 4.5
"""Height above a row of panels for the names of its leads."""

CALIBRATION_SECONDS: Final = 0.2
NOTE_MM: Final = 5.0
HEADROOM_MILLIVOLT: Final = 0.1
LEAST_LIMITS_MILLIVOLT: Final = (-0.5, 1.0)

GRID_RED: Final = ("#f6ebe8", "#e6d0ca")
"""Thin and strong lines, pale red as on real paper."""

GRID_GREY: Final = ("#f0efed", "#dad7d3")
"""Thin and strong lines under a coloured map, so that no line is taken for a colour."""

TRACE_COLOUR: Final = "#1a1a1a"
TRACE_POINTS: Final = 0.7


@dataclass(frozen=True)
class PaperScale:
    """How much paper a second and a millivolt take.

    Attributes:
        mm_per_second: Paper speed; electrocardiographs know 25 and 50.
        mm_per_millivolt: Gain; electrocardiographs know 5, 10 and 20.
    """

    mm_per_second: float = 25.0
    mm_per_millivolt: float = 10.0

    def __post_init__(self) -> None:
        if not (self.mm_per_second > 0 and self.mm_per_millivolt > 0):
            raise ValueError(f"expected a paper speed and a gain above 0, got {self}")

    @property
    def note(self) -> str:
        """What stands on the sheet, such as ``25 mm/s, 10 mm/mV``."""
        return f"{self.mm_per_second:g} mm/s, {self.mm_per_millivolt:g} mm/mV"


STANDARD_SCALE: Final = PaperScale()


def voltage_limits(
    traces: NDArray[np.float64], headroom: float = HEADROOM_MILLIVOLT, step: float = 0.5
) -> tuple[float, float]:
    """Find the strong grid lines between which all traces lie.

    Args:
        traces: (..., sample) mV.
        headroom: Least distance of a trace to the limits in mV.
        step: Distance of the strong lines in mV.

    Returns:
        Lower and upper limit in mV, at most -0.5 and at least 1: no amplitude is ever cut off.
    """
    low, high = LEAST_LIMITS_MILLIVOLT
    low = min(low, float(traces.min()) - headroom)
    high = max(high, float(traces.max()) + headroom)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def set_up_paper(
    axes: Axes,
    limits: tuple[float, float],
    *,
    colours: tuple[str, str],
    step: float = 0.5,
    minor: bool = True,
) -> None:
    """Give axes the coordinates (s, mV) of one beat and draw the grid.

    The strong lines lie at 0.2 s and 0.5 mV (5 mm at the standard scale), five times as far as the thin ones.

    Args:
        axes: Bare axes whose size in mm was computed from the limits.
        limits: Lower and upper limit in mV, multiples of the step.
        colours: Of the thin and of the strong lines.
        step: Distance of the strong lines in mV.
        minor: Whether the thin lines are drawn.
    """
    axes.set_xlim(0, BEAT_SECONDS)
    axes.set_ylim(limits)
    axes.set_autoscale_on(False)
    thin, strong = colours
    if minor:
        _draw_grid(axes, limits, (0.04, step / 5), thin, 0.4)
    _draw_grid(axes, limits, (0.2, step), strong, 0.5)


def _draw_grid(axes: Axes, limits: tuple[float, float], steps: tuple[float, float], colour: str, points: float) -> None:
    """Draw upright and level lines of one spacing, ``steps`` in s and mV."""
    low, high = limits
    times = np.arange(round(BEAT_SECONDS / steps[0]) + 1) * steps[0]
    levels = np.arange(round(low / steps[1]), round(high / steps[1]) + 1) * steps[1]
    upright = [[(time, low), (time, high)] for time in times]
    level = [[(0.0, millivolt), (BEAT_SECONDS, millivolt)] for millivolt in levels]
    lines = LineCollection(upright + level, colors=colour, linewidths=points, zorder=0.5, clip_on=False)
    axes.add_collection(lines)


def draw_trace(axes: Axes, trace: NDArray[np.float64], points: float = TRACE_POINTS) -> None:
    """Draw one lead (600 samples, mV) as a thin dark line above everything else."""
    axes.plot(SAMPLE_SECONDS, trace, color=TRACE_COLOUR, linewidth=points, zorder=3, solid_joinstyle="round")


@dataclass(frozen=True)
class BeatSheet:
    """A sheet with paper for the eight leads on it.

    Attributes:
        sheet: The sheet.
        panels: Lead -> axes in s and mV.
        footer_top: Where the space under the panels begins, mm from the top.
    """

    sheet: Sheet
    panels: dict[str, Axes]
    footer_top: float


def sheet_width(scale: PaperScale) -> float:
    """Width in mm of a sheet with four panels beside each other."""
    return first_panel_left(scale) + COLUMNS * panel_width(scale) + (COLUMNS - 1) * GAP_MM + MARGIN_MM


def first_panel_left(scale: PaperScale) -> float:
    """Left edge in mm of the first panel of a row, right of the calibration pulse with 1 mm on either side."""
    return MARGIN_MM + CALIBRATION_SECONDS * scale.mm_per_second + 2.0


def panel_width(scale: PaperScale) -> float:
    """Width in mm of one beat."""
    return BEAT_SECONDS * scale.mm_per_second


def beat_sheet(
    beat: NDArray[np.float64],  # (8, 600) mV
    *,
    title: str | None,
    subtitle: str | None,
    scale: PaperScale,
    grid: tuple[str, str] = GRID_RED,
    footer: float = 0.0,
    headroom: float = HEADROOM_MILLIVOLT,
) -> BeatSheet:
    """Lay out paper for a checked beat: two rows of four panels, I II V1 V2 and V3 V4 V5 V6, without traces.

    Args:
        beat: (8, 600) mV.
        title: Bold heading.
        subtitle: Smaller heading.
        scale: Paper speed and gain, shared by all panels.
        grid: Colours of the thin and of the strong lines.
        footer: Height in mm kept free under the panels and their note.
        headroom: Least distance of a trace to the upper and lower edge of its row in mV.
    """
    rows = [LEADS[start : start + COLUMNS] for start in range(0, len(LEADS), COLUMNS)]
    limits = [voltage_limits(part, headroom) for part in np.split(beat, len(rows))]
    heights = [(high - low) * scale.mm_per_millivolt for low, high in limits]
    width = sheet_width(scale)
    lines = heading(title, subtitle, width - 2 * MARGIN_MM)
    top = MARGIN_MM + sum(line.height for line in lines)
    footer_top = top + sum(heights) + len(rows) * ROW_HEADER_MM + NOTE_MM
    sheet = Sheet.of_size(width, footer_top + footer + MARGIN_MM)
    sheet.add_lines(MARGIN_MM, MARGIN_MM, lines)
    panels: dict[str, Axes] = {}
    for row, limit, height in zip(rows, limits, heights, strict=True):
        top += ROW_HEADER_MM
        draw_calibration(sheet, top, height, limit, scale)
        panels |= _row_of_panels(sheet, (top, height), row, limit, scale, grid)
        top += height
    sheet.add_text(first_panel_left(scale), top + 1.5, scale.note)
    return BeatSheet(sheet, panels, footer_top)


def _row_of_panels(
    sheet: Sheet,
    place: tuple[float, float],
    leads: tuple[str, ...],
    limits: tuple[float, float],
    scale: PaperScale,
    grid: tuple[str, str],
) -> dict[str, Axes]:
    """Add the paper of some leads beside each other, each under its name."""
    top, height = place
    panels = {}
    for column, lead in enumerate(leads):
        left = first_panel_left(scale) + column * (panel_width(scale) + GAP_MM)
        sheet.add_text(left, top - TEXT_POINTS * MM_PER_POINT - 0.8, lead, weight="bold")
        panels[lead] = sheet.add_axes(left, top, panel_width(scale), height)
        set_up_paper(panels[lead], limits, colours=grid)
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
) -> Figure:
    """Draw a beat on ECG paper, to scale.

    Args:
        beat: (8, 600) mV, leads as in ``ecg.LEADS``.
        title: Bold heading, broken into lines where it is long.
        subtitle: Smaller heading.
        scale: Paper speed and gain; all panels share them, and a row grows with its amplitudes.
        fiducial: Whether the fiducial of the QRS complex (0.48 s) is marked.

    Returns:
        A figure of the size that is to scale when it is printed at 100 %; save it with ``save_figure``.

    Raises:
        ValueError: The beat has another shape, or values that are not finite or above 20 mV.
    """
    traces = check_beat(beat)
    drawn = beat_sheet(traces, title=title, subtitle=subtitle, scale=scale)
    for trace, axes in zip(traces, drawn.panels.values(), strict=True):
        draw_trace(axes, trace)
        if fiducial:
            axes.axvline(FIDUCIAL_SECONDS, color=TRACE_COLOUR, linewidth=0.5, linestyle=":", zorder=2)
    if fiducial:
        note = f"dotted: fiducial of the QRS complex, {FIDUCIAL_SECONDS:g} s"
        drawn.sheet.add_text(drawn.sheet.width - MARGIN_MM, drawn.footer_top - NOTE_MM + 1.5, note, align="right")
    return drawn.sheet.figure
