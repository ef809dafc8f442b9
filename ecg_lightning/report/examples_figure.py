"""The figure of examples has a row an experiment: what agrees most on the left, and least on the right."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.plotting.captioned import captioned_figure
from ecg_lightning.plotting.sheet import CaptionedFigure

STEPS: Final = "perturbation step"
LAYERS: Final = "randomised layers"
"""Labels of the axis that also say what the panel's range is."""

SHOWN_SECONDS: Final = 3.0
"""What a panel shows of a recording, whose ten seconds would be too fine to read."""

_ROOM: Final = 0.13
"""Space of a panel, above its curves, for each line of text there, as a share of their range."""

_IN_PANEL: Final = 10
"""Lines that a panel's own legend holds; more get one for the figure."""

_SHORT: Final = 8
"""Letters of labels of which three stand beside the score; of longer ones two."""


@dataclass(frozen=True)
class Example:
    """An example is one panel of the figure.

    Attributes:
        title: Experiment, ECG and what is shown.
        score: Score, written in the corner.
        lines: (label, colour, x, y).
        trace: (sample,) mV of the lead, or None.
        x_label: Label of the horizontal axis.
        of_ecgs: Format of the ECGs, which says when the samples of the trace are.
        y_label: Label of the vertical axis.
    """

    title: str
    score: str
    lines: Sequence[tuple[str, str, NDArray[np.float64], NDArray[np.float64]]]
    trace: NDArray[np.float64] | None
    x_label: str
    y_label: str = "map / greatest |map|"
    of_ecgs: SignalFormat = MEDIAN_BEAT


def times_of(values: NDArray[np.float64], of_ecgs: SignalFormat) -> NDArray[np.float64]:
    """Return the times of the samples of (..., sample) in ms."""
    return of_ecgs.milliseconds(np.arange(values.shape[-1]))


def time_label(of_ecgs: SignalFormat) -> str:
    """Say from when on the milliseconds of an axis count."""
    return "ms from the QRS" if of_ecgs.fiducial is not None else "ms from the first sample"


def examples_figure(rows: Sequence[Sequence[Example]], caption: str) -> CaptionedFigure:
    """Draw experiments below each other, the two panels of each side by side.

    Args:
        rows: Rows of pairs of panels.
        caption: Caption below the panels.
    """
    figure, top = captioned_figure((9.6, 2.15 * len(rows) + 0.4), None, caption)
    axes = top.subplots(len(rows), 2, squeeze=False)
    handles: list[Any] = []
    labels: list[str] = []
    for row, pair in enumerate(rows):
        for side in range(2):
            _draw(axes[row, side], pair[side])
            if len(pair[side].lines) > _IN_PANEL and not handles:
                handles, labels = axes[row, side].get_legend_handles_labels()
    if handles:
        top.legend(handles, labels, loc="outside upper center", ncols=6, fontsize=7, frameon=False)
    return figure


def _draw(axes: Axes, example: Example) -> None:
    if example.trace is not None:
        other = axes.twinx()
        other.plot(times_of(example.trace, example.of_ecgs), example.trace, color="#bbbbbb", linewidth=1.0)
        other.set_axis_off()
        axes.set_zorder(other.get_zorder() + 1)
        axes.patch.set_visible(False)
    for label, colour, x, y in example.lines:
        axes.plot(x, y, color=colour, linewidth=1.0, label=label)
    axes.set_title(example.title, fontsize=8, loc="left", parse_math=False)
    axes.text(0.99, 0.97, example.score, transform=axes.transAxes, ha="right", va="top", fontsize=8, fontweight="bold")
    axes.set_xlabel(example.x_label, fontsize=7)
    axes.tick_params(labelsize=6.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_ylabel(example.y_label, fontsize=7)
    if example.x_label == time_label(example.of_ecgs) and example.of_ecgs.fiducial is None:
        axes.set_xlim(_most_relevant(example))
    rows = 2  # of the legend's size; the score takes as much
    if 1 < len(example.lines) <= _IN_PANEL:
        columns = 3 if max(len(label) for label, *_ in example.lines) <= _SHORT else 2
        axes.legend(fontsize=6, frameon=False, loc="upper left", ncols=columns, columnspacing=0.8, borderpad=0.1)
        rows = max(rows, -(-len(example.lines) // columns))
    if example.x_label == LAYERS:
        axes.set_ylim(-1.05, 1.05)
    if example.x_label == STEPS:
        axes.set_ylim(-0.03, 1.03)
    for each in axes.get_shared_x_axes().get_siblings(axes):
        _leave_room_above(each, rows * _ROOM)


def _most_relevant(example: Example) -> tuple[float, float]:
    """Return the ``SHOWN_SECONDS`` of a recording in which most of the curves' size lies, in ms."""
    time = example.lines[0][2]
    size = np.sum([np.abs(y) for _, _, _, y in example.lines], axis=0)
    before = np.concatenate([[0.0], np.cumsum(size)])
    samples = min(round(SHOWN_SECONDS * example.of_ecgs.sampling_rate), len(time))
    first = int(np.argmax(before[samples:] - before[:-samples]))
    return float(time[first]), float(time[first + samples - 1])


def _leave_room_above(axes: Axes, share: float) -> None:
    """Room for the score and the legend above the curves; the ticks stay those of the curves' range."""
    low, high = axes.get_ylim()
    ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
    axes.set_ylim(low, high + share * (high - low))
    axes.set_yticks(ticks)
