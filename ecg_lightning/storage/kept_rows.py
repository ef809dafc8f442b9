"""A finished store gives back the disk of rows that nobody wants to keep."""

import os
import uuid

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.storage.row_digests import NO_DIGEST
from ecg_lightning.storage.store import RowStore
from ecg_lightning.storage.store_files import ROWS_NAME, replace_marks, write_all


def keep_rows(store: RowStore, kept: NDArray[np.bool_]) -> None:
    """Keep some rows of a merged store; the others are not done any more, and take no room.

    Marks go first: a kill in between leaves rows that nothing speaks of. In the file the others are holes, which
    read as 0 where ``done`` is not asked for; ``read`` gives NaN.

    Args:
        store: Opened by rank zero, after ``merge``.
        kept: (n,) which rows stay.

    Raises:
        ValueError: Another number of rows.
    """
    if kept.shape != (len(store),):
        raise ValueError(f"{store.path} has {len(store)} rows, got {kept.shape} of which to keep")
    done, digests = store.done, store.digests[-1]
    replace_marks(store.path, done & kept, np.where(kept, digests, NO_DIGEST))
    array = store.array
    path, size = store.path / ROWS_NAME, store.spec.row_bytes
    temporary = path.with_name(f".{ROWS_NAME}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with path.open("rb") as whole, temporary.open("xb", buffering=0) as sparse:
            head = int(array.offset)
            sparse.truncate(head + len(store) * size)
            write_all(sparse.fileno(), memoryview(whole.read(head)), 0)
            for row in np.flatnonzero(done & kept).tolist():
                whole.seek(head + row * size)
                write_all(sparse.fileno(), memoryview(whole.read(size)), head + row * size)
            os.fsync(sparse.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
