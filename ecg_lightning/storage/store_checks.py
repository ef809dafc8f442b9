"""This module checks that a row store is what was written: its rows by their digests, and the rest of the file."""

from pathlib import Path
from typing import Final

import numpy as np

from ecg_lightning.storage.hashing import new_digest
from ecg_lightning.storage.manifest import StoreError, read_manifest
from ecg_lightning.storage.store_files import ROWS_NAME
from ecg_lightning.storage.stored_rows import StoredRows, damaged_rows

_BLOCK_ROWS: Final = 256


def has_row_digests(folder: Path) -> bool:
    """Return whether the rows of a store have digests: not those of earlier versions, nor those of a broken store."""
    try:
        return StoredRows(folder, read_manifest(folder)).has_digests
    except StoreError:
        return False


def digest_rest(folder: Path) -> str:
    """Hash of the bytes of ``rows.npy`` that no row's digest covers: its header, and the rows that are not done.

    Args:
        folder: Folder of the store.

    Returns:
        32 hexadecimal digits.

    Raises:
        StoreCorruptError: The store is broken.
    """
    store = StoredRows(folder, read_manifest(folder))
    rows, absent = store.array, np.flatnonzero(~store.done)
    digest = new_digest()
    with (folder / ROWS_NAME).open("rb") as file:
        digest.update(file.read(rows.offset))
    for start in range(0, len(absent), _BLOCK_ROWS):
        digest.update(np.ascontiguousarray(rows[absent[start : start + _BLOCK_ROWS]]).tobytes())
    return digest.hexdigest()


def why_rows_broken(folder: Path) -> tuple[int, str]:
    """Compare the rows of a store with their digests.

    Args:
        folder: Folder of the store.

    Returns:
        Rows that were compared, and what is wrong, empty where nothing is.
    """
    try:
        store = StoredRows(folder, read_manifest(folder))
        damaged = store.damaged()
    except (StoreError, OSError) as error:
        return 0, str(error)
    done = int(store.done.sum()) if store.has_digests else 0
    return done, damaged_rows(damaged) if len(damaged) else ""
