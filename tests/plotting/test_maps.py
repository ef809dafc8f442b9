"""Maps on ECG paper: the colour of a moment is the map's value there, and nothing is hidden."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from numpy.typing import NDArray
from paper_reading import make_beat, millimetres, panels, texts
from PIL import Image
from scipy.ndimage import grey_dilation, grey_erosion

from ecg_lightning.ecg import LEADS
from ecg_lightning.plotting import PaperScale, map_figure, maps_overview, save_figure
from ecg_lightning.plotting.colour_scale import colour_scale, diverging_colours, sequential_colours
from ecg_lightning.plotting.maps import HALO_MM, halo, runs

Map = NDArray[np.float64]
RGBA = NDArray[np.float64]


def noise(seed: int = 0) -> Map:
    return np.random.default_rng(seed).standard_normal((8, 600)) ** 3


# --- the colour scale ---------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-30, 1e30), st.floats(0.5, 1), st.booleans())
def test_limits_are_the_quantile_of_the_size(seed: int, unit: float, quantile: float, signed: bool) -> None:
    values = unit * (noise(seed) if signed else np.abs(noise(seed)))
    scale = colour_scale(values, signed=signed, quantile=quantile)
    np.testing.assert_allclose(scale.limit, np.quantile(np.abs(values), quantile))
    norm = scale.norm(relative=False)
    assert norm.vmax == scale.limit
    assert norm.vmin == (-scale.limit if signed else 0)
    assert float(norm(0.0)) == (0.5 if signed else 0)
    np.testing.assert_allclose(scale.relative(values), np.clip(values / scale.limit, -1, 1))


def test_limits_do_not_change_with_the_sign_of_a_map() -> None:
    values = noise()
    there, back = (colour_scale(sign * values, signed=True) for sign in (1, -1))
    assert there.limit == back.limit
    assert there.extend == back.extend == "both"


def test_extend_says_on_which_sides_values_lie_beyond() -> None:
    values = np.full((8, 600), 0.1)
    values[0, :600:2] = -1
    values[0, 1] = 50
    assert colour_scale(values, signed=True, quantile=0.99).extend == "max"
    assert colour_scale(-values, signed=True, quantile=0.99).extend == "min"
    assert colour_scale(values, signed=True, quantile=1).extend == "neither"


def test_a_sparse_map_is_scaled_by_its_largest_value_and_says_so() -> None:
    values = np.zeros((8, 600))
    values[3, 240] = -4.0
    scale = colour_scale(values, signed=True)
    assert (scale.limit, scale.rule) == (4.0, "largest |map|")


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (0.0, "all zero: this map marks nothing"),
        (0.25, "the same value everywhere (0.25): this map marks nothing"),
        (np.nan, "no finite value: there is nothing to show"),
        (np.inf, "no finite value: there is nothing to show"),
    ],
)
def test_a_map_without_content_is_grey_and_says_so(value: float, note: str, tmp_path: Path) -> None:
    values = np.full((8, 600), value)
    assert colour_scale(values, signed=True).limit == 0
    figure = map_figure(make_beat(), values, method="saliency", signed=False)
    assert note in texts(figure)
    pixels = Print(figure, tmp_path / "map.png", dpi=100).pixels.reshape(-1, 3)
    assert (pixels == 0xB3 / 255).all(axis=1).mean() > 0.05
    assert np.ptp(pixels, axis=1).max() < 0.05  # no colour anywhere


@pytest.mark.parametrize("quantile", [0, -0.1, 1.01, float("nan")])
def test_a_quantile_out_of_range_is_refused(quantile: float) -> None:
    with pytest.raises(ValueError, match="quantile above 0 and at most 1"):
        colour_scale(noise(), signed=True, quantile=quantile)


def on_white(colours: RGBA) -> NDArray[np.float64]:
    return np.asarray(colours[:, :3] * colours[:, 3:] + 1 - colours[:, 3:])


def luminance(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative luminance of sRGB (IEC 61966-2-1)."""
    return np.asarray(linear(rgb) @ [0.2126, 0.7152, 0.0722])


