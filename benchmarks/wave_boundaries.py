"""Do the simulator's P, QRS and T boundaries lie where cardiologists mark them?

Usage: ``python benchmarks/wave_boundaries.py [--ludb /data/ludb] [--ecgs 250] [--simulation-seed 0]``

One detector looks for the four boundaries in median beats of LUDB and of simulated ECGs, by the spatial slope alone.
It is biased, but by the same for both: the marks' median distance from what it finds must be the same. A wave lies
where the median over the leads in which it is marked says.

Bar: P onset, QRS onset, QRS offset and T offset within 3 ms of LUDB's.
"""

import argparse
import os
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources import Ludb, Source
from ecg_lightning.data.sources.synthetic import Synthetic
from ecg_lightning.ecg import FIDUCIAL_SAMPLE, SAMPLING_RATE
from ecg_lightning.signal.beat import MedianBeat, median_beat
from ecg_lightning.signal.filters import SLOPE_BAND, zero_phase
from ecg_lightning.signal.recording import RecordingError

BOUNDARIES: Final = ("P onset", "QRS onset", "QRS offset", "T offset")
MAX_DIFFERENCE: Final = 3.0
"""Of the simulator's median distance to LUDB's, ms."""
MIN_LEADS: Final = 5
_MS: Final = SAMPLING_RATE / 1000.0
_NEAR: Final = int(120 * _MS)  # how far a detection may lie from the mark
_QUIET: Final = int(8 * _MS)
_QRS_LEVEL: Final = 0.08  # of the wave's largest slope
_OTHER_LEVEL: Final = 0.30  # P and T rise more slowly, out of more noise

Interval = tuple[float, float]


def marked_waves(beat: MedianBeat) -> Mapping[str, Interval]:
    """Onset and end of the beat's own P, QRS and T, medians over the leads in which they are marked, samples."""
    qrs = _median_run(beat, "QRS", lambda run: abs(run[0] + run[1] - 2 * FIDUCIAL_SAMPLE))
    if qrs is None:
        return {}
    onset, end = qrs
    p = _median_run(beat, "P", lambda run: onset - run[0] if run[0] < onset else np.inf)
    t = _median_run(beat, "T", lambda run: run[1] - end if run[0] > end - _QUIET else np.inf)
    return {name: wave for name, wave in (("P", p), ("QRS", qrs), ("T", t)) if wave}


def _median_run(beat: MedianBeat, wave: str, distance: Callable[[Interval], float]) -> Interval | None:
    """Median over leads of the nearest stretch of a wave; None where fewer than five leads have one."""
    nearest = []
    for mask in beat.wave_masks[wave]:
        edges = np.flatnonzero(np.diff(np.pad(mask.astype(np.int8), 1))).astype(float).tolist()
        runs = [run for run in zip(edges[::2], edges[1::2], strict=True) if np.isfinite(distance(run))]
        nearest += [min(runs, key=distance)] if runs else []
    if len(nearest) < MIN_LEADS:
        return None
    onset, end = np.median(nearest, axis=0)
    return float(onset), float(end)


def distances(beat: MedianBeat) -> NDArray[np.float64]:
    """How long after the detection each boundary is marked, (4,) ms; NaN where the beat has no such mark."""
    (smooth,) = zero_phase(beat.beat, SLOPE_BAND)
    slope = np.linalg.norm(np.gradient(smooth, axis=1), axis=0)
    waves = marked_waves(beat)
    found = np.full(4, np.nan)
    if "P" in waves:
        found[0] = waves["P"][0] - _edge(slope, *waves["P"], _OTHER_LEVEL, first=True)
    if "QRS" in waves:
        found[1] = waves["QRS"][0] - _edge(slope, *waves["QRS"], _QRS_LEVEL, first=True)
        found[2] = waves["QRS"][1] - _edge(slope, *waves["QRS"], _QRS_LEVEL, first=False)
    if "T" in waves:
        found[3] = waves["T"][1] - _edge(slope, *waves["T"], _OTHER_LEVEL, first=False)
    return found / _MS


def _edge(slope: NDArray[np.float64], onset: float, end: float, level: float, *, first: bool) -> float:
    """The edge of a wave on this side: 8 ms of slope under a level, before it is half as steep as ever; or NaN."""
    if not first:
        return len(slope) - _edge(slope[::-1], len(slope) - end, len(slope) - onset, level, first=True)
    low, high = max(int(onset), 0), min(int(np.ceil(end)), len(slope))
    steepest = float(slope[low:high].max())
    start, flank = max(low - _NEAR, 0), low + int(np.argmax(slope[low:high] > 0.5 * steepest))
    if flank - start < _QUIET:
        return np.nan
    loudest = np.lib.stride_tricks.sliding_window_view(slope[start:flank], _QUIET).max(axis=1)
    quiet = np.flatnonzero(loudest < level * steepest)
    return float(start + quiet[-1] + _QUIET) if len(quiet) else np.nan


def median_distances(source: Source, ecgs: int | None = None) -> NDArray[np.float64]:
    """Median of :func:`distances` over the first ECGs of a source, (4,) ms."""
    rows: list[NDArray[np.float64]] = []
    for entry in islice(source.entries(), ecgs):
        try:
            rows.append(distances(median_beat(source.read(entry))))
        except RecordingError:
            continue  # an ECG without a median beat has no boundaries either
    return np.asarray(np.nanmedian(rows, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = Path(os.environ.get("ECG_LIGHTNING_DATA", Path(__file__).parents[2] / "shared" / "data"))
    parser.add_argument("--ludb", type=Path, default=data / "ludb")
    parser.add_argument("--ecgs", type=int, default=250, help="simulated ECGs")
    parser.add_argument("--simulation-seed", type=int, default=0)
    options = parser.parse_args()
    real = median_distances(Ludb(options.ludb))
    simulated = median_distances(Synthetic(options.ecgs, options.simulation_seed, evidence=False), options.ecgs)
    print(f"{'mark minus detection, ms':26}{'LUDB':>8}{'simulated':>11}{'difference':>12}")
    for name, one, other in zip(BOUNDARIES, real, simulated, strict=True):
        verdict = "ok" if abs(other - one) <= MAX_DIFFERENCE else "OFF"
        print(f"{name:26}{one:8.1f}{other:11.1f}{other - one:+12.1f} {verdict}")


if __name__ == "__main__":
    main()
