"""This module draws all maps of one beat on one sheet, as small multiples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import LEADS
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
from ecg_lightning.plotting.ecg_paper import ROW_HEADER_MM
from ecg_lightning.plotting.maps import FINE_TRACE_POINTS, draw_halo
from ecg_lightning.plotting.paper import (
    BEAT_SECONDS,
    GRID_GREY,
    PaperScale,
    draw_trace,
    panel_width,
    set_up_paper,
    voltage_limits,
)
from ecg_lightning.plotting.sheet import (
    MARGIN_MM,
    MM_PER_POINT,
    TEXT_POINTS,
    CaptionedFigure,
    Sheet,
    TextLine,
    heading,
    text_height,
)

PAPER_SPEED: Final = 12.5
GAINS: Final = ((5.0, 20.0), (2.5, 30.0), (1.25, float("inf")))
"""mm/mV, and the height of a row in mm up to which each is used."""

SQUARE_MM: Final = 2.5
"""Distance of the grid's lines; thinner lines would turn the paper grey at this scale."""

POOL: Final = 5
"""Samples in a column of colour: 10 ms, about a dot of a print; single samples of both signs would fade."""

LABEL_MM: Final = 34.0
SMALL_POINTS: Final = 6.0
"""Size of what stands under a method's name: unit and passes would not fit in the text's size."""

COLUMN_GAP_MM: Final = 2.0
ROW_GAP_MM: Final = 1.5
HALO_MM: Final = 1.2
LEGEND_MM: Final = 22.0
"""Six lines of text."""

WIDTH_MM: Final = 2 * MARGIN_MM + LABEL_MM + len(LEADS) * BEAT_SECONDS * PAPER_SPEED + (len(LEADS) - 1) * COLUMN_GAP_MM
"""190 mm: A4 portrait with room for a printer's margin."""


@dataclass(frozen=True)
class Overview:
    """An overview holds the positions of its parts, in mm from the upper left corner.

    Attributes:
        sheet: The sheet of the overview.
        scale: Paper speed and gain.
        limits: Lower and upper limit of every panel in mV.
        top: Upper edge of the first row.
        height: Height of a panel.
        pitch: Distance of two rows; more than a panel's height where labels need it.
        legend_top: Upper edge of the legend.
    """

    sheet: Sheet
    scale: PaperScale
    limits: tuple[float, float]
    top: float
    height: float
    pitch: float
    legend_top: float

    @classmethod
    def laid_out(
        cls, traces: NDArray[np.float64], labels: Sequence[Sequence[TextLine]], lines: Sequence[TextLine]
    ) -> "Overview":
        """Choose the gain and the height of the sheet for rows of these labels, and write heading and leads' names."""
        for gain, highest in GAINS:
            limits = voltage_limits(traces, HALO_MM / gain, SQUARE_MM / gain)
            height = (limits[1] - limits[0]) * gain
            if height <= highest:
                break
        top = MARGIN_MM + sum(line.height for line in lines) + ROW_HEADER_MM
        pitch = max(height, *(text_height(label) for label in labels)) + ROW_GAP_MM
        legend_top = top + len(labels) * pitch + 1.5
        sheet = Sheet.of_size(WIDTH_MM, legend_top + LEGEND_MM + MARGIN_MM)
        sheet.add_heading(lines)
        overview = cls(sheet, PaperScale(PAPER_SPEED, gain), limits, top, height, pitch, legend_top)
        for column, lead in enumerate(LEADS):
            name_top = top - TEXT_POINTS * MM_PER_POINT - 0.8
            sheet.add_text(overview.left(column), name_top, lead, weight="bold")
        return overview

    def left(self, column: int) -> float:
        """Return the left edge of a column of panels."""
        return MARGIN_MM + LABEL_MM + column * (panel_width(self.scale) + COLUMN_GAP_MM)

    def row_top(self, row: int) -> float:
        """Return the upper edge of a row's panels, which lie in its middle where its label is higher."""
        return self.top + row * self.pitch + (self.pitch - ROW_GAP_MM - self.height) / 2

    def draw_label(self, row: int, label: Sequence[TextLine]) -> None:
        """Write a label at the left of its row, middle beside middle."""
        middle = self.row_top(row) + self.height / 2
        self.sheet.add_lines(MARGIN_MM, middle - text_height(label) / 2, label)


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
) -> CaptionedFigure:
    """Draw all maps of one beat on one sheet: a row for each method, a column for each lead.

    A column of colour is the mean of 10 ms. Every row has limits of its own, because methods have different units;
    they stand under the method's name. The paper is at half scale, its gain halved again for large amplitudes;
    the sheet says which.

    Args:
        beat: (8, 600) mV, leads as in ``ecg.LEADS``.
        maps: Name of a method -> (8, 600), drawn in this order.
        signed: Name of a method -> whether its map is signed; more names than maps are fine.
        units: Name of a method -> unit of its map, written behind its limits; a method may be left out.
        notes: Name of a method -> what else stands under its name, its passes say; a method may be left out.
        title: Bold heading of the sheet.
        subtitle: Smaller heading below the title.
        evidence: (8, 600) boolean, outlined with dashes in every row.
        evidence_name: What the legend calls it.
        quantile: Share of the points within the limits of the colours.

    Returns:
        The figure; A4 portrait holds twelve methods of a beat of ordinary amplitudes.

    Raises:
        ValueError: No map, a method whose sign is not given, or a shape or value that can't be drawn.
    """
    traces, mask, values = check_beat(beat), check_evidence(evidence), _pooled_maps(maps, signed)
    scales = {name: colour_scale(value, signed=signed[name], quantile=quantile) for name, value in values.items()}
    labels = {name: _label(name, scales[name], (units or {}).get(name), (notes or {}).get(name)) for name in values}
    overview = Overview.laid_out(traces, list(labels.values()), heading(title, subtitle, WIDTH_MM - 2 * MARGIN_MM))
    for row, (name, value) in enumerate(values.items()):
        _draw_row(overview, row, traces, value, scales[name], mask)
        overview.draw_label(row, labels[name])
    _draw_legend(overview, list(scales.values()), evidence_name if mask.any() else None)
    return overview.sheet.figure


