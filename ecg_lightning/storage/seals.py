"""Seals: what the files of a finished stage were when it ended, so that any other content is noticed.

A stage's record (``fit.done.json``) holds the size and a hash of every file that the stage left, below ``sealed``, and
a hash of itself. Rows of a store have digests of their own: of ``rows.npy`` only the rest is sealed.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ecg_lightning.storage.atomic import plain_json, write_json_atomic
from ecg_lightning.storage.hashing import digest_file, digest_without
from ecg_lightning.storage.readers import CHANGED, DamagedFileError, read_json
from ecg_lightning.storage.store_checks import digest_rest, has_row_digests, why_rows_broken
from ecg_lightning.storage.store_files import ROWS_NAME

SEALED: Final = "sealed"
_DIGEST: Final = "digest"
_STAGE: Final = "stage"
_REST: Final = "rest"

Seal = dict[str, dict[str, Any]]
"""File, relative to the record's folder -> ``bytes`` and ``digest``."""


@dataclass(frozen=True)
class Damage:
    """A file that is not what was sealed, or rows that are not.

    Attributes:
        path: The file; ``rows.npy`` of a store whose rows are meant.
        why: What is wrong.
        remedy: What to do.
    """

    path: Path
    why: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self._words()}"

    def below(self, folder: Path) -> str:
        """Return the same with the file's path relative to a folder, for what leaves the machine."""
        return f"{Path(os.path.relpath(self.path, folder)).as_posix()}: {self._words()}"

    def _words(self) -> str:
        return self.why + (f". {self.remedy[:1].upper()}{self.remedy[1:]}" if self.remedy else "")


@dataclass
class Inspection:
    """An inspection says what was looked at, and what was found.

    Attributes:
        damages: Files and rows that are not what they were.
        files: Files that were looked at.
        rows: Rows that were compared with their digests.
        bytes: That were read.
    """

    damages: list[Damage] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    bytes: int = 0

    def add(self, other: "Inspection") -> None:
        """Count another one's too."""
        self.damages += other.damages
        self.files, self.rows, self.bytes = self.files + other.files, self.rows + other.rows, self.bytes + other.bytes


def seal(folder: Path, files: Iterable[Path]) -> Seal:
    """Return sizes and hashes of files that were written.

    Args:
        folder: Folder of the record.
        files: Files below the folder, or beside its parents; what is not there is left out.
    """
    return {
        Path(os.path.relpath(path, folder)).as_posix(): {"bytes": path.stat().st_size, **_hashed(path)}
        for path in sorted(files)
        if path.is_file()
    }


def inspect(folder: Path, sealed: Mapping[str, Mapping[str, Any]], remedy: Callable[[str], str]) -> Inspection:
    """Compare files with their seals, and the rows of stores with their digests.

    Args:
        folder: Folder of the record.
        sealed: What ``seal`` gave, or some of it.
        remedy: Name of a file -> what to do where it is damaged.
    """
    found = Inspection()
    for name in sorted(sealed, key=lambda name: name.endswith(f"/{ROWS_NAME}")):  # rows last: of whole stores only
        path, entry = folder / name, sealed[name]
        found.files += 1
        if why := _why_broken(path, entry, {one.path for one in found.damages}, found):
            found.damages.append(Damage(path, why, remedy(name)))
    return found


def broken(folder: Path, sealed: Mapping[str, Mapping[str, Any]]) -> list[Damage]:
    """List the files that are not what they were when they were sealed, as ``inspect`` finds them."""
    return inspect(folder, sealed, lambda _: "").damages


def write_record(path: Path, stage: str, content: Mapping[str, Any], files: Iterable[Path]) -> None:
    """Write the record of a finished stage, with the seals of its files and a hash of itself.

    Args:
        path: File of the record.
        stage: ``fit``, ``test`` or ``compare``: two swapped records are noticed.
        content: What else it says.
        files: That the stage has left or used.
    """
    record: Any = plain_json({**content, _STAGE: stage, SEALED: seal(path.parent, files)}, str(path))
    write_json_atomic(path, {**record, _DIGEST: digest_without(record, _DIGEST)})


def read_record(path: Path, stage: str, remedy: str, earlier: Collection[str]) -> dict[str, Any]:
    """Read the record of a finished stage.

    Args:
        path: File of the record.
        stage: Name of the stage that the record is of.
        remedy: What to do about a damaged one.
        earlier: The keys that one of an earlier version may have, which has neither seals nor a hash.

    Returns:
        Its content; ``sealed`` is missing in a record of an earlier version.

    Raises:
        FileNotFoundError: It is not there.
        DamagedFileError: It is no JSON, was changed, or is of another stage.
    """
    record = read_json(path, remedy)
    if isinstance(record, dict) and set(record) <= set(earlier):
        return record
    if not isinstance(record, dict) or not {_DIGEST, _STAGE, SEALED} <= set(record):
        raise DamagedFileError(path, f"it is not the record of a finished {stage}", remedy)
    if record[_DIGEST] != digest_without(record, _DIGEST):
        raise DamagedFileError(path, CHANGED, remedy)
    if record[_STAGE] != stage:
        raise DamagedFileError(path, f"it is the record of a {record[_STAGE]}, not of a {stage}", remedy)
    return record


def _hashed(path: Path) -> dict[str, str]:
    """Hash a file, or what the digests of a store's rows do not cover."""
    if path.name == ROWS_NAME and has_row_digests(path.parent):
        return {_REST: digest_rest(path.parent)}
    return {_DIGEST: digest_file(path)}


def _why_broken(path: Path, entry: Mapping[str, Any], known: Collection[Path], found: Inspection) -> str:
    """What is wrong with a file; empty where nothing is."""
    try:
        size = path.stat().st_size
        if size != entry["bytes"]:
            return f"it has {size:,} bytes, {entry['bytes']:,} were written"
        found.bytes += size
        if path.name == ROWS_NAME:
            if any(one.parent == path.parent for one in known):
                return ""  # without its manifest, mask and digests nothing can be said of its rows
            rows, why = why_rows_broken(path.parent)
            found.rows += rows
            if why or _REST in entry:
                return why or ("" if digest_rest(path.parent) == entry[_REST] else f"{CHANGED}, outside of the rows")
        return "" if digest_file(path) == entry[_DIGEST] else CHANGED
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it can't be read ({error.strerror or error})"
