"""ECG paper: the scale in millimetres, nothing cut off, and messages for people."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from paper_reading import MM_PER_INCH, make_beat, millimetres, panels, texts
from PIL import Image

from ecg_lightning.ecg import LEADS
from ecg_lightning.plotting import PaperScale, ecg_figure, save_figure
from ecg_lightning.plotting.paper import voltage_limits
from ecg_lightning.plotting.sheet import heading


@pytest.mark.parametrize("scale", [PaperScale(), PaperScale(50, 20)])
@pytest.mark.parametrize("amplitude", [0.1, 4.7, 19.9])
def test_a_second_and_a_millivolt_have_their_length(amplitude: float, scale: PaperScale) -> None:
    figure = ecg_figure(make_beat(amplitude), scale=scale)
    for axes in panels(figure):
        length = millimetres(axes, (0.1, 0), (1.1, 1))
        np.testing.assert_allclose(length, [scale.mm_per_second, scale.mm_per_millivolt], rtol=1e-9)


def test_grid_lines_are_1_and_5_mm_apart() -> None:
    axes = panels(ecg_figure(make_beat()))[0]
    spacings = []
    for lines in (part for part in axes.collections if isinstance(part, LineCollection)):
        points = axes.transData.transform(np.concatenate(lines.get_segments())) / axes.figure.dpi * MM_PER_INCH
        for column in (0, 1):
            steps = np.diff(np.unique(points[:, column].round(6)))
            assert np.ptp(steps) < 1e-5
            spacings.append(steps.mean())
    np.testing.assert_allclose(sorted(spacings), [1, 1, 5, 5], rtol=1e-5)


def test_the_strong_lines_of_the_png_are_5_mm_apart(tmp_path: Path) -> None:
    """The whole way: pixels of the file times its own dots per inch."""
    image = Image.open(save_figure(ecg_figure(np.zeros((8, 600))), tmp_path / "ecg.png"))
    pixels_per_mm = image.info["dpi"][0] / MM_PER_INCH
    brightness = np.asarray(image.convert("L"), dtype=float)
    first_panel = slice(round(12 * pixels_per_mm) - 2, round(42 * pixels_per_mm) + 2)
    profile = np.median(brightness[round(13 * pixels_per_mm) : round(20 * pixels_per_mm), first_panel], axis=0)
    dark = np.flatnonzero(profile < 222)
    lines = [group.mean() for group in np.split(dark, np.flatnonzero(np.diff(dark) > 1) + 1)]
    assert len(lines) == 7  # 1.2 s: six strong squares
    np.testing.assert_allclose(np.diff(lines) / pixels_per_mm, 5, atol=1.01 / pixels_per_mm)
    np.testing.assert_allclose((lines[-1] - lines[0]) / pixels_per_mm, 30, atol=1.01 / pixels_per_mm)


@settings(max_examples=30, deadline=None)
@given(st.floats(-20, 20), st.floats(-20, 20), st.sampled_from([0.5, 1.0, 2.0]))
def test_limits_hold_every_amplitude_on_a_strong_line(first: float, second: float, step: float) -> None:
    low, high = voltage_limits(np.array([first, second]), headroom=0.1, step=step)
    assert low <= min(first, second) - 0.0999
    assert high >= max(first, second) + 0.0999
    assert low <= -0.5
    assert high >= 1
    assert low % step == 0
    assert high % step == 0
    assert high - low <= max(first, second, 1) - min(first, second, -0.5) + 0.2 + 2 * step


@pytest.mark.parametrize("amplitude", [0.2, 6.0, 19.5])
def test_no_trace_leaves_its_panel_and_no_panel_the_sheet(amplitude: float) -> None:
    beat = make_beat(amplitude)
    figure = ecg_figure(beat)
    assert len(panels(figure)) == len(LEADS)
    for axes, trace in zip(panels(figure), beat, strict=True):
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), trace)
        assert axes.get_ylim()[0] < trace.min() <= trace.max() < axes.get_ylim()[1]
        assert axes.get_xlim() == (0, 1.2)
        box = axes.get_position()
        assert 0 < box.x0 < box.x1 < 1
        assert 0 < box.y0 < box.y1 < 1


@pytest.mark.parametrize("scale", [PaperScale(), PaperScale(50, 20), PaperScale(12.5, 5)])
def test_leads_scale_and_calibration_stand_on_the_sheet(scale: PaperScale) -> None:
    figure = ecg_figure(make_beat(), scale=scale)
    assert [text for text in texts(figure) if text in LEADS] == list(LEADS)
    assert f"{scale.mm_per_second:g} mm/s, {scale.mm_per_millivolt:g} mm/mV" in texts(figure)
    pulses = [axes for axes in figure.axes if axes not in panels(figure)]
    assert len(pulses) == 2
    for axes in pulses:
        pulse = axes.lines[0]
        width = millimetres(axes, (pulse.get_xdata()[2], 0), (pulse.get_xdata()[3], max(pulse.get_ydata())))
        np.testing.assert_allclose(width, [0.2 * scale.mm_per_second, scale.mm_per_millivolt], rtol=1e-9)
        right = axes.transData.transform((max(pulse.get_xdata()), 0))[0] / figure.bbox.width
        assert right < panels(figure)[0].get_position().x0


def test_the_fiducial_is_drawn_only_when_asked() -> None:
    plain, marked = ecg_figure(make_beat()), ecg_figure(make_beat(), fiducial=True)
    assert all(len(axes.lines) == 1 for axes in panels(plain))
    assert all(list(axes.lines[1].get_xdata()) == [0.48, 0.48] for axes in panels(marked))


@pytest.mark.parametrize("text", ["word " * 80, "W" * 120, "a\nb " + "m" * 90, "5 $ and 6 $ a_b"])
def test_long_headings_are_broken_and_stay_on_the_sheet(text: str) -> None:
    figure = ecg_figure(make_beat(), title=text, subtitle=text)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for line in figure.texts:
        box = line.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.y1 <= figure.bbox.height
        assert box.x1 <= figure.bbox.width, line.get_text()
    words = "".join(texts(figure)).replace(" ", "")
    assert words.count("".join(text.split())) == 2


def test_heading_of_nothing_takes_no_room() -> None:
    assert heading(None, "", 100) == []


def test_a_tensor_is_as_good_as_an_array() -> None:
    beat = torch.from_numpy(make_beat()).float()
    line = panels(ecg_figure(beat))[3].lines[0]
    np.testing.assert_allclose(line.get_ydata(), beat[3])


def one_nan() -> NDArray[np.float64]:
    beat = make_beat()
    beat[4, 7] = np.nan
    return beat


@pytest.mark.parametrize(
    ("beat", "message"),
    [
        (np.zeros((600, 8)), r"expected beat of shape \(8, 600\) \(lead, sample\), got \(600, 8\)"),
        (np.zeros((1, 8, 600)), r"got \(1, 8, 600\)"),
        (np.full((8, 600), 900.0), "in mV, at most 20 mV in size, got 900: is it in microvolts"),
        (one_nan(), "NaN or infinity in V3"),
    ],
)
def test_what_is_no_beat_is_refused(beat: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ecg_figure(beat)


@pytest.mark.parametrize("scale", [(0, 10), (25, -1), (float("nan"), 10)])
def test_a_scale_is_positive(scale: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="paper speed and a gain above 0"):
        PaperScale(*scale)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_saving_is_whole(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / f"ecg{suffix}"
    assert save_figure(ecg_figure(make_beat()), str(path)) == path
    content = path.read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])

    def fail(self: Figure, target: Path, **_: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="no space left"):
        save_figure(ecg_figure(make_beat()), path)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_saving_keeps_the_size(tmp_path: Path) -> None:
    figure = ecg_figure(make_beat())
    with Image.open(save_figure(figure, tmp_path / "ecg.png", dpi=100)) as image:
        np.testing.assert_allclose(image.size, figure.get_size_inches() * 100, atol=1)
        np.testing.assert_allclose(image.info["dpi"], 100, atol=0.01)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.png, \.svg, \.pdf, got 'ecg\.jpg'"):
        save_figure(ecg_figure(make_beat()), tmp_path / "ecg.jpg")


def test_pyplot_and_global_settings_stay_out() -> None:
    program = (
        "import sys, numpy, matplotlib; before = matplotlib.rcParams.copy()\n"
        "from ecg_lightning.plotting import ecg_figure, map_figure, maps_overview\n"
        "x = numpy.zeros((8, 600)); ecg_figure(x)\n"
        "map_figure(x, x, method='saliency', signed=False)\n"
        "maps_overview(x, {'saliency': x}, signed={'saliency': False})\n"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot was imported'\n"
        "assert matplotlib.rcParams.copy() == before, 'rcParams were changed'\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
