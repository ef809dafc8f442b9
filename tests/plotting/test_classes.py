"""Pictures of a class: every beat to one scale, nothing meets, evidence where it is, and words for people."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from numpy.typing import NDArray
from paper_reading import make_beat, millimetres, texts
from PIL import Image

from ecg_lightning.data.targets import PAPER_TARGETS
from ecg_lightning.ecg import LEADS, MEDIAN_BEAT, TARGETS
from ecg_lightning.plotting import ClassBeat, PaperScale, class_title, classes_figure, classes_overview, save_figure
from ecg_lightning.plotting.class_beat import REGION_STYLES
from ecg_lightning.plotting.class_words import class_in_text, class_name, class_short
from ecg_lightning.plotting.maps import halo
from ecg_lightning.plotting.stack import FILL_ALPHA, MARK_MM, Stack

Mask = NDArray[np.bool_]


def example(amplitude: float = 1.0, seed: int = 0, **regions: Mask) -> ClassBeat:
    return ClassBeat(make_beat(amplitude, seed), "ptbxl", f"e{seed}", 71.6, ("SR", "LVH"), regions)


def mask(lead: int = 1, first: int = 200, last: int = 259) -> Mask:
    marked = np.zeros((8, 600), dtype=np.bool_)
    marked[lead, first : last + 1] = True
    return marked


def strips(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if sum(len(line.get_xdata()) == 600 for line in axes.lines) > 1]


def shifts(axes: Axes, beat: ClassBeat, leads: tuple[str, ...] = LEADS) -> NDArray[np.float64]:
    """How far each drawn trace lies from the beat's: one number a lead, or the test fails."""
    rows = np.asarray(beat.beat)[[LEADS.index(lead) for lead in leads]]
    difference = np.array([line.get_ydata() for line in axes.lines]) - rows
    np.testing.assert_allclose(difference, difference[:, :1] * np.ones(600), atol=1e-12)
    return np.asarray(difference[:, 0])


# --- scale and place ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [PaperScale(), PaperScale(25, 5), PaperScale(50, 20)])
@pytest.mark.parametrize("amplitude", [0.1, 1.3, 8.0])
def test_all_beats_have_one_scale_and_the_leads_one_place(amplitude: float, scale: PaperScale) -> None:
    beats = [example(0.3, 1), example(amplitude, 2), example(1.0, 3)]
    figure = classes_figure({"Simulated": beats[:2], "Real": beats[2:]}, title="t", scale=scale)
    drawn = strips(figure)
    assert len(drawn) == 3
    places = [shifts(axes, beat) for axes, beat in zip(drawn, beats, strict=True)]
    np.testing.assert_allclose(places, np.tile(places[0], (3, 1)))
    assert places[0][0] == 0
    assert (np.diff(places[0]) <= -1).all()
    np.testing.assert_allclose(places[0] % 0.5, 0, atol=1e-9)
    for axes in drawn:
        np.testing.assert_allclose(
            millimetres(axes, (0, 0), (1, 1)), [scale.mm_per_second, scale.mm_per_millivolt], rtol=1e-9
        )
        assert axes.get_position().y0 == drawn[0].get_position().y0


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 12), st.integers(0, 99)), min_size=1, max_size=4), st.booleans())
def test_no_trace_meets_another_or_leaves_the_paper(sizes: list[tuple[float, int]], half: bool) -> None:
    traces = np.stack([make_beat(amplitude, seed) for amplitude, seed in sizes])
    scale = PaperScale(25, 5 if half else 10)
    stack = Stack.for_beats(traces, scale, MEDIAN_BEAT)
    for beat in traces:
        edges = np.array([halo(trace, scale, 500, MARK_MM) for trace in beat]) + stack.zeros[:, None, None]
        lower, upper = edges.transpose(1, 0, 2)
        assert (lower[:-1] >= upper[1:] - 1e-9).all()
        assert stack.limits[0] <= lower.min()
        assert upper.max() <= stack.limits[1]
    assert stack.height == pytest.approx((stack.limits[1] - stack.limits[0]) * scale.mm_per_millivolt)


def test_leads_come_as_near_as_the_steepest_beat_allows() -> None:
    flat = np.zeros((1, 8, 600))
    np.testing.assert_array_equal(Stack.for_beats(flat, PaperScale(), MEDIAN_BEAT).zeros, -np.arange(8.0))
    spike = flat.copy()
    spike[0, 3, 240] = 2.0  # needs 2 mV and two marks of 1.1 mm: 2.22 mV, on the next half millivolt
    zeros = Stack.for_beats(spike, PaperScale(), MEDIAN_BEAT).zeros
    np.testing.assert_allclose(np.diff(zeros), [-1, -1, -2.5, -1, -1, -1, -1])


