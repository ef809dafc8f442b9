"""A stack shows a beat's leads under each other on one strip of ECG paper.

Stacks beside each other share the zero lines of their leads, so that a wave is compared by looking to the side. Leads
come as near as their traces allow: never so near that two of them, or what is marked around them, meet.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, PathPatch, Rectangle
from numpy.typing import NDArray

from ecg_lightning.ecg import SignalFormat
from ecg_lightning.plotting.class_beat import REGION_STYLES, ClassBeat, RegionStyle
from ecg_lightning.plotting.drawable import check_beat
from ecg_lightning.plotting.maps import halo, halo_outline, runs
from ecg_lightning.plotting.paper import (
    GRID_RED,
    TRACE_COLOUR,
    PaperScale,
    SampleTimes,
    draw_trace,
    panel_width,
    set_up_paper,
)
from ecg_lightning.plotting.sheet import MM_PER_POINT, TEXT_POINTS, Sheet

MARK_MM: Final = 1.1
"""What is marked reaches this far from the trace."""

SQUARE_MM: Final = 5.0
"""Distance of the strong lines."""

ZERO_STEP_MILLIVOLT: Final = 0.5
"""Zero lines lie on lines of the paper: strong ones at the standard gain."""

LEAST_DISTANCE_MILLIVOLT: Final = 1.0
"""Between the zero lines of two leads: voltages below it can be read by eye."""

GUTTER_MM: Final = 7.0
"""Room for the names of the leads at the left of a stack."""

FILL_ALPHA: Final = 0.5
SWATCH_MM: Final = (6.0, 2.6)


@dataclass(frozen=True)
class Stack:
    """A stack holds the positions of leads in stacks that are to be compared.

    Attributes:
        scale: Paper speed and gain.
        signal_format: Leads, rate and samples of the beats.
        leads: The leads that are drawn, from top to bottom.
        zeros: (lead,) zero lines in mV; the first lead's is 0, the others' are below.
        limits: Lower and upper limit of the paper in mV.
    """

    scale: PaperScale
    signal_format: SignalFormat
    leads: tuple[str, ...]
    zeros: NDArray[np.float64]
    limits: tuple[float, float]

    @classmethod
    def for_beats(
        cls,
        traces: NDArray[np.float64],
        scale: PaperScale,
        signal_format: SignalFormat,
        leads: Sequence[str] | None = None,
    ) -> "Stack":
        """Position the leads so that no two traces meet in any of the beats.

        Args:
            traces: (beat, lead, sample) mV.
            scale: Paper speed and gain.
            signal_format: Leads, rate and samples of the beats.
            leads: The leads that are drawn, from top to bottom; None: all.

        Raises:
            ValueError: No lead, or one that the beats have not.
        """
        known, rate = signal_format.leads, signal_format.sampling_rate
        leads = known if leads is None else tuple(leads)
        if not leads or not set(leads) <= set(known):
            raise ValueError(f"expected leads among {', '.join(known)}, got {', '.join(leads) or 'none'}")
        rows = traces[:, [known.index(lead) for lead in leads]]
        edges = np.array([[halo(trace, scale, rate, MARK_MM) for trace in beat] for beat in rows])
        lower, upper = edges.transpose(2, 0, 1, 3)  # (beat, lead, sample) each
        zeros = np.zeros(len(leads))
        for lead in range(1, len(leads)):
            needed = max(float((upper[:, lead] - lower[:, lead - 1]).max()), LEAST_DISTANCE_MILLIVOLT)
            zeros[lead] = zeros[lead - 1] - math.ceil(needed / ZERO_STEP_MILLIVOLT - 1e-9) * ZERO_STEP_MILLIVOLT
        step = SQUARE_MM / scale.mm_per_millivolt
        low, high = (lower + zeros[:, None]).min(), (upper + zeros[:, None]).max()
        return cls(scale, signal_format, leads, zeros, (math.floor(low / step) * step, math.ceil(high / step) * step))

    @property
    def width(self) -> float:
        """Return the width of a stack in mm, without the gutter."""
        return panel_width(self.scale, self.signal_format)

    @property
    def height(self) -> float:
        """Return the height of a stack in mm."""
        return (self.limits[1] - self.limits[0]) * self.scale.mm_per_millivolt

    def draw(self, sheet: Sheet, left: float, top: float, beat: ClassBeat, *, minor: bool = True) -> None:
        """Draw a beat, its upper left corner at (left, top) mm.

        Args:
            sheet: Where to draw.
            left: Left edge of the paper in mm.
            top: Upper edge of the paper in mm.
            beat: The beat, one of those that the stack was made for.
            minor: Whether the thin lines of the paper are drawn.
        """
        axes = sheet.add_axes(left, top, self.width, self.height)
        step = SQUARE_MM / self.scale.mm_per_millivolt
        of_beats = self.signal_format
        set_up_paper(axes, self.limits, colours=GRID_RED, seconds=of_beats.seconds, step=step, minor=minor)
        regions, times = beat.checked_regions(), SampleTimes(of_beats.sampling_rate)
        traces = check_beat(beat.beat, of_beats)
        for lead, zero in zip(self.leads, self.zeros, strict=True):
            row = of_beats.leads.index(lead)
            for region, mask in regions.items():
                draw_region(axes, traces[row] + zero, mask[row], REGION_STYLES[region], self.scale, times)
            draw_trace(axes, traces[row] + zero, times)

    def draw_lead_names(self, sheet: Sheet, right: float, top: float) -> None:
        """Write the leads' names at the height of their zero lines, ending at ``right`` mm."""
        for lead, zero in zip(self.leads, self.zeros, strict=True):
            middle = top + (self.limits[1] - zero) * self.scale.mm_per_millivolt
            # Capitals are about two thirds of a font's height.
            sheet.add_text(right, middle - 0.45 * TEXT_POINTS * MM_PER_POINT, lead, weight="bold", align="right")


def draw_region(
    axes: Axes,
    trace: NDArray[np.float64],  # (sample,) mV
    mask: NDArray[np.bool_],  # (sample,)
    style: RegionStyle,
    scale: PaperScale,
    times: SampleTimes,
) -> None:
    """Mark the surroundings of the parts of a trace that are in a mask, and of nothing beside them."""
    for first, last in runs(mask):
        part = slice(first, last + 1)
        lower, upper = trace.copy(), trace.copy()
        # The halo of the part alone: that of the whole trace would reach up a steep QRS complex next to the part.
        lower[part], upper[part] = halo(trace[part], scale, times.rate, MARK_MM)
        axes.add_patch(_styled(PathPatch(halo_outline(lower, upper, first, last, times)), style))


def draw_swatch(sheet: Sheet, left: float, top: float, style: RegionStyle) -> None:
    """Draw a small rectangle that is marked as a region is, for a legend."""
    axes = sheet.add_axes(left, top, *SWATCH_MM)
    axes.add_patch(_styled(Rectangle((0, 0), 1, 1, transform=axes.transAxes, clip_on=False), style))


P = TypeVar("P", bound=Patch)


def _styled(patch: P, style: RegionStyle) -> P:
    if style.fill is None:
        patch.set(facecolor="none", edgecolor=TRACE_COLOUR, linewidth=0.6, linestyle=(0, (2.5, 1.5)), zorder=2)
    else:
        patch.set(facecolor=style.fill, edgecolor="none", alpha=FILL_ALPHA, zorder=1)
    return patch
