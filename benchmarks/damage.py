"""Damages the files of a finished study at random, and looks whether anybody is told.

    python benchmarks/damage.py --mutations 200 --seed 0

Flips of a bit, cuts, deletions and exchanges of two files, in the folder of a run, its study and its comparison; W&B's
files and hidden ones are left alone. Of each: `verify` must name every file that changed; what `report` reads must be
equal, or the run left out by name, or an error that names the file; and the command that made the file, given again,
must end with every value as before, or with an error that names the file. It prints a line a mutation and exits with 1
where one went wrong. Pictures are placeholders here, because drawing them takes most of the time of so few ECGs.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from damaged_study import (
    SEEDS,
    STUDY,
    TARGET,
    Bench,
    Mutation,
    differences,
    mutable_files,
    mutations,
    run_values,
    values_of,
)

from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.runs.study_sealing import inspect_study
from ecg_lightning.statistics.interval_settings import IntervalSettings
from ecg_lightning.storage.hashing import digest_file
from ecg_lightning.storage.readers import DamagedFileError

OF_FIT = ("fit.yaml", "fit.done.json", "best.ckpt", "last.ckpt")
"""Files that no ``test`` writes: it must not make them whole, but they must stay named."""


def check(bench: Bench, mutation: Mutation, place: Path, before: dict[str, Any], *, again: bool) -> tuple[str, str]:
    """Do a mutation in a copy of the study, and look what becomes of it.

    Args:
        bench: The untouched study.
        mutation: What is done.
        place: An empty folder of its own.
        before: ``values_of`` the untouched study.
        again: Whether the command that made the file is given again, which takes most of the time.

    Returns:
        ``harmless``, ``named``, ``recomputed``, ``refused`` or ``wrong``; and what was seen.
    """
    study = place / STUDY
    shutil.copytree(bench.study, study)
    mutation.apply(study)
    changed = [name for name in mutation.files if _digest(study / name) != _digest(bench.study / name)]
    if not changed:
        return "harmless", "the same bytes"
    if words := _unnamed_by_verify(study, changed):
        return "wrong", words
    seen, words = _read_again(study, changed, before)
    if seen == "wrong" or not again:
        return seen, words
    return _made_again(bench, study, changed, before)


def _unnamed_by_verify(study: Path, changed: list[str]) -> str:
    found = inspect_study(StudyFolder.open(study))
    told = {str(one.path.relative_to(study)) for one in found.damages}
    notes = " ".join(found.notes)
    missing = [
        name for name in changed if name not in told and not (name.endswith(".done.json") and "not finished" in notes)
    ]
    return f"verify does not name {', '.join(missing)}: {sorted(told)}" if missing else ""


def _read_again(study: Path, changed: list[str], before: dict[str, Any]) -> tuple[str, str]:
    try:
        runs = JudgedRuns.open(study, IntervalSettings(n_resamples=100))
        words = "; ".join([*(one.reason for one in runs.unfinished), *map(str, runs.damaged.values())])
        read = {name: value for name, value in values_of(runs).items() if not _left_out(value)}
    except ValueError as error:
        return ("named", str(error)) if _names(str(error), changed) else ("wrong", f"report: {error!r}")
    except Exception as error:
        return "wrong", f"report: {error!r}"
    if other := differences(before, read):
        return "wrong", f"report reads other values of {', '.join(other[:5])}"
    return "named", words


def _made_again(bench: Bench, study: Path, changed: list[str], before: dict[str, Any]) -> tuple[str, str]:
    stage = "compare" if all(name.startswith(("comparison", "tables", "compare")) for name in changed) else "test"
    try:
        bench.give(stage, 0, study.parent)
        if any(name.startswith(("comparison", "tables", "compare")) for name in changed) and stage == "test":
            bench.give("compare", 0, study.parent)
    except (Exception, SystemExit) as error:
        return ("refused", str(error)) if _names(str(error), changed) else ("wrong", f"{stage}: {error!r}")
    left = {str(one.path.relative_to(study)) for one in inspect_study(StudyFolder.open(study)).damages}
    of_fit = {name for name in changed if Path(name).name in OF_FIT}
    if left - of_fit:
        return "wrong", f"{stage} left {', '.join(sorted(left - of_fit))} damaged"
    runs = {str(seed): Run(study / TARGET / f"seed{seed}") for seed in SEEDS}
    try:
        of_runs = {seed: run_values(run) for seed, run in runs.items()}
    except (DamagedFileError, FileNotFoundError) as error:
        return ("named", str(error)) if of_fit and _names(str(error), changed) else ("wrong", str(error))
    read = {
        f"seed{seed}/{name}": value
        for seed, values in of_runs.items()
        for name, value in values.items()
        if not (name == "fit" and of_fit)
    }
    read["test_beats"] = np.load(study / "test_beats.npy")
    if other := differences(before, read):
        return "wrong", f"{stage} left other values of {', '.join(other[:5])}"
    if absent := [name for name in before if name.startswith("seed") and name not in read and name[-4:] != "/fit"]:
        return "wrong", f"{stage} left out {', '.join(absent[:5])}"
    return ("named", f"{stage} can't mend {', '.join(of_fit)}") if of_fit else ("recomputed", f"{stage} made it again")


def _names(words: str, changed: list[str]) -> bool:
    """Whether words name a changed file, or the store that it belongs to."""
    return any(Path(name).name in words or str(Path(name).parent) in words for name in changed)


def _left_out(value: Any) -> bool:
    return value is None or (hasattr(value, "empty") and value.empty)


def _digest(path: Path) -> str:
    return digest_file(path) if path.is_file() else ""


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="go on with this one")
    parser.add_argument("--only_read", action="store_true", help="don't give any command again")
    given = parser.parse_args()
    os.environ.update(WANDB_MODE="disabled", OMP_NUM_THREADS="1")
    warnings.simplefilter("ignore")
    counts, begin = Counter[str](), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "base")
        bench.make()
        before = values_of(JudgedRuns.open(bench.study, IntervalSettings(n_resamples=100)))
        print(f"made in {time.perf_counter() - begin:.0f} s; {len(mutable_files(bench.study))} files", flush=True)
        for number, mutation in enumerate(mutations(mutable_files(bench.study), given.mutations, given.seed)):
            if number < given.first:
                continue
            place = Path(folder) / f"mutation{number}"
            outcome, words = check(bench, mutation, place, before, again=not given.only_read)
            counts[outcome] += 1
            print(f"{number:3} {outcome:10} {mutation}: {words[:300]}", flush=True)
            shutil.rmtree(place)
    told = ", ".join(f"{counts[name]} {name}" for name in ("recomputed", "named", "refused", "harmless", "wrong"))
    print(f"{given.mutations} mutations in {time.perf_counter() - begin:.0f} s: {told}")
    sys.exit(1 if counts["wrong"] else 0)


if __name__ == "__main__":
    main()
