"""Recordings of a source to a cache of median beats, or of windows."""

import shutil
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from rich.console import Console

from ecg_lightning.data.cache import MARKER, BeatCache
from ecg_lightning.data.merge import finish, merge
from ecg_lightning.data.representations import MedianBeats, Representation
from ecg_lightning.data.shards import PrepareSettings, Shard
from ecg_lightning.data.sources.base import Entry, Source
from ecg_lightning.data.sources.entry_checks import checked_entries
from ecg_lightning.data.sources.label_map import name_codes
from ecg_lightning.data.worker_pool import worker_count
from ecg_lightning.data.workers import check_not_importing_main, run_shards
from ecg_lightning.ecg import FORMAT_SETTING, MIN_AGE
from ecg_lightning.signal.beat import Neighbours
from ecg_lightning.storage.hashing import digest_settings

_MAX_SHARD: Final = 250
_MIN_SHARD: Final = 25
_WANTED_SHARDS: Final = 32
_HASH_DIGITS: Final = 12
_HASHED_FORMAT: Final = 1
"""Raised with a change of what the files hold; not with ``CACHE_FORMAT``, so that older caches are found."""


def prepare(
    source: Source,
    cache_dir: str | Path,
    *,
    neighbours: Neighbours = "keep",
    representation: Representation | None = None,
    processes: int | None = None,
    min_age: float = MIN_AGE,
    overwrite: bool = False,
    progress: bool = True,
) -> BeatCache:
    """Compute the median beat of every recording of a source, or cut its window, once, and open the result.

    The cache lies in ``<cache_dir>/<source's name>-<hash>``; the hash is of all that determines its content, so other
    settings make another folder and a finished cache is only opened, which needs no right to write. A killed run goes
    on where it was. Of two processes that prepare the same cache the second waits for the first.

    Every ECG ends in ``examples.parquet`` or, with the reason, in ``rejected.parquet``: lines of a table and files that
    can't be read, impossible labels, ages or ids, signals without a usable median beat, patients under ``min_age``
    (paper, Methods, "Study population"). An ECG of unknown age is included. Codes that mean no target are counted in
    ``cache.json`` and named in the final line. What is odd about beats that are used is a warning, with the number of
    ECGs and the first of them, and is in ``cache.json`` too.
    Files of a source that were missing and are there now do not change the hash: repair them and prepare with
    ``overwrite``.

    Args:
        source: The source whose recordings are read.
        cache_dir: Folder of all caches.
        neighbours: What is done with neighbouring beats: see :func:`ecg_lightning.signal.beat.median_beat`.
        representation: What is kept of each recording; None: its median beat.
        processes: Worker processes; None for one per core that this process may use, 1 to work in this process. A
            script that calls this with more than one needs ``if __name__ == "__main__":`` around it.
        min_age: Least age in years.
        overwrite: Throw away a cache of the same settings, finished or not.
        progress: Show a bar (on a terminal) and a final line.

    Returns:
        The cache.

    Raises:
        ValueError: No ECG can be used, an argument is out of range, or the source's settings can't be hashed.
        FileNotFoundError: The source's table is missing.
        DiskSpaceError: The disk is full; the message has the sizes.
        RuntimeError: A worker process died.
    """
    if not min_age >= 0.0:
        raise ValueError(f"min_age: expected years from 0 on, got {min_age}")
    check_not_importing_main()
    workers = worker_count(processes)
    what = PrepareSettings(chosen_representation(representation, neighbours), float(min_age))
    settings = cache_settings(source, what)
    folder = Path(cache_dir) / f"{source.name}-{cache_hash(settings)}"
    console = Console(stderr=True, quiet=not progress)
    if overwrite or not _finished(folder):  # a finished cache may be shared and read-only: no lock
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder, console):
            if overwrite:
                _discard(folder)
            if not _finished(folder):
                _build(source, folder, what, settings, workers, console)
    cache = BeatCache.open(folder)
    console.print(_outcome(cache), markup=False, highlight=False, soft_wrap=True)
    return cache


