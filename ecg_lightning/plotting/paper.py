"""ECG paper has a scale, a grid and a trace on it, in axes of seconds and mV.

Thin lines every 1 mm, strong lines every 5 mm, as on the paper of an electrocardiograph.
"""

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from ecg_lightning.ecg import SignalFormat

HEADROOM_MILLIVOLT: Final = 0.1
LEAST_LIMITS_MILLIVOLT: Final = (-0.5, 1.0)

GRID_RED: Final = ("#f6ebe8", "#e6d0ca")
"""Thin and strong lines, pale red as on real paper."""

GRID_GREY: Final = ("#f0efed", "#dad7d3")
"""Thin and strong lines under a coloured map, so that no line is taken for a colour."""

TRACE_COLOUR: Final = "#1a1a1a"
TRACE_POINTS: Final = 0.7


class SampleTimes(NamedTuple):
    """The times at which the samples of a trace were taken.

    Attributes:
        rate: Samples per second.
        first: The trace's first sample, counted from 0 s.
    """

    rate: float
    first: int = 0

    def seconds(self, samples: NDArray[np.intp] | float) -> NDArray[np.float64]:
        """Return when samples of the trace were taken."""
        return np.asarray((self.first + samples) / self.rate)


@dataclass(frozen=True)
class PaperScale:
    """A paper scale says how much paper a second and a millivolt take.

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
        """Say the scale on the sheet, such as ``25 mm/s, 10 mm/mV``."""
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
    seconds: float,
    step: float = 0.5,
    minor: bool = True,
) -> None:
    """Give axes the coordinates (s, mV) of one beat or recording and draw the grid.

    The strong lines lie at 0.2 s and 0.5 mV (5 mm at the standard scale), five times as far as the thin ones.

    Args:
        axes: Bare axes whose size in mm was computed from the limits.
        limits: Lower and upper limit in mV, multiples of the step.
        colours: Colours of the thin and of the strong lines.
        seconds: Length of the paper.
        step: Distance of the strong lines in mV.
        minor: Whether the thin lines are drawn.
    """
    axes.set_xlim(0, seconds)
    axes.set_ylim(limits)
    axes.set_autoscale_on(False)
    thin, strong = colours
    if minor:
        _draw_grid(axes, limits, (0.04, step / 5), thin, 0.4)
    _draw_grid(axes, limits, (0.2, step), strong, 0.5)


def _draw_grid(axes: Axes, limits: tuple[float, float], steps: tuple[float, float], colour: str, points: float) -> None:
    """Draw upright and level lines of one spacing, ``steps`` in s and mV."""
    low, high = limits
    length = axes.get_xlim()[1]
    times = np.arange(math.floor(length / steps[0] + 1e-6) + 1) * steps[0]
    levels = np.arange(round(low / steps[1]), round(high / steps[1]) + 1) * steps[1]
    upright = [[(time, low), (time, high)] for time in times]
    level = [[(0.0, millivolt), (length, millivolt)] for millivolt in levels]
    lines = LineCollection(upright + level, colors=colour, linewidths=points, zorder=0.5, clip_on=False)
    axes.add_collection(lines)


def draw_trace(axes: Axes, trace: NDArray[np.float64], times: SampleTimes, points: float = TRACE_POINTS) -> None:
    """Draw one lead (mV) as a thin dark line above everything else."""
    seconds = times.seconds(np.arange(len(trace)))
    axes.plot(seconds, trace, color=TRACE_COLOUR, linewidth=points, zorder=3, solid_joinstyle="round")


def panel_width(scale: PaperScale, signal_format: SignalFormat) -> float:
    """Return the width in mm of a beat or another signal."""
    return signal_format.seconds * scale.mm_per_second
