"""Beats that are missed, and false ones: on hard synthetic ECGs and on real ones.

Usage: ``python benchmarks/beat_detection.py [--stress 40] [--real-root ../shared/data]``

Stress: ``--stress`` ECGs of each kind of ``stress_ecgs.py``, whose beats are known. A beat within 60 ms of an end of
the recording need not be found, and one within 100 ms of it is not false.

Real: every ECG of ``ptbxl/``, ``ludb/`` and ``cinc2021/`` under ``--real-root`` (by default ``ECG_LIGHTNING_DATA``,
then ``../shared/data``) against a vote: of the public detectors xqrs and gqrs (wfdb) and sleepecg's, each on leads II,
V2, V5, those beats that at least two detectors find in at least two leads. LUDB also against the QRS complexes that its
cardiologists marked in any lead. The detectors learn on the first beats, so only what lies between the vote's first and
last beat is compared, and so is the rate. What differs is printed, to be looked at: the vote is not the truth.

Bar: nothing missed, nothing false; the rate within 2 per minute of the vote, or a reason why.
"""

import argparse
import os
from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np
import wfdb
from numpy.typing import NDArray
from sleepecg import detect_heartbeats
from stress_ecgs import StressEcg, stress_ecgs
from wfdb.processing import gqrs_detect, xqrs_detect

from ecg_lightning.data.sources import Cinc, Ludb, PtbXl, RecordingError, Source
from ecg_lightning.signal.beat import MedianBeat, median_beat
from ecg_lightning.signal.leads import to_standard_leads
from ecg_lightning.signal.recording import Recording
from ecg_lightning.signal.resample import resample

RATE: Final = 500.0  # Hz
TOLERANCE: Final = 45  # samples, 90 ms: a wide QRS complex has no one place
EDGE_FOUND, EDGE_FALSE = 0.06, 0.1  # s
VOTERS: Final = (1, 3, 6)  # II, V2, V5
BAR: Final = 2.0  # beats per minute

Samples = NDArray[np.float64]


def unmatched(these: Samples, others: Samples) -> Samples:
    """Those that have no other within the tolerance."""
    if len(others) == 0:
        return these
    return these[np.abs(these[:, None] - others).min(axis=1, initial=np.inf) > TOLERANCE]


def stress_differences(made: StressEcg, found: Samples) -> tuple[Samples, Samples]:
    """Missed beats and false ones, samples."""
    true = RATE * made.beats
    first, last = (RATE * end for end in made.within)

    def inside(beats: Samples, edge: float) -> Samples:
        return beats[(beats > first + RATE * edge) & (beats < last - RATE * edge)]

    return unmatched(inside(true, EDGE_FOUND), found), unmatched(inside(found, EDGE_FALSE), true)


def agreed(lists: list[Samples], least: int) -> Samples:
    """Medians of the times within 0.2 s that at least so many lists have."""
    times = np.concatenate(lists)
    order = np.argsort(times)
    times, owner = times[order], np.repeat(np.arange(len(lists)), [len(one) for one in lists])[order]
    found, start = [], 0
    while start < len(times):
        stop = int(np.searchsorted(times, times[start] + 100, side="right"))
        if len(np.unique(owner[start:stop])) >= least:
            found.append(float(np.median(times[start:stop])))
        start = stop
    return np.array(found)


def vote(signal: Samples) -> Samples:
    """Beats that at least two of three public detectors find, samples."""
    leads = [np.ascontiguousarray(signal[lead]) for lead in VOTERS]
    detectors = (
        lambda lead: xqrs_detect(lead, RATE, verbose=False),
        lambda lead: gqrs_detect(sig=lead, fs=RATE),
        lambda lead: detect_heartbeats(lead, RATE),
    )
    each = [agreed([np.asarray(detect(lead), dtype=np.float64) for lead in leads], 2) for detect in detectors]
    return agreed(each, 2)


