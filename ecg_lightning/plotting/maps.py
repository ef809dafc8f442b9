"""This module draws attribution maps on the beat that they explain.

The colour of a map is laid along the trace as a halo of 2 mm on either side: at every moment the colour is the
map's value at that moment, from the lower to the upper edge of the halo. Three others were drawn from real maps and
left out: coloured line segments overlap where the trace is steep and there show a mixture; a ribbon of constant
height vanishes in a steep QRS complex; full-height bands bury the paper under methods that mark everything.
A print is coarser than 500 samples per second, so a dot shows the mean of the (clipped) values that it covers.
"""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.plotting.colour_scale import (
    BAR_MM,
    BAR_WITH_TICKS_MM,
    DEFAULT_QUANTILE,
    ColourScale,
    colour_scale,
    draw_colour_bar,
)
from ecg_lightning.plotting.drawable import check_beat, check_evidence, check_map
from ecg_lightning.plotting.ecg_paper import COLUMNS, beat_sheet, first_panel_left, sheet_width
from ecg_lightning.plotting.paper import (
    GRID_GREY,
    STANDARD_SCALE,
    TRACE_COLOUR,
    PaperScale,
    SampleTimes,
    draw_trace,
)
from ecg_lightning.plotting.sheet import MARGIN_MM, CaptionedFigure, heading

HALO_MM: Final = 2.0
LEGEND_GAP_MM: Final = 6.0
FINE_TRACE_POINTS: Final = 0.5
"""Thinner than on plain paper, so that the colours of a narrow QRS complex are seen beside it."""


