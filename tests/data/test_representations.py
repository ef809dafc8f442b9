"""Windows of recordings: what they hold, against what the recording says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ecg import synthetic

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.prepare import cache_hash, cache_settings, prepare
from ecg_lightning.data.regions import WINDOWS_MS, segments_between, wave_labels, windows
from ecg_lightning.data.representations import TWELVE_LEADS, MedianBeats, RecordingWindow
from ecg_lightning.data.shards import PrepareSettings
from ecg_lightning.data.sources import Entry, Recording, Source, Synthetic
from ecg_lightning.ecg import LEADS, MEDIAN_BEAT, SignalFormat
from ecg_lightning.signal.errors import MissingLeadError, TooShortError
from ecg_lightning.signal.window import cut_window


class OneRecording(Source):
    """A source of one recording."""

    name = "one"

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def entries(self) -> list[Entry]:
        return [Entry("1", "1", 50.0, "male", {"sinus_rhythm": 1.0})]

    def read(self, entry: Entry) -> Recording:
        return self.recording

    def settings(self) -> dict[str, object]:
        return {}


def recording(rate: float = 500.0, seconds: float = 10.0, leads: tuple[str, ...] = LEADS) -> Recording:
    made = synthetic(rate=rate, seconds=seconds).recording
    rows = [made.signal[LEADS.index(lead)] if lead in LEADS else 0.5 * made.signal[1] for lead in leads]
    return Recording(np.stack(rows), rate, leads)


def test_limb_leads_are_derived_and_no_other() -> None:
    wanted = RecordingWindow(sampling_rate=500.0, seconds=4.0).format
    window = cut_window(recording(), wanted)
    by_lead = dict(zip(TWELVE_LEADS, window.signal, strict=True))
    np.testing.assert_allclose(by_lead["III"], by_lead["II"] - by_lead["I"], atol=1e-12)
    np.testing.assert_allclose(by_lead["aVR"] + by_lead["aVL"] + by_lead["aVF"], 0.0, atol=1e-12)
    with pytest.raises(MissingLeadError, match=r"V2 missing: I, V2 are needed, the recording has I, II, V1"):
        cut_window(recording(leads=("I", "II", "V1")), SignalFormat(("I", "V2"), 500.0, 1000))


def test_other_leads_go_by_their_own_names() -> None:
    frank = recording(leads=("X", "Y", "Z"))
    window = cut_window(frank, SignalFormat(("Z", "X"), 500.0, 2000))
    np.testing.assert_array_equal(window.signal, frank.signal[[2, 0], :2000])
    assert len(window.r_peaks) >= 3


@settings(max_examples=15)
@given(start=st.floats(0.0, 4.0), seconds=st.floats(2.0, 6.0))
def test_a_window_is_the_recording_from_its_start_on(start: float, seconds: float) -> None:
    whole = recording()
    wanted = RecordingWindow(leads=LEADS, sampling_rate=500.0, seconds=seconds, start=start)
    window = cut_window(whole, wanted.format, start=start)
    first = round(500 * start)
    np.testing.assert_array_equal(window.signal, whole.signal[:, first : first + wanted.format.samples])
    all_peaks = cut_window(whole, SignalFormat(LEADS, 500.0, 5000)).r_peaks - first
    np.testing.assert_array_equal(window.r_peaks, all_peaks[(all_peaks >= 0) & (all_peaks < wanted.format.samples)])


def test_r_peaks_and_rate_do_not_depend_on_the_rate_of_the_window() -> None:
    fine, coarse = (cut_window(recording(), SignalFormat(LEADS, rate, round(10 * rate))) for rate in (500.0, 100.0))
    np.testing.assert_allclose(fine.r_peaks / 500, coarse.r_peaks / 100, atol=0.005 + 1e-9)
    assert fine.heart_rate == pytest.approx(coarse.heart_rate, abs=0.2)


def test_a_recording_that_ends_before_the_window_is_refused_or_filled_up() -> None:
    wanted = SignalFormat(LEADS, 500.0, 6000)
    with pytest.raises(TooShortError, match=r"lasts 10\.00 s, the window 12 s from 0 s on: .*`pad: true`"):
        cut_window(recording(), wanted)
    padded = cut_window(recording(), wanted, pad=True)
    assert not padded.signal[:, 5000:].any()
    assert padded.r_peaks.max() < 5000
    with pytest.raises(TooShortError, match="from 11 s on"):
        cut_window(recording(), SignalFormat(LEADS, 500.0, 500), start=11.0, pad=True)


def test_asystole_is_an_ecg_without_beats() -> None:
    drift = np.sin(np.arange(5000) / 700)[None] * np.linspace(0.5, 1.0, 8)[:, None]
    window = cut_window(Recording(drift, 500.0, LEADS), SignalFormat(LEADS, 500.0, 5000))
    assert len(window.r_peaks) == 0
    assert np.isnan(window.heart_rate)


def test_filters_are_run_on_the_whole_recording() -> None:
    made = recording()
    drift = Recording(made.signal + 1.0, 500.0, LEADS)
    window = RecordingWindow(leads=LEADS, sampling_rate=500.0, seconds=2.0, start=4.0, high_pass=0.5)
    ecg = window.of(OneRecording(drift), OneRecording(drift).entries()[0])
    plain = window.of(OneRecording(made), OneRecording(made).entries()[0])
    np.testing.assert_allclose(ecg.signal, plain.signal, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"leads": ("I", "I")}, "leads: expected different names"),
        ({"seconds": 0.001}, "expected samples and a rate"),
        ({"low_pass": 60.0}, r"low_pass: expected a frequency between 0 and 50 Hz, got 60"),
        ({"start": -1.0}, "start: expected seconds from 0 on"),
    ],
)
def test_impossible_windows_are_refused(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RecordingWindow(**arguments)  # type: ignore[arg-type]


def test_one_window_has_one_key_however_it_is_written() -> None:
    one = RecordingWindow(leads=("I", "aVR", "V1"), sampling_rate=100.0, seconds=10.0)
    other = RecordingWindow(leads=("I", "AVR", "C1"), sampling_rate=100, seconds=10)
    assert one == other
    assert cache_hash(one.settings()) == cache_hash(other.settings())


def test_a_cache_of_windows_keeps_format_peaks_and_regions(tmp_path: Path) -> None:
    mask = np.zeros((8, 5000), dtype=np.bool_)
    mask[:, 1000:1040] = True
    made = recording()
    source = OneRecording(Recording(made.signal, 500.0, LEADS, {"QRS": mask}))
    window = RecordingWindow(sampling_rate=100.0, seconds=9.5)
    cache = prepare(source, tmp_path, representation=window, processes=1, progress=False)
    again = BeatCache.open(cache.folder)
    assert again.signal_format == window.format
    assert again.read_beats(np.array([0])).shape == (1, 12, 950)
    expected = cut_window(source.recording, window.format)
    np.testing.assert_array_equal(again.examples["r_peaks"][0], expected.r_peaks)
    packed, present = again.masks("QRS")
    inside = np.unpackbits(packed[0], axis=-1, count=950).astype(np.bool_)
    assert present[0]
    np.testing.assert_array_equal(np.flatnonzero(inside.any(axis=0)), np.arange(200, 208))


@pytest.mark.parametrize(("start", "seconds", "known"), [(1.0, 8.0, True), (0.9, 8.0, False), (1.0, 8.1, False)])
def test_marks_of_a_part_are_known_where_they_cover_the_window(start: float, seconds: float, known: bool) -> None:
    made = synthetic(with_masks=True).recording
    marked = replace(made, marked=(500, 4500))
    wanted = RecordingWindow(leads=LEADS, sampling_rate=500.0, seconds=seconds, start=start).format
    assert bool(cut_window(marked, wanted, start=start).wave_masks) == known
    assert cut_window(made, wanted, start=start).wave_masks["QRS"].any()


def test_median_beats_keep_their_key() -> None:
    """The hash of version 0.3, so that older caches are found."""
    settings = cache_settings(Synthetic(n_patients=40), PrepareSettings())
    assert settings["beat"] == {"neighbours": "keep", "min_age": 16.0}
    assert set(settings) == {"source", "source_settings", "beat", "pipeline_version", "format"}
    other = cache_settings(Synthetic(n_patients=40), PrepareSettings(RecordingWindow()))
    assert cache_hash(settings) != cache_hash(other)


def test_blanked_neighbours_are_for_median_beats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="blank is for median beats"):
        prepare(OneRecording(recording()), tmp_path, neighbours="blank", representation=RecordingWindow())
    with pytest.raises(ValueError, match="neighbours: expected one of"):
        MedianBeats("drop")  # type: ignore[arg-type]


def test_windows_of_waves_follow_the_beats() -> None:
    """Around each R peak as around the fiducial of a median beat, where beats are far apart."""
    at_fiducial = windows(MEDIAN_BEAT)
    strip = windows(SignalFormat(LEADS, 500.0, 3000), np.array([900, 2100]))
    for name in WINDOWS_MS:
        if name != "elsewhere":
            for peak in (900, 2100):
                near = slice(peak - MEDIAN_BEAT.fiducial, peak + 360)  # type: ignore[operator]
                np.testing.assert_array_equal(strip[name][near], at_fiducial[name])
    assert windows(SignalFormat(LEADS, 500.0, 100), np.empty(0, dtype=np.int64))["elsewhere"].all()


def test_labels_of_a_recording_are_of_every_beat(tmp_path: Path) -> None:
    source = OneRecording(recording())
    cache = prepare(source, tmp_path, representation=RecordingWindow(), processes=1, progress=False)
    labels = wave_labels(cache, np.array([0]))
    assert labels.shape == (1, 12, 1000)
    qrs = list(WINDOWS_MS).index("QRS")
    assert (labels[0, 0, cache.examples["r_peaks"][0]] == qrs).all()


waves = st.lists(st.sampled_from("P.QT"), min_size=1, max_size=60)


@given(waves)
def test_segments_between_waves_agree_with_a_walk(letters: list[str]) -> None:
    first, second = (np.array([one == letter for one in letters]) for letter in "PQ")
    found = segments_between(first, second, sampling_rate=100.0)
    expected = np.zeros(len(letters), dtype=np.bool_)
    last: tuple[str, int] | None = None
    for place, letter in enumerate(letters):
        if letter in "PQ":
            if letter == "Q" and last is not None and last[0] == "P" and 10 * (place - last[1]) <= 400:
                expected[last[1] + 1 : place] = True
            last = letter, place
    np.testing.assert_array_equal(found, expected)
