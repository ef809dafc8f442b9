"""This module draws recordings as cardiologists read them: on one sheet of ECG paper, 25 mm/s and 10 mm/mV.

The twelve standard leads stand in three rows of four, of which each shows a quarter of the recording, over a rhythm
strip. Other sets of leads stand under each other, each over the whole recording. Everything has its true time: what
lies on one upright line happened at one moment. Rows keep so much distance that no two traces meet.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

from ecg_lightning.ecg import SignalFormat
from ecg_lightning.plotting.maps import halo
from ecg_lightning.plotting.paper import (
    GRID_RED,
    TRACE_COLOUR,
    TRACE_POINTS,
    PaperScale,
    SampleTimes,
    draw_trace,
    set_up_paper,
)
from ecg_lightning.plotting.sheet import MARGIN_MM, TEXT_COLOUR, TEXT_POINTS, Sheet, text_width
from ecg_lightning.plotting.stack import SQUARE_MM, ZERO_STEP_MILLIVOLT

STANDARD_ROWS: Final = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))
RHYTHM_LEAD: Final = "II"
LEAST_QUARTER_SECONDS: Final = 1.0
"""Shorter quarters show no whole beat: such windows are drawn as any other set of leads."""

LEAST_DISTANCE_MM: Final = 15.0
"""Between the zero lines of two rows: a pulse of 1 mV and some white."""

PULSE_SECONDS: Final = 0.2
NAME_FONT: Final = FontProperties(size=TEXT_POINTS, weight="bold")
NAME_MM: Final = 3.4
"""Height of a lead's name, which stands over the beginning of its trace, 1 mm from its first sample."""

CLOCK_MM: Final = 4.5
"""Height of the line under the paper that counts the seconds."""

LEAST_WIDTH_MM: Final = 150.0
"""A sheet's width for lines of text, however short the recording."""


class Excerpt(NamedTuple):
    """An excerpt is the part of a lead that a row shows at its place.

    Attributes:
        lead: Row of the lead in the recording.
        first: Its first sample.
        end: The sample behind its last one.
    """

    lead: int
    first: int
    end: int


Painter = Callable[[Axes, Excerpt, NDArray[np.float64], SampleTimes], None]
"""What colours or marks the surroundings of an excerpt's trace."""


def page_rows(signal_format: SignalFormat) -> list[list[Excerpt]]:
    """Return which part of which lead stands where: rows from top to bottom, each from left to right."""
    leads, samples = signal_format.leads, signal_format.samples
    columns = len(STANDARD_ROWS[0])
    standard = {lead for row in STANDARD_ROWS for lead in row} == set(leads)
    if not standard or signal_format.seconds < columns * LEAST_QUARTER_SECONDS:
        return [[Excerpt(lead, 0, samples)] for lead in range(len(leads))]
    edges = [round(column * samples / columns) for column in range(columns + 1)]
    rows = [
        [Excerpt(leads.index(lead), *edges[column : column + 2]) for column, lead in enumerate(row)]
        for row in STANDARD_ROWS
    ]
    return [*rows, [Excerpt(leads.index(RHYTHM_LEAD), 0, samples)]]


