"""This module mends row stores with damaged rows, masks or digests: proven rows stay, the rest is computed again."""

import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.storage.atomic import atomic_path
from ecg_lightning.storage.hashing import digest_bytes
from ecg_lightning.storage.manifest import StoreDamagedError, raise_version, read_manifest
from ecg_lightning.storage.row_digests import DIGEST_DTYPE, NO_DIGEST, Digests, digest_rows_of, fits
from ecg_lightning.storage.store_files import digests_path, digests_paths, mask_paths, read_marks, replace_marks
from ecg_lightning.storage.stored_rows import StoredRows, damaged_rows


def repair(store: StoredRows) -> None:
    """Un-mark what is damaged, with a warning, before rank zero goes on with a store and the others attach.

    A row whose digest fits is done whatever became of its mask: digests are written when the row is on the disk. A row
    that is done without a digest that fits is not done any more. In a store of an earlier version, which stored no
    digests, done rows are taken as they are, and get digests.
    """
    n, broken = len(store), list[str]()
    done = np.logical_or.reduce([np.zeros(n, np.bool_), *_readable(mask_paths(store.path), n, broken)])
    if not store.has_digests:
        replace_marks(store.path, done, _digests(store, done))
        raise_version(store.path)
        _warn(store.path, broken, np.flatnonzero(done[:0]))
        return
    candidates: Sequence[Digests] = list(_readable(digests_paths(store.path), n, broken))
    known = np.logical_or.reduce([done, *(digests != NO_DIGEST for digests in candidates)])
    found = _digests(store, known)
    proven = known & fits(found, candidates)
    if broken or (proven != done).any():
        replace_marks(store.path, proven, np.where(proven, found, DIGEST_DTYPE.type(NO_DIGEST)))
        _warn(store.path, broken, np.flatnonzero(done & ~proven))


def restore_digests(folder: Path, sealed: str) -> bool:
    """Write the digests of a finished store anew, if a seal proves that its rows are those that were sealed.

    Args:
        folder: The store's, whose ``digests.0.npy`` is damaged or missing.
        sealed: ``hashing.digest_file`` of ``digests.0.npy`` when the store was finished.

    Returns:
        Whether the file is as it was sealed now; if not, nothing was written.

    Raises:
        StoreCorruptError: Its manifest, rows or mask are broken.
    """
    store = StoredRows(folder, read_manifest(folder))
    content = io.BytesIO()
    np.save(content, _digests(store, store.done), allow_pickle=False)
    if not store.has_digests or digest_bytes(content.getvalue()) != sealed:
        return False
    with atomic_path(digests_path(folder, 0)) as temporary:
        temporary.write_bytes(content.getvalue())
    return True


def _digests(store: StoredRows, which: NDArray[np.bool_]) -> Digests:
    """(n,) of what stands in the rows ``which``, no digest elsewhere."""
    digests = np.full(len(store), NO_DIGEST, dtype=DIGEST_DTYPE)
    digests[which] = digest_rows_of(store.array, np.flatnonzero(which))
    return digests


def _readable(paths: Sequence[Path], n_rows: int, broken: list[str]) -> Iterator[NDArray[Any]]:
    """Masks or digests; the names of those that are missing or broken are put into ``broken``."""
    for path in paths:
        try:
            yield read_marks(path, n_rows)
        except StoreDamagedError:
            broken.append(path.name)


def _warn(folder: Path, broken: Sequence[str], damaged: NDArray[np.int64]) -> None:
    """Say what was found, unless a kill explains it."""
    said = [f"{', '.join(broken)} missing or broken and made anew"] if broken else []
    said += [f"{damaged_rows(damaged)}: computed again"] if len(damaged) else []
    if said:
        warnings.warn(f"{folder}: {'; '.join(said)}", stacklevel=4)