def test_everything_stays_on_the_sheet_and_no_text_covers_another() -> None:
    beats = [ClassBeat(make_beat(1, k), "synthetic", f"p{k}", 70, ["SR", "1° AVB", "low voltage"]) for k in range(3)]
    beats[1].regions["P"] = mask()  # type: ignore[index]
    figure = classes_figure({"Simulated": beats, "Real": beats[:1]}, title="long " * 40, credit="credit " * 40)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    for box, text in zip(boxes, figure.texts, strict=True):
        assert box.x0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height, text
    overlapping = [
        (a.get_text(), b.get_text())
        for i, (a, one) in enumerate(zip(figure.texts, boxes, strict=True))
        for b, other in zip(figure.texts[i + 1 :], boxes[i + 1 :], strict=True)
        if one.shrunk(0.98, 0.7).overlaps(other.shrunk(0.98, 0.7))
    ]
    assert overlapping == []


# --- what is marked -----------------------------------------------------------------------------------------


def test_evidence_is_marked_where_it_is_and_the_legend_says_what_is_what() -> None:
    with_both = example(1.0, 4, causal=mask(1), core=mask(6, 300, 399))
    figure = classes_figure({"Simulated": [with_both], "Real": [example(1.0, 5)]}, title="t")
    patches = [[part for part in axes.patches if isinstance(part, PathPatch)] for axes in strips(figure)]
    assert [len(found) for found in patches] == [2, 0]
    fill, dashes = patches[0]
    assert fill.get_facecolor()[:3] == to_rgb("#56b4e9")
    assert fill.get_linestyle() in ("solid", "-")
    assert dashes.get_facecolor()[3] == 0
    assert dashes.get_linestyle() not in ("solid", "-")
    np.testing.assert_allclose(fill.get_path().get_extents().intervalx, (0.399, 0.519))
    np.testing.assert_allclose(dashes.get_path().get_extents().intervalx, (0.599, 0.799))
    zeros = shifts(strips(figure)[0], with_both)
    for patch, lead, part in ((fill, 1, slice(200, 260)), (dashes, 6, slice(300, 400))):
        trace = np.asarray(with_both.beat)[lead, part] + zeros[lead]
        low, high = patch.get_path().get_extents().intervaly
        np.testing.assert_allclose([low, high], [trace.min() - MARK_MM / 10, trace.max() + MARK_MM / 10], atol=1e-3)
    meanings = {REGION_STYLES["causal"].meaning, REGION_STYLES["core"].meaning}
    assert meanings <= set(texts(figure))
    assert not {REGION_STYLES[wave].meaning for wave in ("P", "QRS", "T")} & set(texts(figure))


def test_a_mark_does_not_reach_up_a_neighbouring_wave() -> None:
    """A PR interval ends where QRS begins: its outline is as low as the trace inside it."""
    beat = np.zeros((8, 600))
    beat[1, 240:250] = 3.0
    figure = classes_figure({"a": [ClassBeat(beat, "s", "1", 70, [], {"core": mask(1, 150, 239)})]}, title="t")
    (patch,) = [part for part in strips(figure)[0].patches if isinstance(part, PathPatch)]
    extent = patch.get_path().get_extents()
    assert extent.height == pytest.approx(2 * MARK_MM / 10)


def test_an_empty_mask_marks_nothing() -> None:
    figure = classes_figure({"a": [example(causal=np.zeros((8, 600), dtype=np.bool_))]}, title="t")
    assert not [part for part in strips(figure)[0].patches if isinstance(part, PathPatch)]
    assert REGION_STYLES["causal"].meaning not in texts(figure)


