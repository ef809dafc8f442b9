"""This module draws attribution maps on recordings: on the page that cardiologists read, and as strips of one lead."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import SignalFormat
from ecg_lightning.plotting.colour_scale import (
    BAR_MM,
    BAR_WITH_TICKS_MM,
    DEFAULT_QUANTILE,
    colour_scale,
    draw_colour_bar,
)
from ecg_lightning.plotting.drawable import check_beat, check_evidence, check_map
from ecg_lightning.plotting.maps import FINE_TRACE_POINTS, HALO_MM, draw_halo
from ecg_lightning.plotting.paper import GRID_GREY, STANDARD_SCALE, PaperScale, SampleTimes
from ecg_lightning.plotting.recording_page import Excerpt, RecordingPage
from ecg_lightning.plotting.sheet import MARGIN_MM, CaptionedFigure, Sheet, heading, text_height
from ecg_lightning.signal.whole_beats import whole_beats

NOTE_MM: Final = 5.0
LEGEND_GAP_MM: Final = 9.0


def recording_map_figure(
    recording: ArrayLike,
    attribution: ArrayLike,
    signal_format: SignalFormat,
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
) -> CaptionedFigure:
    """Draw a recording on ECG paper, coloured by one map.

    The limits of the colours are those of the whole map, and the legend says how much of it the page shows.

    Args:
        recording: (lead, sample) mV.
        attribution: (lead, sample); a map that is constant or has no finite value is drawn grey, with a note.
        signal_format: Leads, rate and samples.
        method: Name of the method, for the legend.
        signed: Whether the map's sign means something; unsigned maps must have no negative value.
        title: Bold heading of the figure.
        subtitle: Smaller heading: the settings of the method, smoothing ...
        unit: What a value of the map is: "contribution to the logit", "logit per mV" ...
        evidence: (lead, sample) boolean, outlined with dashes.
        evidence_name: What the legend calls it.
        scale: Paper speed and gain.
        quantile: Share of the points within the limits of the colours.

    Returns:
        A figure of the size that is to scale when it is printed at 100 %; save it with ``save_figure``.

    Raises:
        ValueError: A shape, type or value that can't be drawn; the message names the argument.
    """
    traces, mask = check_beat(recording, signal_format), check_evidence(evidence, signal_format)
    values = check_map("attribution", attribution, signed=signed, of_format=signal_format)
    colours = colour_scale(values, signed=signed, quantile=quantile)
    page = RecordingPage.laid_out(traces, signal_format, scale, HALO_MM)
    legend = [f"{method}: {unit}", *colours.legend, *_share_shown(values, page.shown())]
    legend += [f"dashes: {evidence_name}"] if mask.any() else []
    legend_left = MARGIN_MM + page.gutter + BAR_MM[0] + LEGEND_GAP_MM
    lines = heading(None, "\n".join(legend), page.width - legend_left - MARGIN_MM)
    head = heading(title, subtitle, page.width - 2 * MARGIN_MM)
    top = MARGIN_MM + text_height(head) + 1.0
    footer = top + page.height + 1.0 + NOTE_MM
    sheet = Sheet.of_size(page.width, footer + max(BAR_WITH_TICKS_MM, text_height(lines)) + MARGIN_MM)
    sheet.add_heading(head)

    def paint(axes: Axes, excerpt: Excerpt, trace: NDArray[np.float64], times: SampleTimes) -> None:
        part = excerpt.lead, slice(excerpt.first, excerpt.end)
        draw_halo(axes, trace, values[part], colours, scale, mask[part], times)

    page.draw(sheet, top, paint, GRID_GREY, FINE_TRACE_POINTS)
    sheet.add_text(MARGIN_MM + page.gutter, footer - NOTE_MM, page.note)
    draw_colour_bar(sheet, MARGIN_MM + page.gutter, footer, colours)
    sheet.add_lines(legend_left, footer, lines)
    return sheet.figure


def _share_shown(values: NDArray[np.float64], shown: NDArray[np.bool_]) -> list[str]:
    """Say how much of a map is on a page that shows a part of each lead."""
    size = np.abs(np.where(np.isfinite(values), values, 0.0))
    if shown.all() or not size.any():
        return []
    points, of_map = 100 * shown.mean(), 100 * size[shown].sum() / size.sum()
    return [f"on this page: {points:.0f} % of the recording, with {of_map:.0f} % of all |map|"]


def shares_of_leads(maps: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.float64]]:
    """Return which share of each map's size lies in each lead: name -> (lead,), zeros for a map that is zero."""
    shares = {}
    for name, values in maps.items():
        size = np.nansum(np.abs(np.asarray(values, dtype=np.float64)), axis=1)
        shares[name] = size / (size.sum() or 1.0)
    return shares


def most_relevant_beat(
    maps: Mapping[str, ArrayLike], signal_format: SignalFormat, r_peaks: NDArray[np.integer]
) -> tuple[slice, SignalFormat] | None:
    """Find the beat of a recording in which most of the maps lies, each map counted as much as any other.

    Args:
        maps: Name of a method -> (lead, sample).
        signal_format: Leads, rate and samples of the recording.
        r_peaks: (beat,) samples of its R peaks.

    Returns:
        The samples around its R peak, and their format; None where no
        such window lies within the recording.
    """
    beats, of_beat = whole_beats(signal_format, r_peaks)
    if not (beats and maps):
        return None
    sizes = [np.nansum(np.abs(np.asarray(values, dtype=np.float64)), axis=0) for values in maps.values()]
    share = np.mean([size / (size.sum() or 1.0) for size in sizes], axis=0)
    return max(beats, key=lambda beat: float(share[beat].sum())), of_beat
