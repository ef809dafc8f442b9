"""What digests of rows cost: their share of a quickstart ``test``, and how fast they are.

    OMP_NUM_THREADS=1 python benchmarks/digest_cost.py [--study configs/studies/quickstart.yaml]

The last run of a study is fitted (one epoch) and tested twice in a temporary folder: once anew, and once more when
every row is done. Digests are everything that a store or a cache without them would not do: hashing of rows and
files, comparing, reading and writing the files of digests. Their CPU seconds are counted where they are called, as a
share of the CPU seconds (user and system) of the whole command in this process, without its imports.

Bar: under 2 % of the first test.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from ecg_lightning.cli import main
from ecg_lightning.data import cache, cache_files
from ecg_lightning.storage import row_digests, store, store_files, store_repair, stored_rows
from ecg_lightning.study.jobs import fit_job, test_job
from ecg_lightning.study.settings import StudySettings, load_study

BAR: Final = 0.02
QUICKSTART: Final = Path(__file__).parents[1] / "configs/studies/quickstart.yaml"
CALLED: Final = (
    (store, "digest_rows"),
    (store, "unite"),
    (stored_rows, "digest_rows"),
    (stored_rows, "digest_rows_of"),
    (stored_rows, "fits"),
    (store_repair, "repair"),
    (cache, "digest_rows"),
    (cache_files, "digest_file"),
    (cache_files, "digest_settings"),
)


class Spent:
    """CPU seconds in functions that are wrapped; a call from within another counts once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def wrap(self, function: Callable[..., Any], only: Callable[..., bool] = lambda *_: True) -> Callable[..., Any]:
        """The same function, counted where ``only`` says so of its arguments."""

        def counted(*arguments: Any, **named: Any) -> Any:
            if self._inside or not only(*arguments):
                return function(*arguments, **named)
            self._inside, start = True, time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self._inside = False
                self.seconds += time.thread_time() - start

        return counted


@contextmanager
def counted() -> Iterator[Spent]:
    """Count what digests cost within the block."""
    spent = Spent()
    of_digests = lambda path, *_: path.name.startswith("digests.")  # noqa: E731
    patches = [patch.object(module, name, spent.wrap(getattr(module, name))) for module, name in CALLED]
    patches += [
        patch.object(module, name, spent.wrap(getattr(store_files, name), of_digests))
        for module, name in ((stored_rows, "read_marks"), (store, "mark_runs"))
    ]
    patches.append(patch.object(store, "repair", spent.wrap(store_repair.repair)))
    for one in patches:
        one.start()
    try:
        yield spent
    finally:
        for one in patches:
            one.stop()


def share(arguments: tuple[str, ...]) -> tuple[float, float]:
    """CPU seconds of digests, and of the whole command."""
    before = sum(os.times()[:4])
    with counted() as spent:
        main(list(arguments))
    return spent.seconds, sum(os.times()[:4]) - before


def quick(study: StudySettings, folder: Path) -> StudySettings:
    """The study in another folder, its networks fitted for one epoch."""
    options = {"data.cache_dir": str(folder / "cache"), "trainer.enable_progress_bar": "false"}
    fit = replace(study.fit, options={**study.fit.options, **options, "trainer.max_epochs": "1"})
    return replace(
        study, runs=str(folder / "runs"), fit=fit, test=replace(study.test, options={**study.test.options, **options})
    )


def gigabytes_a_second(row_bytes: int, rows: int) -> float:
    """How fast rows are hashed, best of five."""
    values = np.random.default_rng(0).integers(0, 256, (rows, row_bytes), dtype=np.uint8)
    numbers, seconds = np.arange(rows), []
    for _ in range(5):
        start = time.perf_counter()
        row_digests.digest_rows(numbers, values)
        seconds.append(time.perf_counter() - start)
    return values.nbytes / min(seconds) / 1e9


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--study", type=Path, default=QUICKSTART)
    return arguments


def run() -> bool:
    """Measure, print, and say whether the bar is kept."""
    options = parser().parse_args()
    print(f"rows of 19,200 bytes: {gigabytes_a_second(19_200, 1000):.2f} GB/s; ", end="")
    print(f"rows of 4 bytes: {4e-3 / gigabytes_a_second(4, 250):.2f} us each", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        study = quick(load_study(options.study), Path(folder))
        target, seed = study.targets[-1], study.seeds[-1]
        share(fit_job(study, target, seed).arguments)
        kept = True
        for what in ("new", "finished already"):
            digests, total = share(test_job(study, target, seed).arguments)
            print(f"test, {what}: {digests:.2f} of {total:.1f} CPU s in digests, {digests / total:.2%}", flush=True)
            kept = kept and (what != "new" or digests < BAR * total)
    return kept


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
