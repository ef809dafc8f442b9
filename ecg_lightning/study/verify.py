"""The command ``verify``: is a run, a study or a cache still what was written?"""

import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from ecg_lightning.data.cache_checks import inspect_cache, is_cache
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.sealing import inspect_run, inspect_study_files
from ecg_lightning.runs.search import describe_runs_below, is_run_folder
from ecg_lightning.runs.study_folder import StudyFolder
from ecg_lightning.runs.study_sealing import StudyInspection, inspect_study, run_notes
from ecg_lightning.study.commands import command_parser


def verify(arguments: Sequence[str]) -> None:
    """``verify <run, study or cache>``: compare every file and row with what was sealed when it was written.

    Prints a line for each damaged file with what mends it, and exits with status 1 where there is one.
    """
    parser = command_parser("verify", verify.__doc__)
    parser.add_argument("folder", type=Path, help="runs/<study>, runs/<study>/<target>/seed<k>, or a cache of beats")
    folder = parser.parse_args(arguments).folder.resolve()
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of earlier versions' stores the notes speak
        found = _inspect(folder)
    for line in (*found.notes, *map(str, found.damages)):
        print(line)
    print(
        f"verify: {len(found.damages)} damaged; {found.files:,} files, {found.rows:,} rows and {found.bytes:,} bytes "
        f"checked in {time.perf_counter() - started:.1f} s"
    )
    if found.damages:
        sys.exit(1)


def _inspect(folder: Path) -> StudyInspection:
    """Check a run, caches of beats, or else a study.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It is no run, study or cache.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; {describe_runs_below(folder.parent)}")
    if is_run_folder(folder):
        return _run(folder)
    caches = [folder] if is_cache(folder) else sorted(filter(is_cache, folder.iterdir()))
    return _caches(caches) if caches else inspect_study(StudyFolder.open(folder))


def _run(folder: Path) -> StudyInspection:
    """A run, and of its study's files those that it uses."""
    run = RunPaths(folder)
    own, found = inspect_run(run), StudyInspection()
    found.add(own)
    found.add(inspect_study_files(folder.parent.parent, [RunPaths(p) for p in folder.parent.parent.glob("*/seed*")]))
    found.notes += run_notes(run, own.unfinished, own.unsealed)
    return found


def _caches(folders: Sequence[Path]) -> StudyInspection:
    found = StudyInspection()
    for cache in folders:
        own, has_digests = inspect_cache(cache)
        found.add(own)
        if not has_digests:
            found.notes.append(f"{cache}: an earlier version made it, which kept no digests: damage can't be seen")
    return found
