"""How methods and controls are named and drawn wherever they stand side by side."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple


class MethodStyle(NamedTuple):
    """Of one method or control.

    Attributes:
        label: For legends and axes.
        colour: Of lines and bars.
        dash: Matplotlib's line style.
        marker: Of points.
        control: Whether it knows nothing of the network.
    """

    label: str
    colour: str
    dash: Literal["-", "--", "-.", ":"]
    marker: str
    control: bool


_SENSITIVITY: Final = ("#08519c", "#3182bd", "#6baed6")  # blues
_ACTIVATION: Final = ("#006d2c", "#31a354", "#74c476")  # greens
_CONTRIBUTION: Final = ("#a63603", "#e6550d", "#fd8d3c", "#7a0177", "#c51b8a", "#f768a1")  # orange and magenta

METHOD_STYLES: Final[dict[str, MethodStyle]] = {
    "saliency": MethodStyle("Saliency", _SENSITIVITY[0], "-", "o", False),
    "smoothgrad": MethodStyle("SmoothGrad", _SENSITIVITY[1], "-", "s", False),
    "gradient_x_input": MethodStyle("Gradient x input", _SENSITIVITY[2], "-", "^", False),
    "guided_backprop": MethodStyle("Guided backprop", _ACTIVATION[0], "-", "o", False),
    "gradcam": MethodStyle("Grad-CAM", _ACTIVATION[1], "-", "s", False),
    "guided_gradcam": MethodStyle("Guided Grad-CAM", _ACTIVATION[2], "-", "^", False),
    "shapley_sampling": MethodStyle("Shapley sampling", _CONTRIBUTION[3], "-", "o", False),
    "deeplift": MethodStyle("DeepLIFT", _CONTRIBUTION[0], "-", "o", False),
    "integrated_gradients": MethodStyle("IG", _CONTRIBUTION[1], "-", "s", False),
    "ig_smoothgrad": MethodStyle("IG + SmoothGrad", _CONTRIBUTION[2], "-", "^", False),
    "gradient_shap": MethodStyle("GradientSHAP", _CONTRIBUTION[4], "-", "s", False),
    "deeplift_shap": MethodStyle("DeepLIFT-SHAP", _CONTRIBUTION[5], "-", "^", False),
    "random": MethodStyle("random", "#737373", ":", "x", True),
    "smoothed_random": MethodStyle("smoothed random", "#a6a6a6", ":", "+", True),
    "absolute_input": MethodStyle("|ECG|", "#252525", "--", "x", True),
    "absolute_slope": MethodStyle("|slope|", "#737373", "--", "+", True),
    "other_ecg": MethodStyle("another ECG's map", "#737373", ":", "o", True),
    "mean_map": MethodStyle("mean map", "#737373", ":", "s", True),
}
"""One hue a family (paper, "Cross-method similarity"): sensitivity blue, activation green, contribution orange and
magenta; controls grey and broken."""

_OTHERS: Final = ("#54278f", "#756bb1", "#9e9ac8", "#636363")


def method_style(name: str) -> MethodStyle:
    """The style of a method or control; a method of one's own gets its name and a violet of its own."""
    if name in METHOD_STYLES:
        return METHOD_STYLES[name]
    return MethodStyle(name.replace("_", " "), _OTHERS[sum(name.encode()) % len(_OTHERS)], "-.", "D", False)


def method_labels(names: Sequence[str]) -> list[str]:
    """What stands on an axis for each name."""
    return [method_style(name).label for name in names]


def method_place(name: str) -> tuple[bool, int, str]:
    """Sort methods as the paper does, those of one's own behind them, then controls."""
    order = list(METHOD_STYLES)
    return method_style(name).control, order.index(name) if name in order else len(order), name
