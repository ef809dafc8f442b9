"""What ``compare`` seals, and whether a whole study is still what its commands have left."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ecg_lightning.runs.finished import why_partial
from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.sealing import inspect_run, inspect_study_files, is_of_fit, lost_parts, read_through
from ecg_lightning.runs.search import stores_below
from ecg_lightning.runs.study_folder import COMPARED_TABLES, StudyFolder
from ecg_lightning.storage.readers import DamagedFileError
from ecg_lightning.storage.seals import SEALED, Damage, Inspection, inspect, read_record, write_record

_EARLIER: Final = (
    *("seeds", "single", "unfinished", "left_out_between_targets", "left_out", "kendall_w_of_method_ranks"),
    "intervals",
)
"""What the record of ``compare`` said in versions that sealed nothing."""

_SHOWN: Final = 5


@dataclass
class StudyInspection(Inspection):
    """What was found in a study.

    Attributes:
        notes: Sentences on what is unfinished, or was made by an earlier version, which sealed nothing.
    """

    notes: list[str] = field(default_factory=list)


def compare_again(study: StudyFolder) -> str:
    """What to do about a damaged comparison."""
    return f"give `compare {study.path}` again: what is whole is kept, the rest is made again"


def seal_comparison(study: StudyFolder, content: Mapping[str, Any]) -> None:
    """Write ``compare.done.json``: tables and stores of the comparison are what they must stay."""
    write_record(study.compare_record, "compare", content, _files(study))


def inspect_comparison(study: StudyFolder) -> StudyInspection:
    """Compare the tables and stores of a comparison with its seals; they are read where there are none."""
    found, remedy = StudyInspection(), compare_again(study)
    if not study.compare_record.is_file():
        if study.comparison.is_dir():
            found.notes.append(f"{study.path}: compare not finished ({study.compare_record.name} is missing): {remedy}")
    else:
        found.files += 1
        try:
            record = read_record(study.compare_record, "compare", remedy, _EARLIER)
            if SEALED in record:
                found.add(inspect(study.path, record[SEALED], lambda _: remedy))
                return found
            found.notes.append(f"{study.compare_record}: an earlier version wrote it, which sealed nothing")
        except DamagedFileError as error:
            found.damages.append(Damage(error.path, error.why, error.remedy))
    found.add(read_through(study.path, _files(study), lambda _: remedy))
    found.damages += lost_parts(study.comparison, remedy)
    return found


def check_comparison(study: StudyFolder) -> None:
    """Refuse a comparison that is not what ``compare`` has left.

    Raises:
        ValueError: The message names the files and the command that mends them.
    """
    if damages := inspect_comparison(study).damages:
        files = "; ".join(f"{one.path}: {one.why}" for one in damages[:5])
        more = f"; and {len(damages) - 5} more" if len(damages) > 5 else ""
        raise ValueError(
            f"the comparison of {study.path} is damaged: {files}{more}. To mend it, {compare_again(study)}"
        )


def inspect_study(study: StudyFolder) -> StudyInspection:
    """Compare every file and row of a study's runs, and of its comparison, with its seal or digest."""
    found = StudyInspection()
    runs = [run.paths for seeds in study.runs().values() for run in seeds.values()]
    for paths in runs:
        own = inspect_run(paths)
        found.add(own)
        found.notes += run_notes(paths, own.unfinished, own.unsealed)
    found.add(inspect_study_files(study.path, runs))
    compared = inspect_comparison(study)
    found.add(compared)
    found.notes += compared.notes
    return found


def release_damaged(path: Path) -> Iterator[str]:
    """Take away the records of stages whose files have changed since, and of tests of a part of the test set.

    So a study runs these again.

    Of a damaged checkpoint, which no ``test`` can make whole, it only says so.

    Args:
        path: ``runs/<study>``; it need not be there yet.

    Yields:
        What was found, in lines.
    """
    study = StudyFolder(path)
    runs = [run.paths for seeds in study.runs().values() for run in seeds.values()]
    tested = [run for run in runs if run.test_record.is_file()]
    for run in tested:
        damages = inspect_run(run).damages
        yield from map(str, damages)
        of_fit = [one for one in damages if is_of_fit(run, one.path)]
        if any(one.path == run.fit_record for one in of_fit):
            run.fit_record.unlink()
        partial = why_partial(run)
        if partial is not None:
            yield f"{run.path}: {partial}"
        if partial is not None or len(of_fit) < len(damages):
            run.test_record.unlink()
    if tested and (shared := inspect_study_files(study.path, runs).damages):
        yield from map(str, shared)
        tested[0].test_record.unlink(missing_ok=True)
    if compared := inspect_comparison(study).damages:
        yield from map(str, compared)
        study.compare_record.unlink(missing_ok=True)


def run_notes(paths: RunPaths, unfinished: list[str], unsealed: list[str]) -> Iterator[str]:
    """Sentences on the stages of a run that are not finished, or not sealed."""
    if partial := why_partial(paths):
        yield f"{paths.path}: test not finished: {partial}"
    if unfinished:
        yield f"{paths.path}: {' and '.join(unfinished)} not finished; what is there was read, and rows were checked"
    if unsealed:
        yield (
            f"{paths.path}: {' and '.join(unsealed)} by an earlier version, which kept no digests of files: they were "
            "read, but a changed value can't be seen. The same command given again seals what is there"
        )


def _files(study: StudyFolder) -> Iterator[Path]:
    yield from (study.tables / f"{name}.parquet" for name in COMPARED_TABLES)
    yield from study.comparison.glob("*/*.parquet")
    for name in stores_below(study.comparison):
        yield from (study.comparison / name).iterdir()
