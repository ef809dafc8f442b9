"""Pictures of recordings: what stands where, to scale, and what is refused."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from paper_reading import millimetres, texts

from ecg_lightning.data.representations import TWELVE_LEADS
from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.plotting import (
    ClassBeat,
    PaperScale,
    classes_figure,
    ecg_figure,
    map_figure,
    maps_overview,
    recording_map_figure,
    recordings_figure,
)
from ecg_lightning.plotting.chosen_ecgs import EcgMaps
from ecg_lightning.plotting.class_beat import REGION_STYLES
from ecg_lightning.plotting.recording_maps import most_relevant_beat
from ecg_lightning.plotting.recording_page import RecordingPage, page_rows

PAGE = SignalFormat(TWELVE_LEADS, 100, 1000)
FRANK = SignalFormat(("X", "Y", "Z"), 250, 1500)
FORMATS = [PAGE, SignalFormat(TWELVE_LEADS[::-1], 500, 5000), SignalFormat(TWELVE_LEADS, 128, 1001), FRANK,
           SignalFormat(MEDIAN_BEAT.leads, 100, 1000), SignalFormat(("I",), 300, 900)]  # fmt: skip

Signal = NDArray[np.float64]


def made(of_format: SignalFormat, amplitude: float = 1.0) -> Signal:
    """A QRS-like wave every 0.8 s, of another size in every lead."""
    time = np.arange(of_format.samples) / of_format.sampling_rate
    waves = sum(np.exp(-(((time - peak) / 0.02) ** 2)) for peak in np.arange(0.1, of_format.seconds, 0.8))
    sizes = np.random.default_rng(0).uniform(-1, 1, (len(of_format.leads), 1))
    return np.asarray(amplitude * sizes * waves)


def paper(figure: Figure) -> list[Axes]:
    """The axes that hold traces, without those of the pulses at their left."""
    return [axes for axes in figure.axes if axes.texts]


def noise(of_format: SignalFormat) -> Signal:
    return np.random.default_rng(1).normal(size=of_format.shape)


def test_the_twelve_leads_stand_as_they_are_read() -> None:
    rows = page_rows(PAGE)
    names = [[PAGE.leads[part.lead] for part in row] for row in rows]
    assert names == [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"], ["II"]]
    assert [[(part.first, part.end) for part in row] for row in rows] == [
        *[[(0, 250), (250, 500), (500, 750), (750, 1000)]] * 3,
        [(0, 1000)],
    ]


@pytest.mark.parametrize("of_format", FORMATS, ids=str)
def test_every_row_shows_all_moments_once(of_format: SignalFormat) -> None:
    rows = page_rows(of_format)
    for row in rows:
        assert [part.first for part in row[1:]] == [part.end for part in row[:-1]]
        assert (row[0].first, row[-1].end) == (0, of_format.samples)
    assert {part.lead for row in rows for part in row} == set(range(len(of_format.leads)))


@pytest.mark.parametrize("leads", [("X", "Y", "Z"), (*TWELVE_LEADS, "V7"), TWELVE_LEADS[:6]])
def test_other_leads_stand_under_each_other_in_their_order(leads: tuple[str, ...]) -> None:
    assert page_rows(SignalFormat(leads, 100, 1000)) == [[(lead, 0, 1000)] for lead in range(len(leads))]


def test_windows_without_a_beat_in_each_quarter_are_no_page() -> None:
    assert len(page_rows(SignalFormat(TWELVE_LEADS, 100, 399))) == 12
    assert len(page_rows(SignalFormat(TWELVE_LEADS, 100, 400))) == 4


@pytest.mark.parametrize("of_format", FORMATS, ids=str)
@pytest.mark.parametrize("scale", [PaperScale(), PaperScale(50, 20)])
def test_traces_are_to_scale_and_at_their_time(of_format: SignalFormat, scale: PaperScale) -> None:
    recording = made(of_format)
    figure = recording_map_figure(recording, noise(of_format), of_format, method="ig", signed=True, scale=scale)
    (axes,) = paper(figure)
    np.testing.assert_allclose(
        millimetres(axes, (0, 0), (1, 1)), [scale.mm_per_second, scale.mm_per_millivolt], rtol=1e-9
    )
    np.testing.assert_allclose(axes.get_xlim(), (0, of_format.seconds))
    parts = [part for row in page_rows(of_format) for part in row]
    drawn = [line for line in axes.lines if line.get_linestyle() == "-"]
    for part, line in zip(parts, drawn, strict=True):
        seconds = np.arange(part.first, part.end) / of_format.sampling_rate
        np.testing.assert_allclose(line.get_xdata(), seconds)
        trace = recording[part.lead, part.first : part.end]
        np.testing.assert_allclose(np.diff(line.get_ydata()), np.diff(trace), atol=1e-12)
    assert [text.get_text() for text in axes.texts] == [of_format.leads[part.lead] for part in parts]
    assert any(f"{scale.note}; pulses: 1 mV, 0.2 s" in text for text in texts(figure))


@pytest.mark.parametrize("amplitude", [0.1, 1, 8])
@pytest.mark.parametrize("of_format", FORMATS, ids=str)
def test_rows_do_not_meet_and_nothing_leaves_the_paper(of_format: SignalFormat, amplitude: float) -> None:
    recording = made(of_format, amplitude)
    page = RecordingPage.laid_out(recording, of_format, PaperScale(), radius=2.0)
    rows = [np.concatenate([recording[lead, first:end] for lead, first, end in row]) for row in page.rows]
    placed = np.stack(rows) + page.zeros[:, None]
    assert (placed[:-1] - placed[1:] >= 0.4 - 1e-9).all()  # 2 mm of colour on either side
    assert page.limits[0] + 0.2 <= placed.min() + 1e-9
    assert placed.max() <= page.limits[1] - 0.2 + 1e-9


def test_names_are_inside_the_paper_and_over_no_trace() -> None:
    figure = recording_map_figure(made(PAGE), noise(PAGE), PAGE, method="ig", signed=True)
    (axes,) = paper(figure)
    frame, to_data = axes.get_window_extent(), axes.transData.inverted()
    lines = [np.column_stack(line.get_data()) for line in axes.lines if line.get_linestyle() == "-"]
    for name in axes.texts:
        box = name.get_window_extent()
        assert frame.x0 < box.x0 < box.x1 < frame.x1
        assert frame.y0 < box.y0 < box.y1 < frame.y1
        (left, low), (right, high) = to_data.transform([(box.x0, box.y0), (box.x1, box.y1)])
        for line in lines:
            beside = line[(line[:, 0] >= left) & (line[:, 0] <= right), 1]
            assert not ((beside > low) & (beside < high)).any(), name.get_text()


def test_colours_are_of_the_whole_map_and_its_unseen_part_is_said() -> None:
    values = np.zeros(PAGE.shape)
    values[0, 100], values[0, 900] = 1, -3  # lead I: only its first quarter is on the page
    figure = recording_map_figure(made(PAGE), values, PAGE, method="ig", unit="logit", signed=True, quantile=1)
    shown = np.asarray(paper(figure)[0].images[0].get_array())
    assert shown.shape == (1, 250)
    np.testing.assert_allclose(shown[0, 100], 1 / 3)
    assert {"ig: logit", "on this page: 31 % of the recording, with 25 % of all |map|"} <= set(texts(figure))
    whole = recording_map_figure(made(FRANK), noise(FRANK), FRANK, method="ig", signed=True)
    assert not any("on this page" in text for text in texts(whole))


def test_a_map_that_marks_nothing_is_said_to() -> None:
    figure = recording_map_figure(made(PAGE), np.zeros(PAGE.shape), PAGE, method="ig", signed=True)
    assert "all zero: this map marks nothing" in texts(figure)


def test_evidence_is_outlined_where_its_quarter_is_shown() -> None:
    mask = np.zeros(PAGE.shape, dtype=np.bool_)
    mask[0, 50:80] = mask[0, 600:650] = True
    figure = recording_map_figure(made(PAGE), noise(PAGE), PAGE, method="ig", signed=True, evidence=mask)
    (patch,) = paper(figure)[0].patches
    extent = patch.get_path().get_extents()
    np.testing.assert_allclose([extent.x0, extent.x1], [0.495, 0.795])
    assert "dashes: evidence" in texts(figure)


@pytest.mark.parametrize(
    ("recording", "attribution", "message"),
    [
        (made(PAGE)[:8], noise(PAGE), r"expected recording of shape \(12, 1000\) .* got \(8, 1000\)"),
        (made(PAGE), noise(PAGE)[:, :600], r"expected attribution of shape \(12, 1000\) .* got \(12, 600\)"),
        (made(PAGE) * np.nan, noise(PAGE), "expected a recording of finite values"),
        (made(PAGE) * 1000, noise(PAGE), "expected a recording in mV"),
    ],
)
def test_what_can_not_be_drawn_is_refused(recording: Signal, attribution: Signal, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recording_map_figure(recording, attribution, PAGE, method="ig", signed=True)


def test_another_unit_is_refused() -> None:
    microvolts = SignalFormat(TWELVE_LEADS, 100, 1000, unit="uV")
    with pytest.raises(ValueError, match="expected a recording in mV, got a format in uV"):
        recording_map_figure(made(PAGE), noise(PAGE), microvolts, method="ig", signed=True)


def example(name: str, **more: NDArray[np.bool_]) -> ClassBeat:
    return ClassBeat(made(PAGE), "archive", name, 75.0, ["SR"], more, PAGE)


def test_examples_stand_under_each_other_with_their_waves() -> None:
    mask = np.zeros(PAGE.shape, dtype=np.bool_)
    mask[1, [10, 300, 600]] = True
    groups = {"with it": [example("a", QRS=mask), example("b")], "without it": [example("c")]}
    figure = recordings_figure(groups, PAGE, title="Sinus rhythm")
    pages = paper(figure)
    assert [len(axes.patches) for axes in pages] == [4, 0, 0]  # one in the first quarter of II, three in its strip
    tops = [axes.get_position().y1 for axes in pages]
    assert tops == sorted(tops, reverse=True)
    written = texts(figure)
    assert "with it: archive a, 75/min, SR" in written
    assert REGION_STYLES["QRS"].meaning in written
    assert REGION_STYLES["P"].meaning not in written


def test_examples_of_another_format_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected recordings of 3 leads x 1500 samples .* got a"):
        recordings_figure({"with it": [example("a")]}, FRANK, title="t")
    with pytest.raises(ValueError, match="got none"):
        recordings_figure({}, FRANK, title="t")


def test_an_overview_shows_the_leads_that_are_asked_for() -> None:
    maps = {"ig": noise(FRANK), "saliency": np.abs(noise(FRANK))}
    figure = maps_overview(
        made(FRANK), maps, signed={"ig": True, "saliency": False}, signal_format=FRANK, leads=["Z"], title="t"
    )
    drawn = [axes for axes in figure.axes if any(len(line.get_xdata()) == 1500 for line in axes.lines)]
    for axes in drawn:
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), made(FRANK)[2])
        np.testing.assert_allclose(millimetres(axes, (0, 0), (1, 0))[0], 12.5)
    pooled = np.asarray(drawn[0].images[0].get_array())
    assert pooled.shape == (1, 750)  # 2 samples of 4 ms
    assert "colours: means of 8 ms" in texts(figure)


def test_the_most_relevant_beat_is_that_of_all_maps() -> None:
    peaks = np.array([20, 200, 400, 980])  # no whole beat around the first and the last
    large, small = np.zeros(PAGE.shape), np.zeros(PAGE.shape)
    large[0, [20, 200]], small[3, [400]] = 1000, 1
    large[0, 400] = 900
    found = most_relevant_beat({"large": large, "small": small}, PAGE, peaks)
    assert found is not None
    part, of_format = found
    assert part == slice(352, 472)
    assert (of_format.samples, of_format.fiducial, of_format.leads) == (120, 48, PAGE.leads)
    assert most_relevant_beat({"large": large}, PAGE, peaks[[0, 3]]) is None


def test_a_recording_is_cut_around_its_beat() -> None:
    maps = {"ig": noise(PAGE)}
    maps["ig"][2, 400] = 1000
    ecg = EcgMaps(made(PAGE).astype(np.float32), maps, {}, None, "t", "s", PAGE, np.array([200, 400]))
    beat = ecg.most_relevant_beat()
    assert beat is not None
    np.testing.assert_array_equal(beat.maps["ig"], maps["ig"][:, 352:472])
    assert "beat at 4.00 s" in beat.subtitle
    assert EcgMaps(ecg.beat, maps, {}, None, "t", "s", PAGE).most_relevant_beat() is None


def test_a_beat_of_a_recording_is_drawn_as_a_median_beat_is() -> None:
    of_beat = SignalFormat(TWELVE_LEADS, 100, 120, fiducial=48)
    beat, mask = made(of_beat), np.zeros(of_beat.shape, dtype=np.bool_)
    mask[0, 30:60] = True
    example = ClassBeat(beat, "archive", "a", 75.0, ["SR"], {"QRS": mask}, of_beat)
    figures = (
        ecg_figure(beat, signal_format=of_beat, fiducial=True),
        map_figure(beat, noise(of_beat), method="ig", signed=True, evidence=mask, columns=2, signal_format=of_beat),
        classes_figure({"real": [example]}, title="t"),
    )
    for figure in figures:
        traces = [(axes, line) for axes in figure.axes for line in axes.lines if len(line.get_xdata()) == 120]
        assert len(traces) == 12
        for (axes, line), lead in zip(traces, beat, strict=True):
            np.testing.assert_allclose(line.get_xdata(), np.arange(120) / 100)
            drawn = np.asarray(line.get_ydata())
            np.testing.assert_allclose(drawn - drawn[0], lead - lead[0], atol=1e-12)
            np.testing.assert_allclose(millimetres(axes, (0, 0), (1, 1)), [25, 10])
        assert set(TWELVE_LEADS) <= set(texts(figure))
    assert "dotted: fiducial of the QRS complex, 0.48 s" in texts(figures[0])
    with pytest.raises(ValueError, match="ECG b: expected 12 leads x 120 samples at 100 Hz"):
        classes_figure({"real": [example, ClassBeat(made(FRANK), "archive", "b", 75.0, [], {}, FRANK)]}, title="t")
