"""Reads a drawn sheet back, for the tests of this folder."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

MM_PER_INCH = 25.4


def make_beat(amplitude: float = 1.0, seed: int = 0) -> NDArray[np.float64]:
    """A QRS-like and a T-like wave in every lead, (8, 600) mV."""
    time = np.arange(600) / 500
    waves = np.exp(-(((time - 0.48) / 0.012) ** 2)) + 0.25 * np.exp(-(((time - 0.75) / 0.05) ** 2))
    sizes = np.random.default_rng(seed).uniform(-1, 1, (8, 1))
    return np.asarray(amplitude * sizes / np.abs(sizes).max() * waves)


def panels(figure: Figure) -> list[Axes]:
    """The axes that hold a beat: 600 samples long."""
    return [axes for axes in figure.axes if any(len(line.get_xdata()) == 600 for line in axes.lines)]


def millimetres(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> NDArray[np.float64]:
    """Distance on the sheet between two points in (s, mV)."""
    pixels = axes.transData.transform([start, end])
    return np.asarray((pixels[1] - pixels[0]) / axes.figure.dpi * MM_PER_INCH)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]
