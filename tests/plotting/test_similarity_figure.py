"""The heat map of similarities: every cell has its number, and the colour of its number."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.transforms import Bbox
from paper_reading import texts

from ecg_lightning.experiments.similarity.figures import CELL_MM, DIAGONAL_COLOUR, GAP_MM, similarity_figure
from ecg_lightning.plotting import save_figure
from ecg_lightning.plotting.colour_scale import GREY, diverging_colours
from ecg_lightning.plotting.method_style import METHOD_STYLES

NAMES = ["saliency", "random", "gradcam", "my_method"]
DRAWN = ["saliency", "gradcam", "my_method", "random"]  # controls last
VALUES = {
    ("saliency", "gradcam"): (-0.456, "\N{MINUS SIGN}0.46"),
    ("saliency", "my_method"): (1.0, "1.00"),
    ("saliency", "random"): (-0.001, "0.00"),
    ("gradcam", "my_method"): (np.nan, "\N{EN DASH}"),
    ("gradcam", "random"): (0.125001, "0.13*"),
    ("my_method", "random"): (-1.0, "\N{MINUS SIGN}1.00"),
}


def matrix() -> np.ndarray:
    values = np.eye(4)
    for (a, b), (value, _) in VALUES.items():
        i, j = NAMES.index(a), NAMES.index(b)
        values[i, j] = values[j, i] = value
    return values


def incomplete() -> np.ndarray:
    marked = np.zeros((4, 4), dtype=bool)
    marked[1, 2] = marked[2, 1] = True
    return marked


def middle(name: str) -> float:
    place = DRAWN.index(name)
    return place * CELL_MM + CELL_MM / 2 + (GAP_MM if name == "random" else 0)


def number_at(axes: Axes, x: float, y: float) -> list[str]:
    return [text.get_text() for text in axes.texts if np.allclose(text.get_position(), (x, y))]


def cells(axes: Axes) -> list[tuple[Bbox, tuple[float, ...]]]:
    """Extent and colour of every cell."""
    return [
        (path.get_extents(), tuple(to_rgba(colour)))
        for some in axes.collections
        if isinstance(some, PatchCollection)
        for path, colour in zip(some.get_paths(), some.get_facecolor(), strict=True)
    ]


def colour_at(axes: Axes, x: float, y: float) -> tuple[float, ...]:
    (colour,) = [
        colour for box, colour in cells(axes) if np.allclose((box.x0 + box.x1, box.y0 + box.y1), (2 * x, 2 * y))
    ]
    return colour


def test_every_pair_has_its_number_and_colour_on_both_sides() -> None:
    axes = similarity_figure(matrix(), NAMES, quantity="r", incomplete=incomplete()).axes[0]
    for (a, b), (value, text) in VALUES.items():
        for x, y in ((middle(a), middle(b)), (middle(b), middle(a))):
            assert number_at(axes, x, y) == [text]
            expected = to_rgba(GREY) if np.isnan(value) else diverging_colours()((value + 1) / 2)
            assert colour_at(axes, x, y) == pytest.approx(expected)
    for name in DRAWN:
        assert number_at(axes, middle(name), middle(name)) == []
        assert colour_at(axes, middle(name), middle(name)) == pytest.approx(to_rgba(DIAGONAL_COLOUR))


def test_names_stand_beside_their_rows_and_columns_with_controls_apart() -> None:
    axes = similarity_figure(matrix(), NAMES, quantity="r").axes[0]
    labels = {(t.get_text(), t.get_rotation()): t for t in axes.texts if min(t.get_position()) < 0}
    for name, label in zip(DRAWN, ["Saliency", "Grad-CAM", "my method", "random"], strict=True):
        assert labels[label, 0.0].get_position()[1] == pytest.approx(middle(name))
        assert labels[label, 90.0].get_position()[0] == pytest.approx(middle(name))
        assert labels[label, 0.0].get_fontstyle() == ("italic" if name == "random" else "normal")
    assert middle("random") - middle("my_method") == pytest.approx(CELL_MM + GAP_MM)


def test_what_stands_in_for_maps_has_columns_of_its_own() -> None:
    beside = {"other_ecg": [0.11, np.nan, 0.33, 0.44], "mean_map": [0.5, 0.6, 0.7, 0.8]}
    axes = similarity_figure(matrix(), NAMES, quantity="r", beside=beside).axes[0]
    for place, (name, values) in enumerate(beside.items()):
        x = middle("random") + (place + 1) * CELL_MM + 2 * GAP_MM
        for row, value in zip(NAMES, values, strict=True):
            assert number_at(axes, x, middle(row)) == ["\N{EN DASH}" if np.isnan(value) else f"{value:.2f}"]
        (label,) = [text for text in axes.texts if text.get_text() == METHOD_STYLES[name].label]
        assert label.get_position()[0] == pytest.approx(x)
    with pytest.raises(ValueError, match="mean_map: expected a correlation for each of the 4 names"):
        similarity_figure(matrix(), NAMES, quantity="r", beside={"mean_map": [0.5]})


def test_title_caption_and_unit_are_written(tmp_path: Path) -> None:
    figure = similarity_figure(matrix(), NAMES, quantity="Pearson correlation", title="What", caption="of 9 ECGs")
    assert {"What", "of 9 ECGs"} <= set(texts(figure))
    assert figure.axes[1].get_xlabel() == "Pearson correlation"
    assert save_figure(figure, tmp_path / "heat.svg").stat().st_size > 1000


def test_all_names_fit_their_margin() -> None:
    names = [*METHOD_STYLES, "a_method_of_my_own_with_quite_a_long_name"]
    figure = similarity_figure(np.eye(len(names)), names, quantity="r", caption="word " * 200)
    for text in (*figure.texts, *figure.axes[0].texts):
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text.get_text()


def test_only_controls_begin_at_the_edge() -> None:
    axes = similarity_figure(np.eye(2), ["random", "absolute_input"], quantity="r").axes[0]
    assert min(box.x0 for box, _ in cells(axes)) == 0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one row and column for each of the 3 names, got \(4, 4\)"):
        similarity_figure(matrix(), NAMES[:3], quantity="r")
    with pytest.raises(ValueError, match=r"between -1 and 1, got -1\.0 to 2\.0"):
        similarity_figure(3 * np.eye(2) - 1, NAMES[:2], quantity="r")
    with pytest.raises(ValueError, match=r"incomplete to have the shape \(4, 4\) of the matrix, got \(2, 2\)"):
        similarity_figure(matrix(), NAMES, quantity="r", incomplete=np.zeros((2, 2), dtype=bool))
