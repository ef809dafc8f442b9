"""A style says how a method is named and drawn in figures, stated by its class."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self, get_args

Dash = Literal["-", "--", "-.", ":"]

SENSITIVITY: Final = ("#08519c", "#3182bd", "#6baed6")
"""Blues of the family (paper, "Cross-method similarity")."""

ACTIVATION: Final = ("#006d2c", "#31a354", "#74c476")
"""Greens of the activation methods."""

CONTRIBUTION: Final = ("#a63603", "#e6550d", "#fd8d3c", "#7a0177", "#c51b8a", "#f768a1")
"""Orange and magenta."""


@dataclass(frozen=True)
class MethodStyle:
    """A method style says how one method or control is drawn.

    Attributes:
        label: Label in legends and on axes.
        colour: Colour of lines and bars, ``#rrggbb``.
        dash: Matplotlib's line style.
        marker: Marker of points.
        control: Whether it knows nothing of the network.
        behind: Name of the method that it stands behind in figures; empty: behind all methods.
    """

    label: str
    colour: str
    dash: Dash = "-"
    marker: str = "D"
    control: bool = False
    behind: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as it is stored in a run folder."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Make a style of what ``as_json`` gave, read back from a file.

        Raises:
            ValueError: A colour or a line style that isn't one.
        """
        style = cls(**content)
        if not re.fullmatch("#[0-9a-fA-F]{6}", style.colour) or style.dash not in get_args(Dash):
            raise ValueError(
                f"the style of {style.label!r} needs a colour such as #08519c and a dash of "
                f"{', '.join(get_args(Dash))}; got {style.colour!r} and {style.dash!r}"
            )
        return style