def _pooled_maps(maps: Mapping[str, ArrayLike], signed: Mapping[str, bool]) -> dict[str, NDArray[np.float64]]:
    """Check the maps and average them over 10 ms: name -> (8, 120)."""
    if not maps:
        raise ValueError("expected at least one map, got none")
    unknown = [name for name in maps if name not in signed]
    if unknown:
        raise ValueError(f"expected signed to say for every map whether it is signed, got nothing for {unknown}")
    checked = {name: check_map(name, value, signed=signed[name]) for name, value in maps.items()}
    return {name: value.reshape(len(LEADS), -1, POOL).mean(axis=-1) for name, value in checked.items()}


def _draw_row(
    overview: Overview,
    row: int,
    traces: NDArray[np.float64],  # (8, 600) mV
    values: NDArray[np.float64],  # (8, 120)
    colours: ColourScale,
    evidence: NDArray[np.bool_],  # (8, 600)
) -> None:
    """Draw one map in all leads."""
    top = overview.row_top(row)
    for index in range(len(LEADS)):
        axes = overview.sheet.add_axes(overview.left(index), top, panel_width(overview.scale), overview.height)
        step = SQUARE_MM / overview.scale.mm_per_millivolt
        set_up_paper(axes, overview.limits, colours=GRID_GREY, step=step, minor=False)
        trace, marks = traces[index], evidence[index]
        draw_halo(axes, trace, values[index], colours, overview.scale, marks, radius=HALO_MM, dash_points=0.35)
        draw_trace(axes, trace, FINE_TRACE_POINTS)


def _label(name: str, colours: ColourScale, unit: str | None, note: str | None) -> list[TextLine]:
    """A method's name, its limits with their unit, and what there is to say of it."""
    texts = []
    if colours.limit > 0:
        texts.append(f"{colours.range_text} {unit or ''}")
    texts += [text for text in (note, colours.note) if text is not None]
    small = heading(None, "\n".join(texts), (LABEL_MM - 1) * TEXT_POINTS / SMALL_POINTS)
    bold = [TextLine(line.text, line.points, "bold") for line in heading(None, name, LABEL_MM - 1)]
    return bold + [TextLine(line.text, SMALL_POINTS, "normal") for line in small]


def _draw_legend(overview: Overview, scales: Sequence[ColourScale], evidence_name: str | None) -> None:
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
    texts = [overview.scale.note, "colours: means of 10 ms", *(f"limit of a row: {rule}" for rule in rules)]
    if evidence_name is not None:
        texts.append(f"dashes: {evidence_name}")
    lines = heading(None, "\n".join(texts), WIDTH_MM - MARGIN_MM - left)
    overview.sheet.add_lines(left, top - 0.3, lines)