def linear(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def test_colours_darken_from_zero_and_leave_the_trace_legible() -> None:
    ramp = np.linspace(0, 1, 101)
    for colours in (
        diverging_colours()(0.5 + ramp / 2),
        diverging_colours()(0.5 - ramp / 2),
        sequential_colours()(ramp),
    ):
        light = luminance(on_white(colours))
        np.testing.assert_allclose(light[0], 1, atol=0.02)
        assert (np.diff(light) <= 1e-9).all()
        assert (light[-1] + 0.05) / (luminance(np.array([0.1, 0.1, 0.1])) + 0.05) > 2.5  # WCAG contrast ratio


# Linear RGB as a dichromat sees it: Vienot, Brettel and Mollon, Color Res Appl 1999;24:243-252, as matrices.
DICHROMATS = {
    "protanope": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranope": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


@pytest.mark.parametrize("kind", DICHROMATS)
def test_signs_differ_for_the_colour_blind(kind: str) -> None:
    ends = linear(on_white(diverging_colours()(np.array([0.0, 1.0]))))
    negative, positive = ends @ np.array(DICHROMATS[kind]).T
    # The blue-yellow axis is what is left to them: more blue than yellow on one side, less on the other.
    assert negative[2] - negative[:2].mean() > 0.2
    assert positive[2] - positive[:2].mean() < -0.1


# --- the halo -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [PaperScale(), PaperScale(50, 20), PaperScale(12.5, 2.5)])
def test_the_halo_is_a_dilation_by_a_disc(scale: PaperScale) -> None:
    trace = make_beat(3.0)[2]
    half = round(HALO_MM / scale.mm_per_second * 500)
    disc = HALO_MM / scale.mm_per_millivolt * np.sqrt(1 - (np.arange(-half, half + 1) / (half + 1)) ** 2)
    lower, upper = halo(trace, scale, 500)
    np.testing.assert_allclose(upper, grey_dilation(trace, structure=disc, mode="nearest"))
    np.testing.assert_allclose(lower, grey_erosion(trace, structure=disc, mode="nearest"))


def test_the_halo_of_a_level_line_is_2_mm_on_either_side() -> None:
    lower, upper = halo(np.full(600, 0.3), PaperScale(), 500)
    np.testing.assert_allclose([lower, upper], [np.full(600, 0.1), np.full(600, 0.5)])


def test_halos_stay_inside_their_panels() -> None:
    beat = make_beat(7.3)
    for axes, trace in zip(panels(map_figure(beat, noise(), method="ig", signed=True)), beat, strict=True):
        lower, upper = halo(trace, PaperScale(), 500)
        assert axes.get_ylim()[0] <= lower.min() < upper.max() <= axes.get_ylim()[1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_runs_rebuild_their_mask(mask: list[bool]) -> None:
    rebuilt = np.zeros(len(mask), dtype=bool)
    found = runs(np.array(mask))
    for first, last in found:
        rebuilt[first : last + 1] = True
    assert rebuilt.tolist() == mask
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(found))


# --- the figures --------------------------------------------------------------------------------------------


class Print:
    """A saved sheet, read back."""

    def __init__(self, figure: Figure, path: Path, dpi: int = 400) -> None:
        self.figure, self.dpi = figure, dpi
        with Image.open(save_figure(figure, path, dpi=dpi)) as image:
            self.pixels = np.asarray(image.convert("RGB"), dtype=float) / 255

    def colour(self, lead: int, sample: int) -> NDArray[np.float64]:
        """RGB 1 mm above the zero line, which is inside the halo of a flat beat."""
        position = panels(self.figure)[lead].transData.transform((sample / 500, 0.1))
        x, y = position / self.figure.dpi * self.dpi
        return np.asarray(self.pixels[len(self.pixels) - 1 - int(y), int(x)])


def test_the_colour_lies_where_the_map_says(tmp_path: Path) -> None:
    marked = {0: 3, 3: 240, 5: 300, 7: 596}
    values = np.full((8, 600), -1.0)
    for lead, sample in marked.items():
        values[lead, sample - 3 : sample + 4] = 1.0
    sheet = Print(map_figure(np.zeros((8, 600)), values, method="ig", signed=True), tmp_path / "map.png")
    positive, negative = diverging_colours()(1.0)[:3], diverging_colours()(0.0)[:3]
    for lead in range(8):
        for sample in (3, 240, 300, 596):
            expected = positive if marked.get(lead) == sample else negative
            np.testing.assert_allclose(sheet.colour(lead, sample), expected, atol=0.02, err_msg=f"{lead} {sample}")
        for sample in (12, 231, 249, 587):
            np.testing.assert_allclose(sheet.colour(lead, sample), negative, atol=0.02, err_msg=f"{lead} {sample}")


def test_points_without_value_are_grey_and_counted(tmp_path: Path) -> None:
    values = np.full((8, 600), 0.5)
    values[2, :300] = 1.0
    values[4, 100:340] = np.nan
    figure = map_figure(np.zeros((8, 600)), values, method="saliency", signed=False)
    assert "5 % of the map is not finite (grey)" in texts(figure)
    sheet = Print(figure, tmp_path / "map.png")
    for sample, grey in ((95, False), (105, True), (220, True), (335, True), (345, False)):
        colour = sheet.colour(4, sample)
        assert np.allclose(colour, 0xB3 / 255, atol=0.02) == grey, f"{sample}: {colour}"


def test_the_map_figure_is_to_scale() -> None:
    for scale in (PaperScale(), PaperScale(50)):
        for axes in panels(map_figure(make_beat(2.2), noise(), method="ig", signed=True, scale=scale)):
            np.testing.assert_allclose(millimetres(axes, (0, 0), (1, 1)), [scale.mm_per_second, 10], rtol=1e-9)


def test_the_legend_names_method_unit_sign_and_limit() -> None:
    signed = map_figure(make_beat(), noise(), method="deeplift", signed=True, unit="contribution to the logit")
    assert "deeplift: contribution to the logit" in texts(signed)
    assert "signed: vermilion above 0, blue below" in texts(signed)
    assert "limit of the colours: 99.5th percentile of |map|" in texts(signed)
    unsigned = map_figure(make_beat(), abs(noise()), method="saliency", signed=False, unit="logit per mV", quantile=1)
    assert "unsigned: size only" in texts(unsigned)
    assert "limit of the colours: largest |map|" in texts(unsigned)
    assert not {"dashes: evidence"} & set(texts(signed))


def test_evidence_is_outlined_where_it_is() -> None:
    evidence = np.zeros((8, 600), dtype=bool)
    evidence[1, 200:260] = evidence[1, 300:400] = evidence[6, 599] = True
    figure = map_figure(make_beat(), noise(), method="ig", signed=True, evidence=evidence)
    found = [[part for part in axes.patches if isinstance(part, PathPatch)] for axes in panels(figure)]
    assert [len(patches) for patches in found] == [0, 2, 0, 0, 0, 0, 1, 0]
    seconds = [patch.get_path().get_extents().intervalx for patch in (*found[1], *found[6])]
    np.testing.assert_allclose(seconds, [(0.399, 0.519), (0.599, 0.799), (1.197, 1.199)])
    assert "dashes: evidence" in texts(figure)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attribution": np.zeros((8, 19))}, r"expected attribution of shape \(8, 600\) .* got \(8, 19\)"),
        ({"beat": np.zeros((12, 600))}, r"expected beat of shape \(8, 600\) .* got \(12, 600\)"),
        ({"attribution": noise(), "signed": False}, "drawn as unsigned, got a minimum of -.*: pass signed=True"),
        ({"evidence": np.zeros((8, 601), dtype=bool)}, r"expected evidence of shape .* got \(8, 601\)"),
        ({"evidence": np.zeros((8, 600))}, "expected evidence of booleans, got float64"),
        ({"quantile": 2.0}, "quantile above 0 and at most 1, got 2"),
    ],
)
def test_what_can_not_be_drawn_is_refused(arguments: dict[str, object], message: str) -> None:
    usual: dict[str, object] = {"beat": make_beat(), "attribution": noise(), "method": "ig", "signed": True}
    with pytest.raises(ValueError, match=message):
        map_figure(**usual | arguments)  # type: ignore[arg-type]


