"""Which files the records of a run seal, and whether its files are still what its stages left."""

import os
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.search import stores_below
from ecg_lightning.storage.hashing import digest_file
from ecg_lightning.storage.manifest import MANIFEST_NAME, StoreError, read_manifest
from ecg_lightning.storage.readers import CHANGED, DamagedFileError, read_array, read_json, read_table, reading
from ecg_lightning.storage.seals import SEALED, Damage, Inspection, Seal, inspect, read_record, seal, write_record
from ecg_lightning.storage.store_checks import why_rows_broken
from ecg_lightning.storage.store_files import ROWS_NAME

STUDY_FILES: Final = ("splits.parquet", "population.parquet", "rejected.parquet", "test_beats.npy")
"""Of a study, written by its first ``fit`` or ``test`` and used by all its runs."""

TEST_AGAIN: Final = "give `test` again: what is whole is kept, the rest is made again"
FIT_AGAIN: Final = "train again: delete the folder checkpoints of this run and give `fit` again"

_FIT_FILES: Final = ("fit.yaml", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
_TEST_FILES: Final = ("test.yaml", "examples.parquet", "metrics.json", "lint.json", "partners.parquet")
_TEST_FOLDERS: Final = ("tables", "figures")
_UNREAD: Final = ("figures/", "checkpoints/")
_EARLIER: Final[Mapping[str, Collection[str]]] = {
    "fit": ("epochs", "steps", "monitor", "best_score"),
    "test": ("n_ecgs", "network"),
}
"""Stage -> what its record said in versions that sealed nothing."""

_REMEDIES: Final[Mapping[str, str]] = {
    "fit.done.json": "delete it and give `fit` again, which goes on from last.ckpt and ends at once",
    "fit.yaml": f"put a copy back, or {FIT_AGAIN}",
    "checkpoints/best.ckpt": f"take the newest epoch's weights with `--ckpt_path last`, or {FIT_AGAIN}",
    "checkpoints/last.ckpt": f"it is needed to go on with a training only; put a copy back, or {FIT_AGAIN}",
    "../../splits.parquet": "delete it and give `fit` or `test` of any run of the study again, which writes it anew",
}
_OF_THE_STUDY: Final = "give `test` of any run of the study again, which writes it anew"


@dataclass
class RunInspection(Inspection):
    """What was found in a run.

    Attributes:
        unfinished: Stages that have not come to their end.
        unsealed: Finished stages whose records hold no seals: an earlier version wrote them.
    """

    unfinished: list[str] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)


def seal_fit(paths: RunPaths, content: Mapping[str, Any]) -> None:
    """Write ``fit.done.json``: checkpoints, configuration, and the study's files are what they must stay."""
    own = [paths.path / name for name in _FIT_FILES]
    write_record(paths.fit_record, "fit", content, [*own, *_study_files(paths)])


def seal_test(paths: RunPaths, content: Mapping[str, Any]) -> None:
    """Write ``test.done.json``: every file that this test and earlier ones have left."""
    write_record(paths.test_record, "test", content, [*_test_files(paths.path), *_study_files(paths)])


def record_of(paths: RunPaths, stage: str) -> dict[str, Any] | None:
    """The record of ``fit`` or ``test``; None where the stage has not ended.

    Raises:
        DamagedFileError: It was changed, or is another file.
    """
    path = paths.path / f"{stage}.done.json"
    if not path.is_file():
        return None
    return read_record(path, stage, remedy_of(path.name), _EARLIER[stage])


def sealed_by(paths: RunPaths, stage: str) -> Seal:
    """What the record of a stage seals; nothing where there is none, or one that can't be read."""
    try:
        sealed: Seal = (record_of(paths, stage) or {}).get(SEALED, {})
    except DamagedFileError:
        return {}
    return sealed


def remedy_of(name: str) -> str:
    """What to do about a damaged file of a run.

    Args:
        name: Relative to the run's folder.
    """
    return _REMEDIES.get(name, _OF_THE_STUDY if name.startswith("..") else TEST_AGAIN)


def inspect_run(paths: RunPaths, *, unread: bool = True) -> RunInspection:
    """Compare the files of a run with its seals and digests; those of an unfinished stage are read as far as they are.

    Args:
        paths: Of the run; the study's files are not looked at.
        unread: Whether files count that no number of a report or a comparison comes from: pictures and checkpoints.
    """
    found = RunInspection()
    for stage in ("fit", "test"):
        sealed: Seal = {}
        try:
            record = record_of(paths, stage)
            found.files += record is not None
            if record is None:
                found.unfinished.append(stage)
            elif SEALED not in record:
                found.unsealed.append(stage)
            else:
                sealed = record[SEALED]
        except DamagedFileError as error:
            found.damages.append(Damage(error.path, error.why, error.remedy))
        passed_over = ("..",) if unread else ("..", *_UNREAD)
        own = {name: entry for name, entry in sealed.items() if not name.startswith(passed_over)}
        if own:
            found.add(inspect(paths.path, own, remedy_of))
        else:
            left = [paths.path / name for name in _FIT_FILES] if stage == "fit" else _test_files(paths.path)
            found.add(read_through(paths.path, left, remedy_of))
            found.damages += lost_parts(paths.path, TEST_AGAIN) if stage == "test" else []
    return found


