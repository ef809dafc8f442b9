"""This module decides how methods and controls are named and drawn wherever they stand side by side."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ecg_lightning.attribution.base import AttributionMethod
from ecg_lightning.attribution.methods import METHODS
from ecg_lightning.attribution.style import MethodStyle

METHOD_STYLES: Final[dict[str, MethodStyle]] = {
    **{name: kind.style for name, kind in METHODS.items() if kind.style is not None},
    "random": MethodStyle("random", "#737373", ":", "x", True),
    "smoothed_random": MethodStyle("smoothed random", "#a6a6a6", ":", "+", True),
    "absolute_input": MethodStyle("|ECG|", "#252525", "--", "x", True),
    "absolute_slope": MethodStyle("|slope|", "#737373", "--", "+", True),
    "other_ecg": MethodStyle("another ECG's map", "#737373", ":", "o", True),
    "mean_map": MethodStyle("mean map", "#737373", ":", "s", True),
}
"""One hue a family (paper, "Cross-method similarity"): sensitivity blue, activation green, contribution orange and
magenta; controls grey and broken."""

_OWN: Final[dict[str, MethodStyle]] = {}
"""Styles of methods of one's own that this process has heard of."""

_OTHERS: Final = ("#54278f", "#756bb1", "#9e9ac8", "#636363")


def own_styles(methods: Iterable[AttributionMethod]) -> dict[str, dict[str, Any]]:
    """Register and return styles that methods of one's own state, by name, as a run folder stores them."""
    stated = {
        method.name: method.style.as_json()
        for method in methods
        if method.style is not None and method.name not in METHODS
    }
    know_styles(stated)
    return stated


def know_styles(stated: Mapping[str, dict[str, Any]]) -> None:
    """Draw methods of one's own as ``own_styles`` gave it; the twelve and the controls stay as they are."""
    _OWN.update({name: MethodStyle.from_json(style) for name, style in stated.items() if name not in METHOD_STYLES})


def method_style(name: str) -> MethodStyle:
    """Return the style of a method or control; a method of one's own that states none gets its name and a violet."""
    if name in METHOD_STYLES or name in _OWN:
        return METHOD_STYLES.get(name) or _OWN[name]
    return MethodStyle(name.replace("_", " "), _OTHERS[sum(name.encode()) % len(_OTHERS)], "-.")


def method_labels(names: Sequence[str]) -> list[str]:
    """Return the label of each name on an axis."""
    return [method_style(name).label for name in names]


def method_place(name: str) -> tuple[bool, float, str]:
    """Sort methods as the paper does, those of one's own behind them or where they state it, then controls."""
    order, style = list(METHOD_STYLES), method_style(name)
    if name in order:
        return style.control, order.index(name), name
    return style.control, order.index(style.behind) + 0.5 if style.behind in order else len(order), name
