"""What a ``test`` spends its CPU time on: passes, Shapley's solver, maps, audits, tables, figures, imports, stores.

    OMP_NUM_THREADS=1 python benchmarks/test_profile.py [--network small|full] [--study FILE] [--ecgs 4]

``small`` (the default) is the last run of the quickstart study, as the study tests it. ``full`` is the default ``test``
with the study's network on a few of the same ECGs: the first ones, of which the cascade takes those that it would take
of all, about a third. The network is fitted first, for one epoch, in a temporary folder.

Where the main thread is, is looked up every 10 ms, and the CPU time that it has used since the last look is
added to the first of ``PARTS`` that has a frame on the stack. What other threads use stands by itself.

Bars: passes (forward and backward, with the hooks in them) at least 60 % with the small network, 85 % with the study's.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # imported when they are counted, or after that
    from ecg_lightning.study.settings import Stage, StudySettings

PARTS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("passes", ("models/resnet1d.py:forward", "attribution/task.py:forward", "autograd/graph.py:_engine_run_backward")),
    ("figures", ("/matplotlib/", "ecg_lightning/plotting/", "/figures.py")),
    ("W&B and progress", ("/wandb/", "/rich/")),
    ("imports", ("<frozen importlib._bootstrap>",)),
    ("stores", ("ecg_lightning/storage/",)),
    ("solver", ("functional/surrogate", "functional/shapley_", "functional/cubic_kernel", "functional/coalitions")),
    ("tables", (":_summarise", "/run_results.py", "callbacks/audit_summary", "callbacks/result_summary")),
    ("maps", ("ecg_lightning/attribution/", "callbacks/attribution_maps", "callbacks/map_computation")),
    ("audits", ("/callbacks/", "ecg_lightning/experiments/")),
)
"""Part -> what stands in the file and function of one of its frames; what none has is ``other``."""

QUICKSTART: Final = Path(__file__).parents[1] / "configs/studies/quickstart.yaml"
BARS: Final = {"small": 0.60, "full": 0.85}
INTERVAL: Final = 0.01
"""Seconds between two looks."""


def part_of(frame: FrameType | None) -> str:
    """The part that a stack belongs to, from its innermost frame."""
    places = []
    while frame is not None:
        places.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
        frame = frame.f_back
    stack = "\n".join(places)
    return next((part for part, signs in PARTS if any(sign in stack for sign in signs)), "other")


class StackSampler:
    """Shares out the CPU time of the thread that makes it, as long as the block lasts.

    Attributes:
        seconds: Part -> CPU seconds.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._of = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._of)
        self._ended = threading.Event()
        self._own = 0.0
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "StackSampler":
        sys.setswitchinterval(INTERVAL / 20)  # else Python code would be charged to the next call that frees the lock
        self._before = time.process_time(), time.thread_time()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        process, main = time.process_time() - self._before[0], time.thread_time() - self._before[1]
        self.seconds["other threads"] = process - main - self._own

    def _look(self) -> None:
        last = self._before[1]
        while not self._ended.wait(INTERVAL):
            part = part_of(sys._current_frames().get(self._of))
            now = time.clock_gettime(self._clock)
            self.seconds[part] += now - last
            last = now
        self._own = time.thread_time()  # looking costs, too


def table(seconds: Counter[str], network: str) -> str:
    """Every part's CPU seconds and share, the largest first, and the bar."""
    total = sum(seconds.values())
    lines = [f"{'part':<18}{'CPU s':>8}{'share':>8}"]
    lines += [f"{part:<18}{spent:>8.1f}{spent / total:>8.1%}" for part, spent in seconds.most_common()]
    lines.append(f"{'all':<18}{total:>8.1f}  (passes: bar {BARS[network]:.0%} with the {network} network)")
    return "\n".join(lines)


def profiled(arguments: list[str]) -> Counter[str]:
    """Run a command of ``ecg_lightning`` in this process, its imports counted."""
    with StackSampler() as sampler:
        from ecg_lightning.cli import main

        sys.argv[1:] = arguments  # as the command line is called
        main()
    return sampler.seconds


def of_full_size(study: "StudySettings", ecgs: int) -> "StudySettings":
    """The study with its default network and default test, of one batch of few ECGs."""

    def without(stage: "Stage", config: str) -> "Stage":
        return replace(stage, configs=tuple(one for one in stage.configs if not str(one).endswith(config)))

    test = without(study.test, "callbacks/quickstart.yaml")
    few = {"data.eval_batch_size": str(ecgs), "trainer.limit_test_batches": "1"}
    fit = without(study.fit, "model/small.yaml")
    return replace(study, fit=fit, test=replace(test, options={**test.options, **few}), only=())


def measured(study_file: Path, network: str, ecgs: int) -> Counter[str]:
    """Fit the last network of a study in this process, and profile its test in a fresh one."""
    from digest_cost import quick

    from ecg_lightning.cli import main
    from ecg_lightning.study.jobs import fit_job, test_job
    from ecg_lightning.study.settings import load_study

    with tempfile.TemporaryDirectory() as folder:
        study = quick(load_study(study_file), Path(folder))
        study = of_full_size(study, ecgs) if network == "full" else study
        target, seed = study.targets[-1], study.seeds[-1]
        main(list(fit_job(study, target, seed).arguments))
        result = Path(folder) / "seconds.json"
        arguments = [str(result), *test_job(study, target, seed).arguments]
        subprocess.run([sys.executable, __file__, "--job", json.dumps(arguments)], check=True)
        return Counter(json.loads(result.read_text()))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--network", choices=tuple(BARS), default="small")
    arguments.add_argument("--study", type=Path, default=QUICKSTART)
    arguments.add_argument("--ecgs", type=int, default=4, help="of the full network's test; the study's has its own")
    arguments.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)  # of the process that is profiled
    return arguments


def run() -> bool:
    """Measure, print, and say whether the bar is kept."""
    options = parser().parse_args()
    if options.job:
        result, *arguments = options.job
        Path(result).write_text(json.dumps(profiled(arguments)))
        return True
    seconds = measured(options.study, options.network, options.ecgs)
    print(table(seconds, options.network))
    return seconds["passes"] >= BARS[options.network] * sum(seconds.values())


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
