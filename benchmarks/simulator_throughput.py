"""How fast the simulator and the median beat are, and whether preparing many simulated ECGs needs memory that grows.

Usage: ``python benchmarks/simulator_throughput.py [--ecgs 10000] [--processes 2] [--repeats 150]``

First, in this process and on one core, over ``--repeats`` ECGs: the time to simulate a recording, to compute its median
beat, to compute the evidence masks of its diagnoses, and of the three together, which is what ``prepare`` does for one
ECG. Medians are printed, and means, since an ECG without a diagnosis has no evidence to compute.

Then ``prepare`` of ``--ecgs`` simulated ECGs on ``--processes`` processes into a temporary cache: its wall time, and
the anonymous memory (``RssAnon``, Linux only) of this process and of all that it started, read four times a second. The
memory is flat where the largest sum of the second half of the time is not above that of the first half.

Bars: 8 ms a recording, 8 ms a median beat; 10,000 ECGs on two cores in under 100 s, in flat memory.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from memory import own_and_children, watched
from simulated import FirstEcgs

from ecg_lightning.data.prepare import prepare
from ecg_lightning.data.sources.base import Recording, RecordingError
from ecg_lightning.signal.beat import MedianBeat, median_beat

MAX_MILLISECONDS: Final = 8.0
MAX_SECONDS: Final = 100.0
FULL_SIZE: Final = 10_000
FLAT: Final = 1.1  # second half against first half
WATCH_EVERY: Final = 0.25  # s
WARM_UP: Final = 10

Item = TypeVar("Item")
Result = TypeVar("Result")


def timed(work: Callable[[Item], Result], items: Iterable[Item]) -> tuple[list[Result], list[float]]:
    """Results of a function, and the milliseconds that each took."""
    results, times = [], []
    for item in items:
        start = time.perf_counter()
        results.append(work(item))
        times.append(1e3 * (time.perf_counter() - start))
    return results, times


def beat_of(recording: Recording) -> MedianBeat | None:
    """The median beat, or None where there is none."""
    try:
        return median_beat(recording)
    except RecordingError:
        return None


def time_parts(source: FirstEcgs, repeats: int) -> dict[str, list[float]]:
    """Milliseconds of every part of the work, per ECG."""
    entries = source.entries()[: WARM_UP + repeats]
    recordings, reading = timed(source.read, entries)
    _, beats = timed(beat_of, recordings)
    _, evidence = timed(source.evidence, entries)
    together = [sum(parts) for parts in zip(reading, beats, evidence, strict=True)]
    times = {"recording": reading, "median beat": beats, "evidence": evidence, "together": together}
    return {name: values[WARM_UP:] for name, values in times.items()}


def report_memory(samples: Sequence[tuple[float, float]]) -> None:
    """Print the peaks of both halves of the time."""
    if len(samples) < 2:
        print("  memory: too short a run to watch it")
        return
    halves = samples[: len(samples) // 2], samples[len(samples) // 2 :]
    for name, half in zip(("first half", "second half"), halves, strict=True):
        own, others, both = (max(values) for values in zip(*((a, b, a + b) for a, b in half), strict=True))
        print(f"  memory, {name}: this process {own:.0f} MB, its children {others:.0f} MB, together {both:.0f} MB")
    first, second = (max(map(sum, half)) for half in halves)
    print(f"  second half / first half: {second / first:.2f} (flat: at most {FLAT})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ecgs", type=int, default=FULL_SIZE, help="simulated ECGs that are prepared; 0 leaves it out")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=150, help="ECGs whose parts are timed")
    parser.add_argument("--simulation-seed", type=int, default=0)
    options = parser.parse_args()
    for name, times in time_parts(
        FirstEcgs(WARM_UP + options.repeats, options.simulation_seed), options.repeats
    ).items():
        bar = f" (bar: {MAX_MILLISECONDS:g} ms)" if name in ("recording", "median beat") else ""
        print(f"{name:12} median {statistics.median(times):6.2f} ms, mean {statistics.fmean(times):6.2f} ms{bar}")
    if options.ecgs:
        measure_prepare(FirstEcgs(options.ecgs, options.simulation_seed), options.processes)


def measure_prepare(source: FirstEcgs, processes: int) -> None:
    """Prepare all ECGs of a source, and print time and memory."""
    with tempfile.TemporaryDirectory() as scratch, watched(own_and_children, WATCH_EVERY) as samples:
        start = time.perf_counter()
        cache = prepare(source, scratch, processes=processes)
        seconds = time.perf_counter() - start
    each = 1e3 * seconds / len(cache)
    print(f"prepare: {len(cache):,} ECGs, {processes} processes: {seconds:.1f} s, {each:.2f} ms an ECG")
    print(f"  (bar: {MAX_SECONDS:g} s for {FULL_SIZE:,} on 2 cores)")
    report_memory(samples)


if __name__ == "__main__":
    main()
