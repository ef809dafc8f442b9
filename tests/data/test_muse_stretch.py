"""A median that a converter has cut out of the rhythm is told from one of several beats, whatever was done to it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from muse_files import STEP, MuseEcg, steps, write_muse
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, lfilter
from synthetic_ecg import synthetic

from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources import Muse, Synthetic
from ecg_lightning.data.sources.muse_median import vendor_beat
from ecg_lightning.data.sources.muse_stretch import find_stretch
from ecg_lightning.data.sources.muse_xml import read_tree
from ecg_lightning.data.sources.vendor_median import MedianError
from ecg_lightning.signal.align import shifted_windows
from ecg_lightning.signal.beat import MedianBeat, median_beat
from ecg_lightning.signal.recording import Recording

Signal = NDArray[np.float64]
Cut = Callable[[Signal, slice], Signal]

NOISE = 0.02  # mV
"""White; muscle noise of a quiet patient."""


def rounded(signal: Signal, step: float = STEP * 1e-3) -> Signal:
    return np.asarray(np.rint(signal / step) * step)


def filtered(order: int, hertz: float, kind: str, twice: bool) -> Cut:
    numerator, denominator = butter(order, hertz, kind, fs=500.0)
    run = filtfilt if twice else lfilter
    return lambda rhythm, where: np.asarray(run(numerator, denominator, rhythm, axis=1))[:, where]


def at_half_the_rate(rhythm: Signal, where: slice) -> Signal:
    slow = rounded(rhythm[:, where][:, ::2])
    out = np.repeat(slow, 2, axis=1)
    out[:, 1:-1:2] = 0.5 * (slow[:, :-1] + slow[:, 1:])
    return out


CUTS: dict[str, Cut] = {
    "as it is": lambda rhythm, where: rhythm[:, where],
    "another gain": lambda rhythm, where: 0.63 * rhythm[:, where],
    "a gain for each lead": lambda rhythm, where: np.linspace(0.5, 2.0, 8)[:, None] * rhythm[:, where],
    "without its mean": lambda rhythm, where: rhythm[:, where] - rhythm[:, where].mean(axis=1, keepdims=True),
    "without its slope": lambda rhythm, where: rhythm[:, where] - np.linspace(-0.4, 0.3, 600),
    "half a sample later": lambda rhythm, where: 0.5 * (rhythm[:, where] + np.roll(rhythm, -1, axis=1)[:, where]),
    "at 250 Hz": at_half_the_rate,
    "below 40 Hz": filtered(2, 40.0, "low", twice=True),
    "below 35 Hz by one pass": filtered(2, 35.0, "low", twice=False),
    "above .5 Hz": filtered(1, 0.5, "high", twice=True),
    "above .3 Hz by one pass": filtered(1, 0.3, "high", twice=False),
}


def recording(seed: int, rate: float = 76.0, noise: float = NOISE) -> Recording:
    """Beats that differ by noise and by breathing."""
    plain = synthetic(rate, noise=noise, seed=seed, first_r=0.53).recording
    breath = 1.0 + 0.05 * np.sin(np.arange(5000) / 500.0 * 2 * np.pi * 0.25)
    return replace(plain, signal=rounded(plain.signal * breath))


def averaged(source: Recording, over: Callable[..., Signal], beats: slice = slice(None)) -> Signal:
    found = median_beat(source)
    times = np.rint(found.fiducials[1:-1])[beats]
    return over(shifted_windows(source.signal, times, 240, 359, fill=0.0), axis=0)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("start", [0, 1, 77, 1400, 3333, 4400])
def test_a_stretch_is_found_wherever_it_was_cut_out(cut: str, start: int) -> None:
    source = recording(seed=start)
    found = find_stretch(rounded(CUTS[cut](source.signal, slice(start, start + 600))), source.signal)
    assert found is not None
    assert found.start == pytest.approx(start / 500.0, abs=0.012)  # a filter of one pass is late
    assert found.residual < 0.45 * found.others


@pytest.mark.parametrize("rate", [45.0, 76.0, 118.0])
@pytest.mark.parametrize("noise", [0.004, NOISE, 0.08])
@pytest.mark.parametrize("seed", range(3))
def test_medians_and_averages_are_no_stretches(rate: float, noise: float, seed: int) -> None:
    source = recording(seed, rate, noise)
    for beat in (median_beat(source).beat, averaged(source, np.median), averaged(source, np.mean)):
        assert find_stretch(rounded(beat), source.signal) is None
        assert find_stretch(at_half_the_rate(beat, slice(0, 600)), source.signal) is None
    assert find_stretch(rounded(averaged(source, np.mean, slice(0, 3))), source.signal) is None


def test_simulated_patients() -> None:
    """Arrhythmias, ectopic beats, paced beats: no median is called a stretch, every cut is."""
    source = Synthetic(n_patients=20, evidence=False)
    for entry in source.entries()[:40]:
        read = source.read(entry)
        rhythm, found = rounded(read.signal), source.beat(entry)
        assert find_stretch(rounded(found.beat), rhythm) is None, entry.ecg_id
        assert find_stretch(rhythm[:, :600], rhythm) is not None, entry.ecg_id
        start = round(found.fiducials[2]) - 240
        assert find_stretch(rounded(0.8 * rhythm[:, start : start + 600]), rhythm) is not None, entry.ecg_id


@pytest.mark.parametrize("rate", [60.0, 76.0, 118.0])
def test_one_quiet_beat_among_noisy_ones_is_no_proof(rate: float) -> None:
    """The median is nearer to it than to the others, but not as near as a copy."""
    for seed in range(6):
        source = recording(seed, rate, noise=0.0)
        times = np.rint(median_beat(source).fiducials)
        quiet = slice(int(times[len(times) // 2]) - 130, int(times[len(times) // 2]) + 230)
        noisy = source.signal + 0.1 * np.random.default_rng(seed).standard_normal(source.signal.shape)
        noisy[:, quiet] = source.signal[:, quiet]
        beats = shifted_windows(noisy, times[1:-1], 240, 359, fill=0.0)
        assert find_stretch(rounded(np.median(beats, axis=0)), rounded(noisy)) is None


def test_without_noise_or_without_beats_nothing_is_known() -> None:
    regular = synthetic(75.0, noise=0.0, first_r=0.48).recording.signal  # every beat is the median, to the bit
    assert find_stretch(rounded(regular[:, 800:1400]), rounded(regular)) is None
    for rhythm in (np.zeros((8, 5000)), np.ones((8, 599)), rounded(regular)[:, :599]):
        assert find_stretch(rounded(regular[:, 800:1400]), rhythm) is None


def test_a_file_whose_median_is_its_rhythm_is_rejected(tmp_path: Path) -> None:
    source = recording(seed=5)
    rhythm = steps(source.signal)
    for name, median in {"cut": rhythm[:, 30:630], "true": steps(median_beat(source).beat)}.items():
        write_muse(tmp_path / f"root/{name}.xml", MuseEcg(median=median, rhythm=rhythm))
    with pytest.raises(
        MedianError, match=r"the Median waveform is the Rhythm from 0.060 s on, which .* converter has cut"
    ):
        vendor_beat(read_tree(tmp_path / "root/cut.xml"), tmp_path / "root/cut.xml")
    cache = prepare(Muse(tmp_path / "root"), tmp_path / "cache", processes=1, progress=False)
    assert cache.examples["ecg_id"].tolist() == ["true.xml"]
    assert cache.rejected["reason_kind"].tolist() == ["median"]
    own = prepare(Muse(tmp_path / "root", beats="own"), tmp_path / "cache", processes=1, progress=False)
    assert len(own) == 2


@pytest.mark.parametrize("fault", ["damaged", "at 250 Hz", "with gaps", "none"])
def test_a_rhythm_that_can_not_be_read_costs_no_median(tmp_path: Path, fault: str) -> None:
    source = recording(seed=6)
    rhythm, median = steps(source.signal), steps(median_beat(source).beat)
    if fault == "with gaps":
        rhythm[:, 100:900] = -32768
    path = write_muse(tmp_path / "a.xml", MuseEcg(median=median, rhythm=None if fault == "none" else rhythm))
    if fault == "damaged":
        before, last = path.read_text("latin-1").rsplit("<WaveFormData>", 1)
        path.write_text(f"{before}<WaveFormData>***{last}", "latin-1")
    beat: MedianBeat = vendor_beat(read_tree(path), path)
    np.testing.assert_array_equal(beat.beat, median * (STEP * 1e-3))
    assert beat.remark == ""
