"""The waveforms of a MUSE export, to the step, 12SL's beat, and everything that may be wrong with them."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from muse_files import STEP, MuseEcg, document, steps, write_muse
from synthetic_ecg import TWELVE_LEADS, one_beat, synthetic, twelve_leads

from ecg_lightning.data.sources.base import RecordingError
from ecg_lightning.data.sources.muse_median import qrs_marks, vendor_beat
from ecg_lightning.data.sources.muse_waveforms import read_waveform
from ecg_lightning.data.sources.muse_xml import read_tree
from ecg_lightning.data.sources.vendor_median import MedianError, QrsMarks
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.data.sources.wfdb_files import UnitError
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, LEADS
from ecg_lightning.signal.beat import MedianBeat
from ecg_lightning.signal.errors import FlatLeadError, MissingLeadError, NotFiniteError, SamplingRateError, VoltageError

TIME = (np.arange(BEAT_SAMPLES) - FIDUCIAL_SAMPLE) / 500.0
MEDIAN = steps(one_beat(TIME))  # (8, 600)
RHYTHM = steps(synthetic(70.0).recording.signal)  # (8, 5000)
ECG = MuseEcg(median=MEDIAN, rhythm=RHYTHM)
WHOLE_STEPS = hnp.arrays(np.int16, (8, 20), elements=st.integers(-32767, 32767))


def beat_of(path: Path, **settings: bool) -> MedianBeat:
    return vendor_beat(read_tree(path), path, **settings)


def changed(path: Path, *pairs: tuple[str, str], encoding: str = "ISO-8859-1", ecg: MuseEcg = ECG) -> Path:
    """A file with some of its text replaced, each where it first stands."""
    text = document(ecg)
    for old, new in pairs:
        assert re.search(old, text), old
        text = re.sub(old, new, text, count=1)
    path.write_bytes(text.encode(encoding))
    return path


@given(waveform=WHOLE_STEPS)
def test_steps_come_back_exactly(tmp_path_factory: pytest.TempPathFactory, waveform: np.ndarray) -> None:
    path = write_muse(tmp_path_factory.mktemp("muse") / "a.xml", MuseEcg(rhythm=waveform))
    recording = read_waveform(read_tree(path), "Rhythm", path)
    assert recording is not None
    np.testing.assert_allclose(recording.signal / (STEP * 1e-3), waveform, rtol=1e-12)
    assert (recording.leads, recording.sampling_rate) == (LEADS, 500.0)


def test_the_vendor_s_beat_is_used_as_it_is(tmp_path: Path) -> None:
    beat = beat_of(write_muse(tmp_path / "a.xml", ECG))
    np.testing.assert_array_equal(beat.beat, MEDIAN * (STEP * 1e-3))
    assert beat.heart_rate == 60.0
    np.testing.assert_allclose(beat.beat, one_beat(TIME), atol=STEP * 1e-3 / 2)


def test_a_beat_at_250_hz_is_interpolated_linearly(tmp_path: Path) -> None:
    half = MuseEcg(median=MEDIAN[:, ::2], rate=250.0)  # QOnset still counts at ECGSampleBase, 500 Hz
    beat = beat_of(write_muse(tmp_path / "a.xml", half)).beat / (STEP * 1e-3)
    np.testing.assert_allclose(beat[:, ::2], MEDIAN[:, ::2])
    np.testing.assert_allclose(beat[:, 1:-2:2], (MEDIAN[:, :-2:2] + MEDIAN[:, 2::2].astype(float)) / 2)
    np.testing.assert_allclose(beat[:, -1], MEDIAN[:, -2])


def test_sample_exponent(tmp_path: Path) -> None:
    path = changed(tmp_path / "a.xml", ("<SampleBase>500", "<SampleBase>5"), ("<SampleExponent>0", "<SampleExponent>2"))
    np.testing.assert_array_equal(beat_of(path).beat, MEDIAN * (STEP * 1e-3))


@pytest.mark.parametrize(
    ("onset", "offset", "base", "marks"),
    [
        ("219", "261", "500", (219.0, 261.0)),
        ("110", "130", "250", (220.0, 260.0)),
        ("", "261", "500", None),
        ("0", "0", "500", None),
        ("219", "261", "0", None),
        ("219", "219", "500", None),
        ("1", "599", "500", None),
    ],
)
def test_wave_boundaries_count_at_their_own_rate(
    tmp_path: Path, onset: str, offset: str, base: str, marks: tuple[float, float] | None
) -> None:
    measurements = {"QOnset": onset, "QOffset": offset, "ECGSampleBase": base}
    assert qrs_marks(read_tree(write_muse(tmp_path / "a.xml", replace(ECG, measurements=measurements)))) == marks


def ends(onset: int, offset: int) -> dict[str, str]:
    return {"QOnset": str(onset), "QOffset": str(offset), "ECGSampleBase": "500"}


@given(away=st.integers(-50, 50), known=st.booleans())
def test_a_beat_off_its_place_is_moved_there(tmp_path_factory: pytest.TempPathFactory, away: int, known: bool) -> None:
    shifted = steps(one_beat(TIME - away / 500.0))
    path = tmp_path_factory.mktemp("muse") / "a.xml"
    measurements = ends(219 + away, 261 + away) if known else {}
    found = beat_of(write_muse(path, MuseEcg(median=shifted, measurements=measurements)))
    steepest = int(np.linalg.norm(np.gradient(shifted.astype(float), axis=1), axis=0).argmax()) - 240
    nearer = abs(steepest - away) < abs(steepest)  # the marks are right, but within 20 ms it is 12SL's own place
    moved = away if known and abs(away) > 10 and nearer else 0
    inside = slice(50, -50)
    np.testing.assert_array_equal(found.beat[:, inside], np.roll(shifted, -moved, axis=1)[:, inside] * (STEP * 1e-3))
    edge = 0 if moved < 0 else -1
    np.testing.assert_array_equal(found.beat[:, edge], shifted[:, edge] * (STEP * 1e-3))
    assert found.remark == (QrsMarks().not_where_marked if known and abs(away) > 10 and not nearer else "")


def paced(onset: int, offset: int) -> np.ndarray:
    """A wide QRS complex of two slopes between two samples, behind a pacing spike."""
    at = np.arange(BEAT_SAMPLES)[None]
    wide = np.sin(np.clip((at - onset) / (offset - onset), 0.0, 1.0) * 2 * np.pi) * np.linspace(0.8, 1.6, 8)[:, None]
    spike = np.where((at >= onset - 6) & (at < onset - 5), 2.0, 0.0)
    return steps(wide + spike + 0.2 * np.exp(-0.5 * ((at - onset - 170) / 25) ** 2))


@pytest.mark.parametrize("marks", [(251, 315), (258, 330), (160, 200), (150, 205), (266, 460)])
def test_marks_that_are_another_wave_s_move_no_beat(tmp_path: Path, marks: tuple[int, int]) -> None:
    median = paced(204, 264)
    found = beat_of(write_muse(tmp_path / "a.xml", MuseEcg(median=median, measurements=ends(*marks))))
    np.testing.assert_array_equal(found.beat, median * (STEP * 1e-3))
    assert found.remark == QrsMarks().not_where_marked


def test_a_paced_beat_with_right_marks_is_moved(tmp_path: Path) -> None:
    median = paced(240, 300)
    found = beat_of(write_muse(tmp_path / "a.xml", MuseEcg(median=median, measurements=ends(240, 300))))
    np.testing.assert_array_equal(found.beat[:, :-30], median[:, 30:] * (STEP * 1e-3))
    assert found.remark == ""


def test_a_beat_that_lies_badly_and_is_marked_badly_is_rejected(tmp_path: Path) -> None:
    path = write_muse(tmp_path / "a.xml", MuseEcg(median=np.roll(MEDIAN, 150, axis=1), measurements=ends(251, 315)))
    with pytest.raises(MedianError, match=r"steepest at 0.7.. s, expected its QRS complex within 100 ms of 0.48 s"):
        beat_of(path)


@pytest.mark.parametrize(
    ("median", "message"),
    [
        (None, "no Median waveform"),
        (MEDIAN[:, :500], r"has 500 samples at 500 Hz, expected 1.2 s \(600 at 500 Hz\)"),
        (np.roll(MEDIAN, 150, axis=1), "steepest at 0.7.. s, expected its QRS complex within 100 ms of 0.48 s"),
    ],
)
def test_medians_that_do_not_fit(tmp_path: Path, median: np.ndarray | None, message: str) -> None:
    path = write_muse(tmp_path / "a.xml", replace(ECG, median=median))
    with pytest.raises(MedianError, match=f"a.xml: .*{message}.*make the beats from the rhythm"):
        beat_of(path)


def test_a_median_whose_qrs_complex_is_elsewhere_and_marked_there(tmp_path: Path) -> None:
    early = replace(ECG, median=np.roll(MEDIAN, -120, axis=1), measurements=ends(99, 141))
    with pytest.raises(
        MedianError, match=r"QOnset and QOffset place .* at 0.240 s, and it is steepest there; expected"
    ):
        beat_of(write_muse(tmp_path / "a.xml", early))


@pytest.mark.parametrize("rate", ["", "0", "-1", "inf", "n/a"])
def test_a_rate_that_is_not_said(tmp_path: Path, rate: str) -> None:
    path = write_muse(tmp_path / "a.xml", replace(ECG, measurements={"VentricularRate": rate}))
    assert np.isnan(beat_of(path).heart_rate)


def test_leads_in_any_order_and_more_of_them(tmp_path: Path) -> None:
    twelve = steps(twelve_leads(MEDIAN * (STEP * 1e-3)))[::-1]
    path = write_muse(tmp_path / "a.xml", replace(ECG, median=twelve, rhythm=None, leads=TWELVE_LEADS[::-1]))
    np.testing.assert_array_equal(beat_of(path).beat, MEDIAN * (STEP * 1e-3))
    pediatric = np.concatenate([MEDIAN, MEDIAN[:3]])
    path = write_muse(
        tmp_path / "b.xml", replace(ECG, median=pediatric, rhythm=None, leads=(*LEADS, "V3R", "V4R", "V7"))
    )
    np.testing.assert_array_equal(beat_of(path).beat, MEDIAN * (STEP * 1e-3))


def test_i_and_ii_from_the_other_limb_leads(tmp_path: Path) -> None:
    ten = steps(twelve_leads(MEDIAN * (STEP * 1e-3)))[2:]
    path = write_muse(tmp_path / "a.xml", replace(ECG, median=ten, rhythm=None, leads=TWELVE_LEADS[2:]))
    np.testing.assert_allclose(beat_of(path).beat, MEDIAN * (STEP * 1e-3), atol=1.5 * STEP * 1e-3)


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        (
            [("<LeadAmplitudeUnits>MICROVOLTS", "<LeadAmplitudeUnits>MMHG")],
            UnitError,
            "Median lead I: unit MMHG, expected",
        ),
        ([("<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits>", "")], UnitError, "lead I: unit not said"),
        ([("PerBit>4.88", "PerBit>-10")], UnitError, "lead I: -10 MICROVOLTS a step, expected a positive number"),
        ([("PerBit>4.88", "PerBit>")], UnitError, "lead I: nothing MICROVOLTS a step"),
        ([("<LeadAmplitudeUnits>MICROVOLTS", "<LeadAmplitudeUnits>MILLIVOLTS")], VoltageError, "more than 20 mV"),
        ([("<LeadID>V3<", "<LeadID>V9<")], MissingLeadError, "lead V3 missing"),
        ([("<LeadID>V3<", "<LeadID>V4<")], MissingLeadError, "lead V3 missing|V4 is there twice"),
        ([(r"(?s)<WaveFormData>.*?</WaveFormData>", "<WaveFormData/>")], MissingLeadError, "lead I.* missing"),
        ([(r"(?s)<LeadData>.*</LeadData>", "")], MissingLeadError, "the Median waveform holds no lead with samples"),
        (
            [("<WaveFormData>\n....", "<WaveFormData>\n")],
            UnreadableError,
            "1197 bytes of samples, LeadByteCountTotal says 1200",
        ),
        (
            [("<WaveFormData>\n....", "<WaveFormData>\n***=")],
            UnreadableError,
            "Median lead I: WaveFormData is not base64",
        ),
        ([("<WaveFormData>\n....", "<WaveFormData>\nabcd")], UnreadableError, "CRC-32 is .*, the file says"),
        (
            [("CountTotal>600", "CountTotal>601")],
            UnreadableError,
            "1200 bytes of samples, LeadSampleCountTotal says 601",
        ),
        ([("SampleSize>2", "SampleSize>4")], UnreadableError, "4 bytes a sample, expected 2"),
        ([("SampleBaseline>0", "SampleBaseline>100")], UnreadableError, "FirstSampleBaseline is 100, expected 0"),
        ([("FirstSample>0", "FirstSample>250")], UnreadableError, "LeadOffsetFirstSample is 250, expected 0"),
        ([("<SampleBase>500", "<SampleBase>")], SamplingRateError, "sampling rate nan Hz"),
        ([("WaveformType>Rhythm", "WaveformType>Median")], UnreadableError, "holds 2 Median waveforms, expected one"),
    ],
)
def test_what_is_wrong_is_told(
    tmp_path: Path, pairs: list[tuple[str, str]], error: type[RecordingError], message: str
) -> None:
    path = changed(tmp_path / "a.xml", *pairs)
    with pytest.raises(error, match=message):
        beat_of(path)


@pytest.mark.parametrize(
    ("lead", "value", "error"), [(2, -32768, NotFiniteError), (5, 32767, VoltageError), (slice(3, 4), 0, FlatLeadError)]
)
def test_signals_that_are_none(tmp_path: Path, lead: int | slice, value: int, error: type[RecordingError]) -> None:
    median = MEDIAN.copy()
    median[lead, slice(None) if isinstance(lead, slice) else 300] = value
    with pytest.raises(error):
        beat_of(write_muse(tmp_path / "a.xml", replace(ECG, median=median)))


def test_leads_of_several_lengths(tmp_path: Path) -> None:
    shorter = write_muse(tmp_path / "b.xml", replace(ECG, median=MEDIAN[:, :590])).read_text("latin-1")
    first = r"(?s)<LeadData>.*?</LeadData>"
    lead = re.search(first, shorter)
    assert lead is not None
    with pytest.raises(UnreadableError, match=r"leads of the Median waveform differ in length \(I 590, II 600"):
        beat_of(changed(tmp_path / "a.xml", (first, lead[0].replace("\\", ""))))


def test_what_some_exports_leave_out_or_write_otherwise(tmp_path: Path) -> None:
    relaxed = {"LeadByteCountTotal": "", "LeadSampleCountTotal": "", "LeadDataCRC32": "0", "LeadSampleSize": ""}
    relaxed |= {"LeadAmplitudeUnitsPerBit": "4,88", "LeadHighLimit": "2147483647", "LeadLowLimit": "268435456"}
    path = write_muse(tmp_path / "a.xml", replace(ECG, lead_fields=relaxed))
    text = path.read_text("latin-1")
    assert "==\n" in text
    path.write_text(text.replace("==\n", "\n"), "latin-1")  # no padding
    np.testing.assert_array_equal(beat_of(path).beat, MEDIAN * (STEP * 1e-3))
    rhythm = read_waveform(read_tree(path), "Rhythm", path)
    assert rhythm is not None
    np.testing.assert_array_equal(rhythm.signal, RHYTHM * (STEP * 1e-3))
    wrong = write_muse(tmp_path / "b.xml", replace(ECG, lead_fields={"LeadDataCRC32": "1"}))
    np.testing.assert_array_equal(beat_of(wrong, check_crc=False).beat, MEDIAN * (STEP * 1e-3))
