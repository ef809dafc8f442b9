"""This module draws all maps of one beat or recording on one sheet, as small multiples."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.plotting.colour_scale import (
    BAR_MM,
    BAR_WITH_TICKS_MM,
    DEFAULT_QUANTILE,
    SIGN_CONVENTION,
    ColourScale,
    colour_scale,
    draw_colour_bar,
)
from ecg_lightning.plotting.drawable import check_beat, check_evidence, check_map
from ecg_lightning.plotting.maps import FINE_TRACE_POINTS, draw_halo
from ecg_lightning.plotting.overview_sheet import HALO_MM, LABEL_MM, SMALL_POINTS, SQUARE_MM, Overview
from ecg_lightning.plotting.paper import (
    GRID_GREY,
    SampleTimes,
    draw_trace,
    set_up_paper,
)
from ecg_lightning.plotting.sheet import (
    MARGIN_MM,
    TEXT_POINTS,
    CaptionedFigure,
    TextLine,
    heading,
)

POOL_SECONDS: Final = 0.01
"""What a column of colour shows at most, about a dot of a print; single samples of both signs would fade."""


def maps_overview(
    beat: ArrayLike,
    maps: Mapping[str, ArrayLike],
    *,
    signed: Mapping[str, bool],
    units: Mapping[str, str] | None = None,
    notes: Mapping[str, str] | None = None,
    title: str | None = None,
    subtitle: str | None = None,
    evidence: ArrayLike | None = None,
    evidence_name: str = "evidence",
    quantile: float = DEFAULT_QUANTILE,
    signal_format: SignalFormat = MEDIAN_BEAT,
    leads: Sequence[str] | None = None,
) -> CaptionedFigure:
    """Draw all maps of one beat on one sheet: a row for each method, a column for each lead.

    A column of colour is the mean of 10 ms. Every row has limits of its own, because methods have different units;
    they stand under the method's name. The paper is at half scale, its gain halved again for large amplitudes;
    the sheet says which.

    Args:
        beat: (lead, sample) mV: a median beat, or another signal of the format.
        maps: Name of a method -> (lead, sample), drawn in this order.
        signed: Name of a method -> whether its map is signed; more names than maps are fine.
        units: Name of a method -> unit of its map, written behind its limits; a method may be left out.
        notes: Name of a method -> what else stands under its name, its passes say; a method may be left out.
        title: Bold heading of the sheet.
        subtitle: Smaller heading below the title.
        evidence: (lead, sample) boolean, outlined with dashes in every row.
        evidence_name: What the legend calls it.
        quantile: Share of the points within the limits of the colours, which are those of all leads.
        signal_format: Leads, rate and samples.
        leads: The leads that are drawn; None: all.

    Returns:
        The figure; A4 portrait holds twelve methods of a beat of ordinary amplitudes.

    Raises:
        ValueError: No map, a method whose sign is not given, or a shape or value that can't be drawn.
    """
    traces, mask = check_beat(beat, signal_format), check_evidence(evidence, signal_format)
    values = _pooled_maps(maps, signed, signal_format)
    scales = {name: colour_scale(value, signed=signed[name], quantile=quantile) for name, value in values.items()}
    labels = {name: _label(name, scales[name], (units or {}).get(name), (notes or {}).get(name)) for name in values}
    shown = replace(signal_format, leads=tuple(leads or signal_format.leads))
    picked = [signal_format.leads.index(lead) for lead in shown.leads]
    overview = Overview.laid_out(traces[picked], list(labels.values()), (title, subtitle), shown)
    for row, (name, value) in enumerate(values.items()):
        _draw_row(overview, row, traces[picked], value[picked], scales[name], mask[picked], shown.sampling_rate)
        overview.draw_label(row, labels[name])
    notes_below = [f"colours: means of {1000 * _pool(shown) / shown.sampling_rate:g} ms"]
    if mask[picked].any():
        notes_below.append(f"dashes: {evidence_name}")
    _draw_legend(overview, list(scales.values()), notes_below)
    return overview.sheet.figure


def _pool(of_format: SignalFormat) -> int:
    """Find how many samples a column of colour shows: a divisor of their number, 10 ms or a little less."""
    most = max(1, round(POOL_SECONDS * of_format.sampling_rate))
    return next(pool for pool in range(most, 0, -1) if of_format.samples % pool == 0)


def _pooled_maps(
    maps: Mapping[str, ArrayLike], signed: Mapping[str, bool], of_format: SignalFormat
) -> dict[str, NDArray[np.float64]]:
    """Check the maps and average them over 10 ms: name -> (lead, column)."""
    if not maps:
        raise ValueError("expected at least one map, got none")
    unknown = [name for name in maps if name not in signed]
    if unknown:
        raise ValueError(f"expected signed to say for every map whether it is signed, got nothing for {unknown}")
    checked = {name: check_map(name, value, signed=signed[name], of_format=of_format) for name, value in maps.items()}
    return {name: value.reshape(len(value), -1, _pool(of_format)).mean(axis=-1) for name, value in checked.items()}


def _draw_row(
    overview: Overview,
    row: int,
    traces: NDArray[np.float64],  # (lead, sample) mV
    values: NDArray[np.float64],  # (lead, column)
    colours: ColourScale,
    evidence: NDArray[np.bool_],  # (lead, sample)
    rate: float,
) -> None:
    """Draw one map in the leads that are shown."""
    top, times = overview.row_top(row), SampleTimes(rate)
    for index, (trace, marks) in enumerate(zip(traces, evidence, strict=True)):
        axes = overview.sheet.add_axes(overview.left(index), top, overview.width, overview.height)
        step = SQUARE_MM / overview.scale.mm_per_millivolt
        set_up_paper(axes, overview.limits, colours=GRID_GREY, seconds=overview.seconds, step=step, minor=False)
        draw_halo(axes, trace, values[index], colours, overview.scale, marks, times, radius=HALO_MM, dash_points=0.35)
        draw_trace(axes, trace, times, FINE_TRACE_POINTS)


def _label(name: str, colours: ColourScale, unit: str | None, note: str | None) -> list[TextLine]:
    """A method's name, its limits with their unit, and what there is to say of it."""
    texts = []
    if colours.limit > 0:
        texts.append(f"{colours.range_text} {unit or ''}")
    texts += [text for text in (note, colours.note) if text is not None]
    small = heading(None, "\n".join(texts), (LABEL_MM - 1) * TEXT_POINTS / SMALL_POINTS)
    bold = [TextLine(line.text, line.points, "bold") for line in heading(None, name, LABEL_MM - 1)]
    return bold + [TextLine(line.text, SMALL_POINTS, "normal") for line in small]


def _draw_legend(overview: Overview, scales: Sequence[ColourScale], notes: Sequence[str]) -> None:
    """Draw a colour bar for each kind of map that is on the sheet, and say how limits were found."""
    shown = [scale for scale in scales if scale.limit > 0]
    left, top = MARGIN_MM + 2.0, overview.legend_top
    for kind in (True, False):
        of_kind = [scale for scale in shown if scale.signed is kind]
        if of_kind:
            draw_colour_bar(overview.sheet, left, top, of_kind[0], relative=True)
            overview.sheet.add_text(left, top + BAR_WITH_TICKS_MM + 0.5, SIGN_CONVENTION[kind])
            left += BAR_MM[0] + 20
    rules = dict.fromkeys(scale.rule for scale in shown)
    texts = [overview.scale.note, notes[0], *(f"limit of a row: {rule}" for rule in rules), *notes[1:]]
    lines = heading(None, "\n".join(texts), overview.sheet.width - MARGIN_MM - left)
    overview.sheet.add_lines(left, top - 0.3, lines)
