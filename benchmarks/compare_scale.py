"""Comparison and report over seeds at the paper's scale: time, memory, and whether time is linear in the ECGs.

Usage: ``python benchmarks/compare_scale.py [--targets 2] [--seeds 10] [--ecgs 1351] [--processes 2]``

Writes a study whose maps are random (``random_study.py``; 6 GB for the defaults), compares it and writes its report,
and again one with half of the ECGs. Writing the maps is not counted.

Bar: 2 targets x 10 seeds x 1,351 ECGs x 12 methods in at most 5 minutes and 2 GB of anonymous memory on 2 cores.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from memory import own_and_children, watched
from random_study import write_random_study

from ecg_lightning.ecg import TARGETS
from ecg_lightning.experiments.self_consistency.compare import compare_maps
from ecg_lightning.experiments.self_consistency.study_results import write_comparison
from ecg_lightning.method_names import METHOD_NAMES
from ecg_lightning.report.page import write_report
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.statistics.interval_settings import IntervalSettings


def measure(folder: Path, options: argparse.Namespace, ecgs: int) -> tuple[float, float, float]:
    """Seconds of a comparison, of its report, and megabytes."""
    study = write_random_study(
        folder / f"random{ecgs}", TARGETS[: options.targets], range(options.seeds), METHOD_NAMES, ecgs
    )
    with watched(own_and_children, 0.25) as readings:
        start = time.perf_counter()
        opened = StudyFolder.open(study)
        write_comparison(opened, compare_maps(opened, options.processes), IntervalSettings())
        seconds = time.perf_counter() - start
        write_report(study, IntervalSettings())
        report = time.perf_counter() - start - seconds
    shutil.rmtree(study)
    return seconds, report, max(sum(reading) for reading in readings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--ecgs", type=int, default=1351)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        half, _, _ = measure(Path(scratch), options, options.ecgs // 2)
        seconds, report, megabytes = measure(Path(scratch), options, options.ecgs)
    maps = options.targets * options.seeds * options.ecgs * len(METHOD_NAMES)
    print(
        f"{maps:,} maps compared in {seconds:.0f} s, {1e3 * seconds / maps:.2f} ms a map on {options.processes} "
        f"processes, and reported in {report:.0f} s: {seconds + report:.0f} s (bar 300 s); {megabytes:.0f} MB of "
        "anonymous memory (bar 2,000 MB)"
    )
    print(f"half of the ECGs: comparison {half:.0f} s, {half / seconds:.2f} of the time")


if __name__ == "__main__":
    main()