def halo(
    trace: NDArray[np.float64],  # (sample,) mV
    scale: PaperScale,
    rate: float,
    radius: float = HALO_MM,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the lower and upper edge of all points within a distance of the trace, as measured on the paper.

    It is the morphological erosion and dilation of the trace by a disc, an ellipse in (s, mV).

    Args:
        trace: One lead in mV.
        scale: Paper speed and gain.
        rate: Samples per second of the trace.
        radius: Distance in mm.

    Returns:
        Lower and upper edge, (sample,) mV each; lower < trace < upper.
    """
    half = round(radius / scale.mm_per_second * rate)
    offsets = np.arange(-half, half + 1) / (half + 1)  # the disc's ends, where it has no height, are left out
    disc = radius / scale.mm_per_millivolt * np.sqrt(1 - offsets**2)
    windows = sliding_window_view(np.pad(trace, half, mode="edge"), 2 * half + 1)  # (sample, offset)
    return (windows - disc).min(axis=-1), (windows + disc).max(axis=-1)


def halo_outline(
    lower: NDArray[np.float64], upper: NDArray[np.float64], first: int, last: int, times: SampleTimes
) -> Outline:
    """Make the polygon of a halo from one sample to another, both included; half a sample wider on either side."""
    samples = np.r_[first, first : last + 1, last]
    seconds = times.seconds(samples)
    seconds[0] -= 0.5 / times.rate
    seconds[-1] += 0.5 / times.rate
    there, back = np.c_[seconds, upper[samples]], np.c_[seconds, lower[samples]][::-1]
    return Outline(np.concatenate([there, back, there[:1]]), closed=True)


def draw_halo(
    axes: Axes,
    trace: NDArray[np.float64],  # (sample,) mV
    values: NDArray[np.float64],  # (columns,) map of this lead, over the whole trace
    colours: ColourScale,
    scale: PaperScale,
    evidence: NDArray[np.bool_],  # (sample,)
    times: SampleTimes,
    *,
    radius: float = HALO_MM,
    dash_points: float = 0.6,
) -> None:
    """Colour the surroundings of a trace by its map, and outline the evidence with dashes."""
    lower, upper = halo(trace, scale, times.rate, radius)
    low, high = axes.get_ylim()
    image = axes.imshow(
        colours.relative(values)[None],
        cmap=colours.colours,
        norm=colours.norm(relative=True),
        extent=(float(times.seconds(-0.5)), float(times.seconds(len(trace) - 0.5)), low, high),
        aspect="auto",
        interpolation="auto",
        interpolation_stage="data",
        zorder=1,
    )
    image.set_clip_path(halo_outline(lower, upper, 0, len(trace) - 1, times), axes.transData)
    for first, last in runs(evidence):
        outline = halo_outline(lower, upper, first, last, times)
        axes.add_patch(
            PathPatch(
                outline, fill=False, edgecolor=TRACE_COLOUR, linewidth=dash_points, linestyle=(0, (3, 2)), zorder=2
            )
        )


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Find the first and last sample (included) of every run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False]))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]


def map_figure(
    beat: ArrayLike,
    attribution: ArrayLike,
    *,
    method: str,
    signed: bool,
    title: str | None = None,
    subtitle: str | None = None,
    unit: str = "contribution to the logit",
    evidence: ArrayLike | None = None,
    evidence_name: str = "evidence",
    scale: PaperScale = STANDARD_SCALE,
    quantile: float = DEFAULT_QUANTILE,
    columns: int = COLUMNS,
    signal_format: SignalFormat = MEDIAN_BEAT,
) -> CaptionedFigure:
    """Draw a beat on ECG paper, coloured by one map.

    Args:
        beat: (lead, sample) mV: a median beat, or another signal of the format.
        attribution: (lead, sample); a map that is constant or has no finite value is drawn grey, with a note.
        method: Name of the method, for the legend.
        signed: Whether the map's sign means something; unsigned maps must have no negative value.
        title: Bold heading of the figure.
        subtitle: Smaller heading: the settings of the method, smoothing ...
        unit: What a value of the map is: "contribution to the logit", "logit per mV" ...
        evidence: (lead, sample) boolean, outlined with dashes.
        evidence_name: What the legend calls it.
        scale: Paper speed and gain; ``PaperScale(50)`` shows a noisy map's details.
        quantile: Share of the points within the limits of the colours.
        columns: Leads beside each other; 2 for the width of a phone.
        signal_format: Leads, rate and samples.

    Returns:
        A figure of the size that is to scale when it is printed at 100 %; save it with ``save_figure``.

    Raises:
        ValueError: A shape, type or value that can't be drawn; the message names the argument.
    """
    traces, mask = check_beat(beat, signal_format), check_evidence(evidence, signal_format)
    values = check_map("attribution", attribution, signed=signed, of_format=signal_format)
    colours = colour_scale(values, signed=signed, quantile=quantile)
    legend = [f"{method}: {unit}", *colours.legend, *([f"dashes: {evidence_name}"] if mask.any() else ())]
    bar_left = first_panel_left(scale)
    below = columns < COLUMNS  # the legend: beside the bar of a narrow sheet there is no room
    legend_left = bar_left if below else bar_left + BAR_MM[0] + LEGEND_GAP_MM
    lines = heading(None, "\n".join(legend), sheet_width(scale, signal_format, columns) - legend_left - MARGIN_MM)
    heights = BAR_WITH_TICKS_MM, sum(line.height for line in lines)
    drawn = beat_sheet(
        traces,
        signal_format,
        title=title,
        subtitle=subtitle,
        scale=scale,
        grid=GRID_GREY,
        footer=sum(heights) if below else max(heights),
        headroom=HALO_MM / scale.mm_per_millivolt,
        columns=columns,
    )
    times = SampleTimes(signal_format.sampling_rate)
    for index, axes in enumerate(drawn.panels.values()):
        draw_halo(axes, traces[index], values[index], colours, scale, mask[index], times)
        draw_trace(axes, traces[index], times, FINE_TRACE_POINTS)
    draw_colour_bar(drawn.sheet, bar_left, drawn.footer_top, colours)
    drawn.sheet.add_lines(legend_left, drawn.footer_top + (BAR_WITH_TICKS_MM if below else 0.0), lines)
    return drawn.sheet.figure