def rate_of(beats: Samples) -> float:
    """Beats per minute; NaN of fewer than two."""
    return 60.0 * RATE * (len(beats) - 1) / float(beats[-1] - beats[0]) if len(beats) > 1 else float("nan")


def compare(name: str, result: MedianBeat, reference: Samples) -> tuple[int, int, int]:
    """Beats, missed and false between the first and the last beat of the reference; prints what differs."""
    found = result.r_peaks.astype(np.float64)
    if len(reference) == 0:
        return 0, 0, 0
    found = found[(found >= reference[0] - TOLERANCE) & (found <= reference[-1] + TOLERANCE)]
    missed, false = unmatched(reference, found), unmatched(found, reference)
    rates = rate_of(found), rate_of(reference)
    far = abs(rates[0] - rates[1]) > BAR
    if len(missed) or len(false) or far:
        words = f"missed {missed.astype(int).tolist()} false {false.astype(int).tolist()}"
        print(f"  {name}: {words} rate {rates[0]:.1f}, reference {rates[1]:.1f}{'  OVER THE BAR' if far else ''}")
    return len(reference), len(missed), len(false)


def annotated(record: Path) -> Samples:
    """Peaks of the QRS complexes marked in any lead, samples."""
    marks = []
    for lead in ("i", "ii", "v1", "v2", "v3", "v4", "v5", "v6"):
        annotation = wfdb.rdann(str(record), lead)
        chosen = [s for s, symbol in zip(annotation.sample, annotation.symbol, strict=True) if symbol == "N"]
        marks.append(np.array(chosen, dtype=np.float64))
    return agreed(marks, 1)


def at_500(recording: Recording) -> Samples:
    return resample(to_standard_leads(recording.signal, recording.leads), recording.sampling_rate)


def real(source: Source, root: Path) -> None:
    """Print what differs, and the sums, of one archive."""
    sums: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    entries = source.entries()
    for entry in entries:
        try:
            recording = source.read(entry)
            result = median_beat(recording)
        except RecordingError as error:
            print(f"  {entry.ecg_id}: rejected, {error.kind}: {str(error)[:100]}")
            continue
        sums["vote"].append(compare(entry.ecg_id, result, vote(at_500(recording))))
        if isinstance(source, Ludb):
            marks = annotated(root / "data" / entry.ecg_id.rsplit("/")[-1])
            sums["annotation"].append(compare(f"{entry.ecg_id} (annotation)", result, marks))
    for reference, counts in sums.items():
        beats, missed, false = np.array(counts).sum(axis=0)
        words = f"{beats} beats, {missed} missed, {false} false"
        print(f"{source.name}: {len(counts)} of {len(entries)} ECGs, {reference}: {words}")


def stress(count: int) -> None:
    """Print the sums of each kind."""
    sums: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    rejected: dict[str, int] = defaultdict(int)
    for made in stress_ecgs(count):
        try:
            found = median_beat(made.recording).r_peaks.astype(np.float64)
        except RecordingError:
            rejected[made.kind] += 1
            continue
        missed, false = stress_differences(made, found)
        sums[made.kind].append((len(made.beats), len(missed), len(false)))
    for kind, counts in sums.items():
        beats, missed, false = np.array(counts).sum(axis=0)
        print(f"{kind:34s} {beats:5d} beats {missed:3d} missed {false:3d} false; {rejected[kind]} ECGs rejected")


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stress", type=int, default=40)
    parser.add_argument("--real-root", type=Path, default=Path(os.environ.get("ECG_LIGHTNING_DATA", "../shared/data")))
    arguments = parser.parse_args()
    stress(arguments.stress)
    for name, archive in (("ptbxl", PtbXl), ("ludb", Ludb), ("cinc2021", Cinc)):
        root = arguments.real_root / name
        if root.is_dir():
            real(archive(root), root)


if __name__ == "__main__":
    main()
