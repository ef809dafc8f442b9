"""The picture of the examples: what stands above the curves covers neither them nor each other."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ecg_lightning.ecg import SignalFormat
from ecg_lightning.method_names import METHOD_NAMES
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.examples_figure import Example, examples_figure

METHODS = [method_style(name).label for name in METHOD_NAMES]


@pytest.mark.parametrize(
    "labels", [[f"seed {seed}" for seed in range(3)], [f"seed {seed}" for seed in range(10)], METHODS[:4], METHODS[:10]]
)
def test_score_legend_and_curves_stand_apart(labels: list[str]) -> None:
    time = np.linspace(-480.0, 718.0, 600)
    lines = [(label, "black", time, np.cos(time / 200 + place)) for place, label in enumerate(labels)]
    panel = Example("2 Seeds: s0p103e0 (no), lead V6", "mean correlation −0.53", lines, time, "ms from the QRS")  # noqa: RUF001
    figure = examples_figure([[panel, panel]], "Caption.")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.subfigs[0].axes[:2]:
        legend, (score,) = axes.get_legend(), axes.texts
        above, beside = legend.get_window_extent(), score.get_window_extent()
        assert not above.overlaps(beside)
        frame = axes.get_window_extent()
        assert frame.x0 <= above.x0 < above.x1 <= frame.x1
        highest = axes.transData.transform((0.0, 1.0))[1]
        assert min(above.y0, beside.y0) >= highest
        assert max(axes.get_yticks()) <= 1.1


def test_of_a_recording_the_seconds_with_most_relevance_are_shown() -> None:
    recording = SignalFormat(("I",), 100, 1000)
    time = 10.0 * np.arange(1000)
    lines = [("IG", "black", time, np.where((time >= 5000) & (time < 8000), -1.0, 0.1))]
    panel = Example("1 Methods", "mean", lines, time, "ms from the first sample", of_ecgs=recording)
    axes = examples_figure([[panel, panel]], "Caption.").subfigs[0].axes[0]
    assert axes.get_xlim() == (5000, 7990)