def test_tensors_are_as_good_as_arrays() -> None:
    beat, values = make_beat(), noise()
    tensors = map_figure(torch.from_numpy(beat), torch.from_numpy(values), method="ig", signed=True)
    arrays = map_figure(beat, values, method="ig", signed=True)
    for left, right in zip(panels(tensors), panels(arrays), strict=True):
        np.testing.assert_array_equal(left.images[0].get_array(), right.images[0].get_array())


# --- all maps on one sheet ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("amplitude", "note"), [(1.5, "12.5 mm/s, 5 mm/mV"), (5.0, "2.5 mm/mV"), (19, "1.25 mm/mV")])
def test_the_overview_holds_every_map_to_scale(amplitude: float, note: str) -> None:
    maps = {"ig": noise(0), "saliency": abs(noise(1)), "gradcam": np.zeros((8, 600))}
    beat = make_beat(amplitude)
    figure = maps_overview(beat, maps, signed={"ig": True, "saliency": False, "gradcam": True, "other": True})
    drawn = panels(figure)
    assert len(drawn) == 3 * len(LEADS)
    gain = float(note.split()[-2])
    for index, axes in enumerate(drawn):
        np.testing.assert_allclose(millimetres(axes, (0, 0), (1, 1)), [12.5, gain], rtol=1e-9)
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), beat[index % 8])
        assert axes.get_ylim()[0] < beat.min() < beat.max() < axes.get_ylim()[1]
    written = texts(figure)
    assert any(note in text for text in written)
    assert {"ig", "saliency", "gradcam", *LEADS} <= set(written)
    assert "all zero: this map" in " ".join(written)