@dataclass(frozen=True, eq=False)
class RecordingPage:
    """A recording page holds the positions of a recording's leads on a piece of paper.

    Attributes:
        recording: (lead, sample) mV.
        signal_format: Leads, rate and samples.
        scale: Paper speed and gain.
        rows: What stands where.
        zeros: (row,) zero lines in mV; the first row's is 0, the others' are below.
        names: Where the foot of each excerpt's name lies, in mV, a list for each row.
        limits: Lower and upper limit of the paper in mV.
    """

    recording: NDArray[np.float64]
    signal_format: SignalFormat
    scale: PaperScale
    rows: list[list[Excerpt]]
    zeros: NDArray[np.float64]
    names: list[list[float]]
    limits: tuple[float, float]

    @classmethod
    def laid_out(
        cls, recording: NDArray[np.float64], signal_format: SignalFormat, scale: PaperScale, radius: float
    ) -> "RecordingPage":
        """Position the rows so that no two traces meet, nor a name and a trace.

        Args:
            recording: (lead, sample) mV, checked.
            signal_format: Leads, rate and samples.
            scale: Paper speed and gain.
            radius: How far from a trace there may be colours or marks, mm.
        """
        rows, gain = page_rows(signal_format), scale.mm_per_millivolt
        lower, upper = np.empty((2, len(rows), signal_format.samples))
        names: list[list[float]] = [[] for _ in rows]
        for row, excerpts in enumerate(rows):
            for lead, first, end in excerpts:
                part = slice(first, end)
                lower[row, part], upper[row, part] = halo(
                    recording[lead, part], scale, signal_format.sampling_rate, radius
                )
                seconds = (text_width(signal_format.leads[lead], NAME_FONT) + 2.0) / scale.mm_per_second
                named = slice(first, min(first + math.ceil(seconds * signal_format.sampling_rate), end))
                names[row].append(float(upper[row, named].max()))
                upper[row, named] = names[row][-1] + NAME_MM / gain
        needed = np.maximum((upper[1:] - lower[:-1]).max(axis=1), LEAST_DISTANCE_MM / gain)
        steps = np.ceil(needed / ZERO_STEP_MILLIVOLT - 1e-9) * ZERO_STEP_MILLIVOLT
        zeros = -np.concatenate([[0.0], np.cumsum(steps)])
        low, high = float((lower + zeros[:, None]).min()), float((upper + zeros[:, None]).max())
        square = SQUARE_MM / gain
        limits = math.floor(min(low, zeros[-1]) / square) * square, math.ceil(max(high, 1.0) / square) * square
        return cls(recording, signal_format, scale, rows, zeros, names, limits)

    @property
    def paper_width(self) -> float:
        """Return the width of the paper in mm, without the pulses at its left."""
        return self.signal_format.seconds * self.scale.mm_per_second

    @property
    def gutter(self) -> float:
        """Return the width in mm of the room for the calibration pulses at the left of the paper."""
        return PULSE_SECONDS * self.scale.mm_per_second + 4.0

    @property
    def width(self) -> float:
        """Return the width in mm of a sheet that holds the page and its text."""
        return max(2 * MARGIN_MM + self.gutter + self.paper_width, LEAST_WIDTH_MM)

    @property
    def paper_height(self) -> float:
        """Return the height of the paper in mm."""
        return (self.limits[1] - self.limits[0]) * self.scale.mm_per_millivolt

    @property
    def height(self) -> float:
        """Return the height of the page in mm, with the line that counts the seconds."""
        return self.paper_height + CLOCK_MM

    @property
    def note(self) -> str:
        """Say the scale, and which part of each lead is shown."""
        scale = f"{self.scale.note}; pulses: 1 mV, {PULSE_SECONDS:g} s"
        if len(self.rows[0]) == 1:
            return scale
        seconds = self.signal_format.seconds
        quarter = seconds / len(self.rows[0])
        return f"{scale}; each lead for {quarter:.3g} s, below {RHYTHM_LEAD} for all {seconds:.4g} s"

    def shown(self) -> NDArray[np.bool_]:
        """Return which points of the recording are on the page, (lead, sample)."""
        mask = np.zeros(self.signal_format.shape, dtype=np.bool_)
        for lead, first, end in (excerpt for row in self.rows for excerpt in row):
            mask[lead, first:end] = True
        return mask

    def draw(
        self, sheet: Sheet, top: float, paint: Painter, grid: tuple[str, str] = GRID_RED, points: float = TRACE_POINTS
    ) -> None:
        """Draw paper, pulses, traces and what is painted around them, the upper edge at ``top`` mm."""
        left = MARGIN_MM + self.gutter
        axes = sheet.add_axes(left, top, self.paper_width, self.paper_height)
        step = SQUARE_MM / self.scale.mm_per_millivolt
        set_up_paper(axes, self.limits, colours=grid, seconds=self.signal_format.seconds, step=step)
        for excerpts, zero, names in zip(self.rows, self.zeros, self.names, strict=True):
            for excerpt, name in zip(excerpts, names, strict=True):
                times = SampleTimes(self.signal_format.sampling_rate, excerpt.first)
                trace = self.recording[excerpt.lead, excerpt.first : excerpt.end] + zero
                paint(axes, excerpt, trace, times)
                draw_trace(axes, trace, times, points)
                self._draw_name(axes, excerpt, float(times.seconds(0)), name + float(zero), float(zero))
        self._draw_pulses(sheet, top)
        self._count_seconds(sheet, left, top + self.paper_height + 1.0)

    def _draw_name(self, axes: Axes, excerpt: Excerpt, start: float, foot: float, zero: float) -> None:
        """Write a lead's name over the beginning of its excerpt, and mark where it takes over from another lead."""
        name = self.signal_format.leads[excerpt.lead]
        place = start + 1 / self.scale.mm_per_second, foot
        axes.text(*place, name, font=NAME_FONT, color=TEXT_COLOUR, va="bottom", zorder=4, parse_math=False)
        if excerpt.first > 0:
            reach = 3 / self.scale.mm_per_millivolt
            axes.plot([start, start], [zero - reach, zero + reach], color=TEXT_COLOUR, linewidth=0.6, linestyle=":")

    def _draw_pulses(self, sheet: Sheet, top: float) -> None:
        """Draw the calibration pulse, 1 mV for 0.2 s, at the left of each row."""
        axes = sheet.add_axes(MARGIN_MM, top, self.gutter, self.paper_height)
        axes.set_xlim(0, self.gutter / self.scale.mm_per_second)
        axes.set_ylim(self.limits)
        foot = 1.0 / self.scale.mm_per_second
        seconds = np.array([0, foot, foot, foot + PULSE_SECONDS, foot + PULSE_SECONDS, 2 * foot + PULSE_SECONDS])
        for zero in self.zeros:
            pulse = zero + np.array([0, 0, 1, 1, 0, 0])
            axes.plot(seconds, pulse, color=TRACE_COLOUR, linewidth=TRACE_POINTS, clip_on=False)

    def _count_seconds(self, sheet: Sheet, left: float, top: float) -> None:
        step = 1 if self.signal_format.seconds <= 20 else 5
        for second in range(0, math.floor(self.signal_format.seconds) + 1, step):
            at = left + second * self.scale.mm_per_second
            sheet.add_text(at, top, f"{second} s", TEXT_POINTS - 1, align="center")
