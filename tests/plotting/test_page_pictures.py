"""The pictures of a page: a figure is drawn once, and the page shows it without the rows of its caption."""

import gc
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecg_lightning.experiments.similarity.figures import similarity_figure
from ecg_lightning.plotting import map_figure
from ecg_lightning.plotting.captioned import captioned_figure
from ecg_lightning.plotting.figure_files import figure_kinds, seldom_collected
from ecg_lightning.plotting.page_blocks import ReportFiles
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.study_folder import StudyFolder

CAPTION = "What is shown, of how many ECGs, with which settings, in a few words more than one line of it holds. " * 3


def panels(caption: str) -> CaptionedFigure:
    figure, top = captioned_figure((6.0, 3.0), "Title", caption)
    top.subplots().plot([0, 1], [0, 1])
    return figure


def heat_map(caption: str) -> CaptionedFigure:
    return similarity_figure(np.eye(2), ["saliency", "random"], quantity="r", title="Title", caption=caption)


def beat(caption: str) -> CaptionedFigure:
    ecg = np.sin(np.arange(600) / 40) * np.ones((8, 1))
    return map_figure(ecg, ecg, method="Saliency", signed=True, title="Title", subtitle=caption)


def pixels(png: bytes | Path) -> np.ndarray:
    with Image.open(io.BytesIO(png) if isinstance(png, bytes) else png) as image:
        return np.asarray(image.convert("L"))


@pytest.mark.parametrize("draw", [panels, heat_map, beat])
def test_the_page_s_picture_is_the_saved_one_without_its_caption(draw, tmp_path: Path) -> None:
    made = ReportFiles(StudyFolder(tmp_path)).picture("a/b", draw, "Figure 1", CAPTION)
    assert made.path == tmp_path / "figures/a/b.png"
    assert [path.name for path in made.path.parent.iterdir()] == ["b.png"]
    saved, shown, without = pixels(made.path), pixels(made.image), io.BytesIO()
    draw("").savefig(without, format="png")
    assert len(saved) - len(shown) == pytest.approx((len(saved) - len(pixels(without.getvalue()))), abs=2)
    # the same ink as that of a figure that is drawn without a caption
    assert (shown < 200).sum() == pytest.approx((pixels(without.getvalue()) < 200).sum(), rel=0.03)
    assert (saved < 200).sum() > 1.05 * (shown < 200).sum()


def test_other_files_lie_beside_the_png_where_they_are_wanted(tmp_path: Path) -> None:
    files = ReportFiles(StudyFolder(tmp_path), figure_kinds(["[pdf, svg]"]))
    made = files.picture("b", panels, "Figure 1", CAPTION)
    assert {path.name for path in made.path.parent.iterdir()} == {"b.png", "b.svg", "b.pdf"}
    assert made.uri.startswith("data:image/png;base64,")


def test_kinds_of_files_are_read_from_words() -> None:
    assert figure_kinds(["svg", "png"]) == figure_kinds(["[png, svg]"]) == ("png", "svg")
    with pytest.raises(ValueError, match="files of figures are png, svg, pdf, got gif, jpg"):
        figure_kinds(["png,jpg", "gif"])


def test_python_looks_for_unused_objects_seldom_only_while_figures_are_drawn() -> None:
    before = gc.get_threshold()
    with seldom_collected():
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before