def test_rows_of_the_overview_are_means_of_10_ms_over_their_own_limit() -> None:
    maps = {"large": 1000 * noise(3), "small": noise(3)}
    drawn = panels(maps_overview(make_beat(), maps, signed={"large": True, "small": True}))
    pooled = maps["small"].reshape(8, 120, 5).mean(-1)
    expected = np.clip(pooled / np.quantile(np.abs(pooled), 0.995), -1, 1)
    for row in (drawn[:8], drawn[8:]):
        shown = np.concatenate([np.asarray(axes.images[0].get_array()) for axes in row])
        np.testing.assert_allclose(shown, expected, rtol=1e-9, atol=1e-12)


def test_twelve_methods_of_an_ordinary_beat_fit_on_a4() -> None:
    maps = {f"method_{index}": noise(index) for index in range(12)}
    figure = maps_overview(make_beat(1.2), maps, signed=dict.fromkeys(maps, True), title="t", subtitle="s")
    width, height = figure.get_size_inches() * 25.4
    assert width <= 210
    assert height <= 297


@pytest.mark.parametrize(
    ("maps", "signed", "message"),
    [
        ({}, {}, "at least one map"),
        ({"ig": noise(), "lrp": noise()}, {"ig": True}, r"got nothing for \['lrp'\]"),
        ({"saliency": noise()}, {"saliency": False}, "expected saliency without negative values"),
        ({"ig": noise()[:3]}, {"ig": True}, r"expected ig of shape \(8, 600\) .* got \(3, 600\)"),
    ],
)
def test_an_overview_that_can_not_be_drawn_is_refused(
    maps: dict[str, Map], signed: dict[str, bool], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        maps_overview(make_beat(), maps, signed=signed)
