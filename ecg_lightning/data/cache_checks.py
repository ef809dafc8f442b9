"""This module checks that a cache of beats is what ``prepare`` wrote: every beat and file against its digest."""

from pathlib import Path

import numpy as np

from ecg_lightning.data.cache import BEATS, MARKER
from ecg_lightning.data.cache_files import AGAIN, BEAT_DIGESTS, DamagedCacheError, check_file, map_array, read_marker
from ecg_lightning.storage.row_digests import digest_rows_of
from ecg_lightning.storage.seals import Damage, Inspection
from ecg_lightning.storage.stored_rows import damaged_rows


def is_cache(folder: Path) -> bool:
    """Return whether a folder is a finished cache."""
    return (folder / MARKER).is_file()


def inspect_cache(folder: Path) -> tuple[Inspection, bool]:
    """Compare every file of a cache and every beat with its digest.

    Args:
        folder: The cache's folder, ``<cache_dir>/<source>-<hash>``.

    Returns:
        What was found, and whether there are digests: earlier versions stored none.
    """
    found = Inspection(files=1)
    try:
        info = read_marker(folder / MARKER)
    except DamagedCacheError as error:
        found.damages.append(Damage(error.path, error.why, AGAIN))
        return found, True
    names = info.get("digests", {})
    for name in names:
        _look(folder, folder / name, info, found)
    if not found.damages and names:
        _compare_beats(folder, found)
    return found, bool(names)


def _look(folder: Path, path: Path, info: dict[str, object], found: Inspection) -> None:
    found.files += 1
    found.bytes += path.stat().st_size if path.is_file() else 0
    try:
        check_file(path, folder, info)
    except FileNotFoundError:
        found.damages.append(Damage(path, "it is missing", AGAIN))
    except DamagedCacheError as error:
        found.damages.append(Damage(path, error.why, AGAIN))


def _compare_beats(folder: Path, found: Inspection) -> None:
    path = folder / BEATS
    found.files += 1
    try:
        beats, digests = map_array(path), np.load(folder / BEAT_DIGESTS)
        if len(beats) != len(digests):
            raise DamagedCacheError(path, f"it holds {len(beats):,} beats, {len(digests):,} were written")
        rows = np.arange(len(beats))
        damaged = rows[digest_rows_of(beats, rows) != digests]
        found.rows += len(rows)
        found.bytes += path.stat().st_size
        found.damages += [Damage(path, damaged_rows(damaged), AGAIN)] if len(damaged) else []
    except FileNotFoundError:
        found.damages.append(Damage(path, "it is missing", AGAIN))
    except DamagedCacheError as error:
        found.damages.append(Damage(path, error.why, AGAIN))
