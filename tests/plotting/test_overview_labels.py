"""The labels of the sheet of all maps: unit and passes stand there, and no label runs into another."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray
from paper_reading import make_beat, panels, texts

from ecg_lightning.attribution import METHODS
from ecg_lightning.plotting import map_figure, maps_overview


def maps(names: list[str]) -> dict[str, NDArray[np.float64]]:
    return {name: np.random.default_rng(index).standard_normal((8, 600)) for index, name in enumerate(names)}


def test_the_limit_has_its_unit_and_the_method_its_passes() -> None:
    figure = maps_overview(
        make_beat(),
        maps(["saliency", "ig", "mine"]),
        signed=dict.fromkeys(("saliency", "ig", "mine"), True),
        units={"saliency": "logit per mV", "ig": "logit"},
        notes={"ig": "50 gradient passes"},
    )
    written = texts(figure)
    limits = [text for text in written if text.startswith("±")]
    assert [limit.split(" ", 1)[1:] for limit in limits] == [["logit per mV"], ["logit"], []]
    assert written.count("50 gradient passes") == 1


@pytest.mark.slow
@pytest.mark.parametrize("amplitude", [0.2, 1.2, 4.0])
def test_labels_of_the_twelve_methods_keep_to_their_rows_on_a4(amplitude: float) -> None:
    names = list(METHODS)
    figure = maps_overview(
        make_beat(amplitude),
        maps(names),
        signed=dict.fromkeys(names, True),
        units={name: kind.unit for name, kind in METHODS.items()},
        notes=dict.fromkeys(names, "12,345 gradient passes"),
        title="t",
        subtitle="s",
    )
    width, height = figure.get_size_inches() * 25.4
    assert width <= 210
    assert height <= 297 or amplitude > 2
    renderer = FigureCanvasAgg(figure).get_renderer()
    rows = [axes.get_window_extent(renderer) for axes in panels(figure)[::8]]
    middles = np.array([(row.y0 + row.y1) / 2 for row in rows])
    pitch = middles[0] - middles[1]
    assert pitch >= rows[0].height
    owners = []
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        if box.x1 < rows[0].x0 and middles[-1] - pitch / 2 < (box.y0 + box.y1) / 2 < middles[0] + pitch / 2:
            row = int(np.abs(middles - (box.y0 + box.y1) / 2).argmin())
            assert middles[row] - pitch / 2 <= box.y0 + 1
            assert box.y1 - 1 <= middles[row] + pitch / 2, text
            owners += [row] if text.get_text() in names else []
    assert owners == list(range(len(names)))


def test_the_legends_say_what_kind_of_evidence_it_is() -> None:
    evidence = np.zeros((8, 600), dtype=np.bool_)
    evidence[0, 200:300] = True
    values = maps(["ig"])
    one = map_figure(
        make_beat(), values["ig"], method="ig", signed=True, evidence=evidence, evidence_name="evidence (twin)"
    )
    sheet = maps_overview(make_beat(), values, signed={"ig": True}, evidence=evidence, evidence_name="evidence (twin)")
    assert "dashes: evidence (twin)" in texts(one)
    assert "dashes: evidence (twin)" in texts(sheet)


def test_the_longest_legend_stays_on_the_sheet() -> None:
    sparse = np.zeros((8, 600))
    sparse[3, 240] = 4.0
    evidence = np.ones((8, 600), dtype=np.bool_)
    figure = maps_overview(
        make_beat(),
        maps(["ig"]) | {"saliency": np.abs(maps(["saliency"])["saliency"]), "sparse": sparse},
        signed={"ig": True, "saliency": False, "sparse": True},
        evidence=evidence,
        evidence_name="evidence (twin)",
    )
    assert {"limit of a row: largest |map|", "dashes: evidence (twin)"} <= set(texts(figure))
    renderer = FigureCanvasAgg(figure).get_renderer()
    assert all(text.get_window_extent(renderer).y0 >= 0 for text in figure.texts)
