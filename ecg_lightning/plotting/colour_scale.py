"""A map's colours are symmetric about zero, safe for colour-blind eyes, and honest about what they leave out."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ecg_lightning.plotting.sheet import TEXT_COLOUR, TEXT_POINTS, Sheet

RGB = tuple[float, float, float]

BLUE: Final[RGB] = (0 / 255, 114 / 255, 178 / 255)
VERMILION: Final[RGB] = (213 / 255, 94 / 255, 0 / 255)
"""Blue and vermilion of Okabe and Ito's palette (Color Universal Design, 2008): distinct with every kind of
colour blindness, and both so light that a dark trace stands out on them."""

PURPLE: Final[RGB] = (133 / 255, 74 / 255, 176 / 255)
"""Unsigned maps have a hue of their own: vermilion would read as "raises the logit"."""

GREY: Final = "#b3b3b3"
"""What has no value, or a map that marks nothing."""

DEFAULT_QUANTILE: Final = 0.995

SIGN_CONVENTION: Final = {True: "signed: vermilion above 0, blue below", False: "unsigned: size only"}
BAR_MM: Final = (40.0, 3.0)
BAR_WITH_TICKS_MM: Final = 8.0


def diverging_colours() -> Colormap:
    """Return the colours: blue for negative, transparent at zero, vermilion for positive."""
    stops = [(0.0, (*BLUE, 1.0)), (0.5, (*BLUE, 0.0)), (0.5, (*VERMILION, 0.0)), (1.0, (*VERMILION, 1.0))]
    return _colours("blue_vermilion", stops)


def sequential_colours() -> Colormap:
    """Return the colours: transparent at zero, purple at the limit."""
    return _colours("purple", [(0.0, (*PURPLE, 0.0)), (1.0, (*PURPLE, 1.0))])


def _colours(name: str, stops: list[tuple[float, tuple[float, float, float, float]]]) -> Colormap:
    colours = LinearSegmentedColormap.from_list(name, stops, N=511)  # odd: zero has an entry of its own
    return colours.with_extremes(bad=GREY)


@dataclass(frozen=True)
class ColourScale:
    """A colour scale says how the values of one map become colours.

    Attributes:
        limit: The value that gets the full colour, in the map's unit; 0 where the map has nothing to show.
        signed: Whether the scale runs from -limit to limit, or from 0 to limit.
        rule: How the limit was found, for people.
        extend: Sides on which values lie beyond the limit (they get the full colour).
        note: What a reader must know about this map (constant, NaN), None where there is nothing.
    """

    limit: float
    signed: bool
    rule: str
    extend: Literal["neither", "min", "max", "both"]
    note: str | None

    @cached_property
    def colours(self) -> Colormap:
        """Return the colours of relative values, from -1 (or 0) to 1."""
        return diverging_colours() if self.signed else sequential_colours()

    @property
    def legend(self) -> list[str]:
        """Say what the colours mean, in lines of text."""
        if self.limit == 0:
            return [self.note or "nothing to show"]
        lines = [SIGN_CONVENTION[self.signed], f"limit of the colours: {self.rule}"]
        return lines if self.note is None else [*lines, self.note]

    @property
    def range_text(self) -> str:
        """Write the limits as text, such as ``±0.013``."""
        return f"±{self.limit:.2g}" if self.signed else f"0 to {self.limit:.2g}"

    def relative(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Divide values by the limit, clipped to -1 and 1; NaN where there is nothing to show."""
        if self.limit == 0:
            return np.full(values.shape, np.nan)
        finite = np.where(np.isfinite(values), values, np.nan)
        return np.clip(finite / self.limit, -1, 1)

    def norm(self, *, relative: bool) -> Normalize:
        """Return the range of the colours in the map's unit, or ``relative`` to the limit."""
        limit = 1.0 if relative or self.limit == 0 else self.limit
        return Normalize(-limit if self.signed else 0.0, limit)


def colour_scale(
    values: NDArray[np.float64],  # (lead, sample)
    *,
    signed: bool,
    quantile: float = DEFAULT_QUANTILE,
) -> ColourScale:
    """Choose the limits of a map's colours: a high quantile of its size, so that one spike does not hide the rest.

    Where the quantile is 0 although the map is not, the limit is its largest size.

    Args:
        values: Values of the map.
        signed: Whether the scale is symmetric about zero or starts there.
        quantile: Share of the finite points that lie within the limits, above 0 and at most 1.

    Returns:
        The scale; its limit is 0 and its note says why where the map is constant or has no finite value.

    Raises:
        ValueError: The quantile is out of its range.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"expected a quantile above 0 and at most 1, got {quantile}")
    finite = values[np.isfinite(values)]
    missing = values.size - finite.size
    note = f"{100 * missing / values.size:.2g} % of the map is not finite (grey)" if missing else None
    if finite.size == 0:
        return ColourScale(0.0, signed, "no limits", "neither", "no finite value: there is nothing to show")
    if finite.min() == finite.max():
        marks = "all zero" if finite[0] == 0 else f"the same value everywhere ({finite[0]:.3g})"
        constant = f"{marks}: this map marks nothing"
        note = constant if note is None else f"{constant}; {note}"
        return ColourScale(0.0, signed, "no limits", "neither", note)
    size = np.abs(finite)
    limit, rule = float(np.quantile(size, quantile)), _rule(quantile)
    if limit == 0:
        limit, rule = float(size.max()), "largest |map|"
    return ColourScale(limit, signed, rule, _extend(finite, limit), note)


def _rule(quantile: float) -> str:
    return "largest |map|" if quantile == 1 else f"{100 * quantile:g}th percentile of |map|"


def _extend(finite: NDArray[np.float64], limit: float) -> Literal["neither", "min", "max", "both"]:
    below, above = bool((finite < -limit).any()), bool((finite > limit).any())
    if below and above:
        return "both"
    return "min" if below else "max" if above else "neither"


def draw_colour_bar(sheet: Sheet, left: float, top: float, colours: ColourScale, *, relative: bool = False) -> None:
    """Draw a level colour bar, or a grey patch where the map has nothing to show.

    Args:
        sheet: Where to draw.
        left: Left edge of the bar in mm.
        top: Upper edge of the bar in mm.
        colours: The scale that is drawn.
        relative: Whether the ends are called "limit" instead of a number: a bar for maps of several limits.
    """
    axes = sheet.add_axes(left, top, *BAR_MM)
    if colours.limit == 0 and not relative:
        axes.add_patch(Rectangle((0, 0), 1, 1, facecolor=GREY, transform=axes.transAxes))
        return
    axes.set_axis_on()
    mappable = ScalarMappable(colours.norm(relative=relative), colours.colours)
    extend = ("both" if colours.signed else "max") if relative else colours.extend
    bar = sheet.figure.colorbar(mappable, cax=axes, orientation="horizontal", extend=extend)
    limit = 1.0 if relative else colours.limit
    ticks = [-limit, 0.0, limit] if colours.signed else [0.0, limit]
    bar.set_ticks(ticks, labels=[_tick(tick, relative=relative) for tick in ticks])
    bar.ax.tick_params(labelsize=TEXT_POINTS, labelcolor=TEXT_COLOUR, length=2, width=0.5, color=TEXT_COLOUR)
    bar.ax.spines["outline"].set_linewidth(0.5)


def _tick(value: float, *, relative: bool) -> str:
    size = "limit" if relative and value != 0 else f"{abs(value):.2g}"
    return f"\N{MINUS SIGN}{size}" if value < 0 else size
