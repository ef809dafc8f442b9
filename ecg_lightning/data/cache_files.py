"""The files of a beat cache, with digests by which damage is found and named."""

import json
import multiprocessing
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ecg_lightning.storage.atomic import write_json_atomic
from ecg_lightning.storage.hashing import digest_file, digest_without

CACHE_FORMAT: Final = 2
"""Raised with every change of the files. From 2 on they have digests; caches without are read too."""

WITHOUT_DIGESTS: Final = 1

BEAT_DIGESTS: Final = "beats.digests.npy"
"""(beat,) uint64, one for each row of ``beats.npy``; see ``storage.row_digests``."""

AGAIN: Final = "make the cache anew: run `prepare` with the same settings and `--overwrite true`"
"""What to do about a damaged cache."""

_FILES: Final = "digests"
_OWN: Final = "digest"
_told_of_older_caches = False


class DamagedCacheError(ValueError):
    """A file of a cache that is not what was written; the message names it, and what to do."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path}: {self.why}; {AGAIN}"


def write_marker(path: Path, info: Mapping[str, Any], files: Iterable[Path]) -> None:
    """Write ``cache.json``, last of all, with the digests of the other files and one of its own content.

    Args:
        path: Where the marker is written.
        info: What it says.
        files: The others, below the same folder, without ``beats.npy``, whose rows have digests.
    """
    digests = {file.relative_to(path.parent).as_posix(): digest_file(file) for file in files}
    content = {**info, _FILES: digests}
    write_json_atomic(path, {**content, _OWN: digest_without(content, _OWN)})


def read_marker(path: Path) -> dict[str, Any]:
    """Read the content of ``cache.json``.

    Raises:
        DamagedCacheError: It is no JSON, contradicts the digest of its own content, or is of another format.
    """
    try:
        info: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
        found = digest_without(info, _OWN)
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedCacheError(path, f"it is not what `prepare` writes ({error})") from error
    if info.get("format") not in (WITHOUT_DIGESTS, CACHE_FORMAT):
        raise DamagedCacheError(
            path, f"format {info.get('format')}, expected {CACHE_FORMAT}: is it of another version?"
        )
    if (_OWN in info or info["format"] != WITHOUT_DIGESTS) and info.get(_OWN) != found:
        raise DamagedCacheError(path, f"its digest is {info.get(_OWN)}, its own content gives {found}")
    return info


def read_table(path: Path, folder: Path, info: Mapping[str, Any]) -> pd.DataFrame:
    """Read one of the tables; see :func:`check_file`."""
    check_file(path, folder, info)
    try:
        return pd.read_parquet(path)
    except Exception as error:  # pyarrow has many
        raise DamagedCacheError(path, f"it is no table ({type(error).__name__}: {error})") from error


def map_array(path: Path) -> Any:
    """Map an array read-only.

    Raises:
        FileNotFoundError: It isn't there.
        DamagedCacheError: It is no array, or cut short.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {AGAIN}")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy reads a broken header by Python's tokenizer, which raises much
        raise DamagedCacheError(path, f"it is no array, or cut short ({type(error).__name__}: {error})") from error


def check_file(path: Path, folder: Path, info: Mapping[str, Any]) -> None:
    """Compare a file with its digest.

    Args:
        path: The file that is compared.
        folder: The cache's folder.
        info: The content of ``cache.json``; that of an older cache has no digests, and nothing is compared.

    Raises:
        DamagedCacheError: It was changed.
        FileNotFoundError: It isn't there.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; {AGAIN}")
    if _FILES in info and digest_file(path) != info[_FILES].get(path.relative_to(folder).as_posix()):
        raise DamagedCacheError(path, "its content is not what was written (its digest disagrees with cache.json)")


def tell_of_older_caches(folder: Path) -> None:
    """Say once, and on one rank, that a cache has no digests; worker processes leave it to their parent."""
    global _told_of_older_caches
    if _told_of_older_caches or multiprocessing.parent_process() is not None:
        return
    _told_of_older_caches = True
    from lightning_utilities.core.rank_zero import rank_zero_only

    if not getattr(rank_zero_only, "rank", 0):
        warnings.warn(
            f"{folder} was made by an earlier version, which kept no digests: damage in it can't be seen. It is used "
            "as it is; `prepare` with `--overwrite true` makes it anew",
            stacklevel=4,
        )