def linear(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear light of sRGB (IEC 61966-2-1)."""
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def test_fills_show_in_grey_print_and_leave_the_trace_legible() -> None:
    for style in (style for style in REGION_STYLES.values() if style.fill is not None):
        shown = FILL_ALPHA * np.array(to_rgb(style.fill)) + 1 - FILL_ALPHA
        light = float(linear(shown) @ [0.2126, 0.7152, 0.0722])
        assert 1.05 / (light + 0.05) > 1.3, style  # against white paper
        assert (light + 0.05) / (float(linear(np.full(3, 0.1))[0]) + 0.05) > 7, style  # WCAG AAA


# --- words --------------------------------------------------------------------------------------------------


def test_every_beat_says_where_it_is_from() -> None:
    unknown = ClassBeat(make_beat(), "mine", "x", float("nan"), [])
    written = texts(classes_figure({"Simulated": [example(seed=7)], "Real": [unknown]}, title="t", credit="whose"))
    assert {"Simulated", "Real", "ptbxl e7", "72/min", "SR, LVH", "mine x", "rate unknown", "none of the nine"} <= set(
        written
    )
    assert {"whose", "25 mm/s, 10 mm/mV; pulse: 1 mV, 0.2 s"} <= set(written)
    assert written.count("V6") == 2


def test_the_calibration_pulse_is_1_mv_and_200_ms() -> None:
    figure = classes_figure({"a": [example()]}, title="t", scale=PaperScale(50, 20))
    (pulse,) = [axes for axes in figure.axes if axes.lines and axes not in strips(figure)]
    seconds, height = pulse.lines[0].get_xdata(), pulse.lines[0].get_ydata()
    np.testing.assert_allclose(millimetres(pulse, (seconds[2], 0), (seconds[3], max(height))), [10, 20], rtol=1e-9)


def test_every_target_has_words() -> None:
    assert tuple(PAPER_TARGETS) == TARGETS
    assert class_title("first_degree_av_block") == "First-degree AV block: PR > 200 ms"
    assert len(set(map(class_short, TARGETS))) == len(TARGETS)
    assert all(class_title(target).count(": ") == 1 for target in TARGETS)


def test_a_target_of_one_s_own_is_named_by_its_own_name() -> None:
    own = "atrial_flutter_2_to_1"
    assert {class_name(own), class_short(own), class_title(own)} == {"Atrial flutter 2 to 1"}
    assert class_in_text(own) == "atrial flutter 2 to 1"
    assert class_name("LBBB_or_RBBB") == "LBBB or RBBB"  # capitals stay


# --- all classes on one sheet -------------------------------------------------------------------------------


def test_the_overview_holds_every_class_under_its_name() -> None:
    classes = {
        class_title(target): {"Simulated": [example(1 + k, k, causal=mask(0))], "Real": [example(0.5, k)]}
        for k, target in enumerate(TARGETS)
    }
    figure = classes_overview(classes, title="all", leads=("II", "V1"), across=3)
    drawn = strips(figure)
    assert len(drawn) == 2 * len(TARGETS)
    beats = [beat for columns in classes.values() for group in columns.values() for beat in group]
    for axes, beat in zip(drawn, beats, strict=True):
        assert shifts(axes, beat, ("II", "V1"))[1] < 0
        np.testing.assert_allclose(millimetres(axes, (0, 0), (1, 1)), [25, 5], rtol=1e-9)
    assert set(map(class_name, TARGETS)) <= set(texts(figure))
    assert len({round(axes.get_position().x0, 6) for axes in drawn}) == 6
    # The region is marked in lead I only, which is not drawn here.
    assert not [part for axes in drawn for part in axes.patches if isinstance(part, PathPatch)]


def test_saving_is_to_scale(tmp_path: Path) -> None:
    figure = classes_figure({"a": [example()]}, title="t")
    with Image.open(save_figure(figure, tmp_path / "class.png", dpi=100)) as image:
        np.testing.assert_allclose(image.size, figure.get_size_inches() * 100, atol=1)


# --- what can't be drawn ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("beat", "message"),
    [
        (ClassBeat(np.zeros((12, 600)), "s", "e9", 70, []), r"ECG e9: expected beat of shape \(8, 600\)"),
        (ClassBeat(np.full((8, 600), 900.0), "s", "e9", 70, []), "ECG e9: expected a beat in mV"),
        (example(wave=mask()), "ECG e0: expected regions among causal, core, P, QRS, T, got wave"),
        (example(P=np.zeros((8, 599), dtype=np.bool_)), r"expected the region P of ECG e0 of shape \(8, 600\)"),
        (example(core=np.zeros((8, 600))), "ECG e0: expected the region core as booleans, got float64"),  # type: ignore[arg-type]
    ],
)
def test_a_beat_that_can_not_be_drawn_is_named(beat: ClassBeat, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classes_figure({"a": [beat]}, title="t")


@pytest.mark.parametrize(
    ("columns", "message"), [({}, "got none in all"), ({"Real": [], "a": [example()]}, "got none in Real")]
)
def test_a_column_needs_a_beat(columns: dict[str, list[ClassBeat]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classes_figure(columns, title="t")


@pytest.mark.parametrize(
    ("classes", "leads", "across", "message"),
    [
        ({}, LEADS, 3, "at least 1 class and 1 block across, got 0 and 3"),
        ({"x": {"a": [example()]}}, LEADS, 0, "got 1 and 0"),
        ({"x": {"a": [example()]}}, ("aVF",), 3, "expected leads among I, II, .* got aVF"),
        ({"x": {"a": [example()]}}, (), 3, "got none"),
    ],
)
def test_an_overview_that_can_not_be_drawn_is_refused(
    classes: dict[str, dict[str, list[ClassBeat]]], leads: tuple[str, ...], across: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        classes_overview(classes, leads=leads, across=across)
