"""Every beat once and nothing else, on ECGs that mislead detectors."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import stress_ecgs
from beat_detection import annotated, compare, stress_differences

from ecg_lightning.data.sources import Ludb, PtbXl
from ecg_lightning.ecg import LEADS
from ecg_lightning.signal.beat import median_beat
from ecg_lightning.signal.recording import Recording

MADE = [made for made in stress_ecgs.stress_ecgs(4) if made.kind not in ("leads off for a while", "mains")]


@pytest.mark.parametrize("made", MADE, ids=[f"{k}-{made.kind}" for k, made in enumerate(MADE)])
def test_no_beat_is_missed_and_none_is_false(made: stress_ecgs.StressEcg) -> None:
    try:
        result = median_beat(made.recording)
    except ValueError:
        assert made.kind == "zeros before and behind"  # too little of it is left
        return
    missed, false = stress_differences(made, result.r_peaks.astype(np.float64))
    assert (missed.tolist(), false.tolist()) == ([], [])


@pytest.mark.parametrize("rate", [26.0, 31.0, 38.0])
def test_t_waves_of_a_slow_rhythm_do_not_count(rate: float) -> None:
    times = stress_ecgs.every(rate, 3)
    waves = stress_ecgs.narrow(0.8, t=0.0)
    waves[-1] = (0.36, 0.03, tuple(waves[1][2]), 0.9)
    signal = stress_ecgs.drawn(times, [waves] * len(times), 3)
    inside = times[(times > 0.1) & (times < 9.9)]
    result = median_beat(Recording(signal, 500.0, LEADS))
    assert result.heart_rate == pytest.approx(60 * (len(inside) - 1) / np.ptp(inside), abs=0.3)


@pytest.mark.parametrize(("size", "samples"), [(-2.0, 1), (6.0, 1), (10.0, 2)])
def test_an_atrial_spike_is_no_beat(size: float, samples: int) -> None:
    times = stress_ecgs.every(64.0, 5, 0.0)
    signal = stress_ecgs.drawn(times, [stress_ecgs.narrow(0.6)] * len(times), 5)
    for at in times[times > 0.3]:
        first = round((at - 0.19) * 500)
        signal[:, first : first + samples] += size
    assert median_beat(Recording(signal, 500.0, LEADS)).heart_rate == pytest.approx(64.0, abs=0.5)


def test_a_ventricular_beat_as_blunt_as_a_t_wave_counts() -> None:
    """It does not follow every beat at one distance."""
    times = stress_ecgs.every(60.0, 7, 0.0)
    beats = [stress_ecgs.narrow(1.0)] * len(times)
    times[6] -= 0.42
    beats[6] = stress_ecgs.wide(0.5, width=0.03)
    result = median_beat(Recording(stress_ecgs.drawn(times, beats, 7), 500.0, LEADS))
    assert np.abs(result.r_peaks - 500 * times[6]).min() < 45


@pytest.mark.parametrize("share", [0.3, 0.5, 0.6])
def test_zeros_behind_add_no_beat(share: float) -> None:
    made = stress_ecgs.other_rate(3)  # 1000 Hz
    signal = made.recording.signal.copy()
    kept = int((1.0 - share) * signal.shape[1])
    signal[:, kept:] = 0.0
    result = median_beat(Recording(signal, 1000.0, LEADS))
    assert result.r_peaks.max() <= kept // 2 + 2
    expected = made.beats[made.beats < kept / 1000]
    assert abs(len(result.r_peaks) - len(expected)) <= 1


@pytest.mark.parametrize(("archive", "ecg_id", "sample"), [("ptbxl", "2", 503), ("ludb", "59", 547)])
def test_clear_beats_of_real_ecgs_that_were_lost(data_root: Path, archive: str, ecg_id: str, sample: int) -> None:
    source = {"ptbxl": PtbXl, "ludb": Ludb}[archive](data_root / archive)
    entry = next(entry for entry in source.entries() if entry.ecg_id.rsplit("/")[-1] == ecg_id)
    assert np.abs(median_beat(source.read(entry)).r_peaks - sample).min() < 20


def test_every_annotated_qrs_complex_is_found_once(data_root: Path) -> None:
    source = Ludb(data_root / "ludb")
    counts = []
    for entry in source.entries()[::4]:
        marks = annotated(data_root / "ludb" / "data" / entry.ecg_id.rsplit("/")[-1])
        counts.append(compare(entry.ecg_id, median_beat(source.read(entry)), marks))
    beats, missed, false = np.array(counts).sum(axis=0)
    assert beats > 200
    assert (missed, false) == (0, 0)