def _finished(folder: Path) -> bool:
    return (folder / MARKER).is_file()


def _discard(folder: Path) -> None:
    (folder / MARKER).unlink(missing_ok=True)  # first, so that nobody opens a cache that is being deleted
    if folder.exists():
        shutil.rmtree(folder)


def chosen_representation(representation: Representation | None, neighbours: Neighbours) -> Representation:
    """Return the representation, or median beats where there is none.

    Raises:
        ValueError: Neighbouring beats of something else than median beats are to be blanked.
    """
    if representation is None:
        return MedianBeats(neighbours)
    if neighbours != "keep" and representation != MedianBeats(neighbours):
        raise ValueError("neighbours: blank is for median beats; leave it out, or leave `data.representation` out")
    return representation


def cache_settings(source: Source, what: PrepareSettings) -> dict[str, Any]:
    """Return all that determines the content of a cache, JSON-able."""
    own = what.representation.settings()
    return {
        "source": source.name,
        "source_settings": source.settings(),
        **own,
        "beat": {**own.get("beat", {}), "min_age": what.min_age},
        "format": _HASHED_FORMAT,
    }


def cache_hash(settings: dict[str, Any]) -> str:
    """Hash the settings to 12 hexadecimal digits, independent of the order of their keys."""
    return digest_settings(settings)[:_HASH_DIGITS]


@contextmanager
def _alone(folder: Path, console: Console) -> Iterator[None]:
    """Hold the lock of a cache; the system frees it when a process dies."""
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print(f"another process prepares {folder}; waiting for it", markup=False, soft_wrap=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build(
    source: Source, folder: Path, what: PrepareSettings, settings: dict[str, Any], workers: int, console: Console
) -> None:
    entries = checked_entries(source)
    for left_over in folder.rglob(".*.tmp*"):  # of a killed run; the lock is held
        left_over.unlink()
    shards = _shards(entries, folder / "parts")
    missing = [shard for shard in shards if not zipfile.is_zipfile(shard.path)]
    run_shards(source, missing, what, workers, console)
    signal_format = what.representation.format
    try:
        found = merge(folder, [shard.path for shard in shards], entries, source.name, signal_format.shape)
    except ValueError:
        # Parts that stay would repeat the failure after its cause (a wrong root, say) is gone.
        shutil.rmtree(folder)
        raise
    for remark, ecgs in found["counts"].get("remarks", {}).items():
        warnings.warn(f"{source.name}: of {ecgs['ecgs']:,} ECGs ({ecgs['first']} is the first) {remark}", stacklevel=3)
    found["counts"]["unmapped_codes"] = {code: int(n) for code, n in source.unmapped_codes().items()}
    head = {"hash": cache_hash(settings), "settings": settings, FORMAT_SETTING: signal_format.as_dict()}
    finish(folder, {**head, **found})
    shutil.rmtree(folder / "parts")


def _shards(entries: Sequence[Entry], parts: Path) -> list[Shard]:
    """Stretches of 25 to 250 entries, by the number of entries alone: a resumed run must find the same."""
    size = min(max(-(-len(entries) // _WANTED_SHARDS), _MIN_SHARD), _MAX_SHARD)
    return [
        Shard(parts / f"{start:09d}.npz", start, entries[start : start + size])
        for start in range(0, len(entries), size)
    ]


def _outcome(cache: BeatCache) -> str:
    counts = cache.info["counts"]
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(counts["by_kind"].items(), key=lambda item: -item[1]))
    rejected = f"{counts['rejected']:,} rejected" + (f" ({kinds})" if kinds else "")
    codes = counts.get("unmapped_codes", {})  # caches of earlier versions do not say
    strange = f"; {len(codes)} codes mean no target; most frequent: {name_codes(codes)}" if codes else ""
    used = f"{cache.info['settings']['source']}: {counts['examples']:,} ECGs used"
    return f"{used}, {rejected}{strange}; {cache.folder}"