def read_through(folder: Path, files: Iterable[Path], remedy: Callable[[str], str]) -> Inspection:
    """Try if files that nothing seals can be read, and if rows are as their digests say.

    Args:
        folder: That names are relative to.
        files: Those that are not there are passed over.
        remedy: Name of a file -> what to do where it is damaged.
    """
    found = Inspection()
    there = (path for path in files if path.is_file())
    for path in sorted(there, key=lambda path: path.name == ROWS_NAME):  # rows last: of whole stores only
        found.files += 1
        found.bytes += path.stat().st_size
        what_to_do = remedy(path.relative_to(folder).as_posix())
        if path.name == ROWS_NAME:
            if any(one.path.parent == path.parent for one in found.damages):
                continue  # without its manifest, mask and digests nothing can be said of its rows
            rows, why = why_rows_broken(path.parent)
            found.rows += rows
            found.damages += [Damage(path, why, what_to_do)] if why else []
        elif damage := _unreadable(path, what_to_do):
            found.damages.append(damage)
    return found


def lost_parts(folder: Path, remedy: str) -> list[Damage]:
    """Manifests and rows that stores below a folder lack."""
    parts = (folder / name / part for name in stores_below(folder, broken=True) for part in (MANIFEST_NAME, ROWS_NAME))
    return [Damage(path, "it is missing", remedy) for path in parts if not path.is_file()]


def is_of_fit(paths: RunPaths, path: Path) -> bool:
    """Tell a file that a run's ``fit`` writes, and no ``test``."""
    return path == paths.fit_record or path in [paths.path / name for name in _FIT_FILES]


def inspect_study_files(study: Path, runs: Collection[RunPaths]) -> Inspection:
    """Compare what all runs of a study share with their seals: one run's that fits is enough.

    A file that was damaged and written anew may differ from what an earlier run has sealed, in bytes and not in
    content: other versions of a library write other bytes.

    Args:
        study: Its folder.
        runs: Its runs.
    """
    found = Inspection()
    records = [sealed_by(run, stage) for run in runs for stage in ("fit", "test")]
    for name in STUDY_FILES:
        path, sealed = study / name, f"../../{name}"
        entries = [record[sealed] for record in records if sealed in record]
        if not entries and not path.is_file():
            continue
        found.files += 1
        found.bytes += path.stat().st_size if path.is_file() else 0
        now = seal(study, [path]).get(name)
        if entries and now not in entries:
            why = "it is missing" if now is None else CHANGED
            found.damages.append(Damage(path, why, remedy_of(sealed)))
        elif not entries and (unreadable := _unreadable(path, remedy_of(sealed))):
            found.damages.append(unreadable)
    return found


def is_as_sealed(paths: RunPaths, name: str) -> bool:
    """Compare a file of a run's study with what any run of the study has sealed; True where none has.

    Args:
        paths: Of a run.
        name: Of ``STUDY_FILES``.
    """
    study = paths.study
    runs = [RunPaths(path) for path in study.glob("*/seed*")]
    entries = [sealed_by(run, stage).get(f"../../{name}") for run in runs for stage in ("test", "fit")]
    known = [entry for entry in entries if entry is not None]
    path = study / name
    return not known or (path.is_file() and digest_file(path) in {entry["digest"] for entry in known})


def _study_files(paths: RunPaths) -> list[Path]:
    return [paths.study / name for name in STUDY_FILES]


def _test_files(run: Path) -> Iterator[Path]:
    """Every file that tests have left, but for what nobody reads back (W&B's, logs, hidden ones)."""
    yield from (run / name for name in _TEST_FILES)
    trees = [run / name for name in (*_TEST_FOLDERS, *stores_below(run))]
    for folder, below, files in (step for tree in trees for step in os.walk(tree)):
        below[:] = [name for name in below if name[0] != "."]
        yield from (Path(folder) / name for name in files if name[0] != ".")


def _unreadable(path: Path, remedy: str) -> Damage | None:
    """What keeps a file from being read; None where nothing does, or its kind is not known."""
    try:
        if path.name == MANIFEST_NAME:
            read_manifest(path.parent)
        elif path.suffix == ".parquet":
            read_table(path, remedy)
        elif path.suffix == ".json":
            read_json(path, remedy)
        elif path.suffix == ".npy":
            read_array(path, remedy)
        elif path.suffix == ".ckpt":
            with reading(path, remedy), zipfile.ZipFile(path) as archive:  # a checkpoint is one, with checksums
                if broken := archive.testzip():
                    raise ValueError(f"{broken} in it has another checksum than was written")
    except (DamagedFileError, StoreError, OSError) as error:
        why = error.why if isinstance(error, DamagedFileError) else str(error)
        return Damage(path, why, remedy)
    return None
