"""This module makes the files of a RowStore: disk space, taken in full at the start; masks and digests of done rows."""

import glob
import io
import os
import shutil
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.storage.atomic import sync_path, write_array_atomic
from ecg_lightning.storage.disk import full_disk_explained, preallocate
from ecg_lightning.storage.manifest import MANIFEST_NAME, StoreDamagedError, StoreSpec, write_manifest
from ecg_lightning.storage.row_digests import DIGEST_DTYPE, Digests

ROWS_NAME: Final = "rows.npy"
COMPUTED_AGAIN: Final = "run the command that made it again (`test`, `compare`): what is damaged is computed again"
"""What to do about rows, masks or digests that are damaged."""

_MASK: Final = "done"
_DIGESTS: Final = "digests"
_MARKS_BYTES: Final = 9  # of a row: its bit in the mask, and its digest
_DTYPES: Final = {_MASK: np.dtype(np.bool_), _DIGESTS: DIGEST_DTYPE}
_FILL_BYTES = 1 << 23
_MAKE_ROOM = "free some, give another --runs folder, ask for fewer methods or ECGs, or store maps as float16"


def make_folder(path: Path, spec: StoreSpec) -> None:
    """Make a store beside its path and rename it, so that a half-made one is never seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = discard_unfinished(path)
    temporary.mkdir()
    try:
        allocate_rows(temporary / ROWS_NAME, spec, path)
        ensure_marks(temporary, 0, spec.shape[0])
        write_manifest(temporary, spec)
        temporary.rename(path)
        sync_path(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def allocate_rows(file: Path, spec: StoreSpec, shown: Path) -> None:
    """Make a ``.npy`` file of the full size, filled with NaN (zero where the dtype has none).

    Args:
        file: The file to make.
        spec: Shape and dtype of the array.
        shown: The folder that errors name.

    Raises:
        DiskSpaceError: The disk or the quota is too small.
    """
    header = _header(spec)
    payload = spec.shape[0] * spec.row_bytes
    needed = len(header) + payload
    with full_disk_explained(shown, needed, _MAKE_ROOM), file.open("xb", buffering=0) as opened:
        descriptor = opened.fileno()
        preallocate(descriptor, needed, file.parent)
        write_all(descriptor, memoryview(header), 0)
        _fill(descriptor, spec, len(header), payload)
        os.fsync(descriptor)


def write_all(descriptor: int, data: memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``: ``os.pwrite`` may write less than it was given."""
    while data.nbytes:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def flush_data(descriptor: int) -> None:
    """Wait until what was written is on the disk (macOS has no ``fdatasync``)."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def discard_unfinished(path: Path) -> Path:
    """Delete what killed makers of the store at ``path`` left behind, and give a free temporary name beside it."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.????????.creating"):
        shutil.rmtree(leftover)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.creating")


def is_of_a_store(path: Path) -> bool:
    """Tell what is left of a store from a folder that is somebody's own."""
    return any((path / name).exists() for name in (MANIFEST_NAME, ROWS_NAME))


def move_aside(path: Path) -> Path:
    """Rename a store, so that another one can be made in its place; gives its new path."""
    moved = path.with_name(f"{path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    path.rename(moved)
    return moved


def mask_path(folder: Path, rank: int) -> Path:
    """Return where the mask of one rank lies."""
    return folder / f"{_MASK}.{rank}.npy"


def digests_path(folder: Path, rank: int) -> Path:
    """Return where the digests of the rows that one rank wrote lie."""
    return folder / f"{_DIGESTS}.{rank}.npy"


def ensure_marks(folder: Path, rank: int, n_rows: int) -> None:
    """Make a mask in which nothing is done, and digests of no row, where a rank has none."""
    with full_disk_explained(folder, _MARKS_BYTES * n_rows, _MAKE_ROOM):
        for path in (digests_path(folder, rank), mask_path(folder, rank)):
            if not path.exists():
                write_array_atomic(path, np.zeros(n_rows, dtype=_DTYPES[path.name.partition(".")[0]]))


def mask_paths(folder: Path) -> list[Path]:
    """List the masks of all ranks, that of rank zero last, whether or not it is there.

    If a merge by rank zero takes another mask away while they are read, that of rank zero holds its rows.
    """
    return _of_all_ranks(folder, _MASK)


def digests_paths(folder: Path) -> list[Path]:
    """List the digests of all ranks; see :func:`mask_paths`."""
    return _of_all_ranks(folder, _DIGESTS)


def read_marks(path: Path, n_rows: int) -> NDArray[Any]:
    """Read a mask or digests of one rank.

    Returns:
        (n,) booleans or uint64.

    Raises:
        StoreDamagedError: The file is missing, truncated, of another length, or a mask that holds other bytes than 0
            and 1.
    """
    dtype = _DTYPES[path.name.partition(".")[0]]
    try:
        with path.open("rb") as file:
            marks: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):
                raise ValueError("it has more bytes than its header says")
        if marks.dtype != dtype or marks.shape != (n_rows,):
            raise ValueError(f"it is {marks.dtype} {marks.shape}, expected {dtype} {(n_rows,)}")
        if dtype == np.bool_ and marks.view(np.uint8).max() > 1:
            raise ValueError("it holds other bytes than 0 and 1")
        return marks
    except Exception as error:  # NumPy reads a broken header by Python's tokenizer, which raises much
        what = f"a mask of {n_rows} rows" if dtype == np.bool_ else f"the digests of {n_rows} rows"
        raise StoreDamagedError(f"{path} is not {what} ({type(error).__name__}: {error}); {COMPUTED_AGAIN}") from error


def mark_runs(path: Path, runs: Sequence[tuple[int, NDArray[Any]]]) -> None:
    """Write runs of (first row, values) into a mask or digests.

    The file is opened for each call: closing is what makes its bytes visible on a network file system, and a
    merge may have replaced it since the last one.
    """
    offset = _header_size(path)
    descriptor = os.open(path, os.O_WRONLY)
    try:
        for start, values in runs:
            write_all(descriptor, values.data.cast("B"), offset + start * values.itemsize)
    finally:
        os.close(descriptor)


def replace_marks(folder: Path, done: NDArray[np.bool_], digests: Digests) -> None:
    """Make one mask and one file of digests, those of rank zero, of all ranks'.

    A kill at any moment loses no row: digests that no mask speaks of yet do no harm, a mask without its digests
    would, and the others go when rank zero's files are on the disk.
    """
    others = [*mask_paths(folder)[:-1], *digests_paths(folder)[:-1]]
    with full_disk_explained(folder, _MARKS_BYTES * len(done), _MAKE_ROOM):
        write_array_atomic(digests_path(folder, 0), digests)
        write_array_atomic(mask_path(folder, 0), done)
    for path in others:
        path.unlink(missing_ok=True)


def _of_all_ranks(folder: Path, kind: str) -> list[Path]:
    last = folder / f"{kind}.0.npy"
    return [*sorted(set(folder.glob(f"{kind}.*.npy")) - {last}), last]


def _header_size(path: Path) -> int:
    """Of a file that NumPy or ``_header`` wrote; mapping it would look up every folder of its path."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return file.tell()


def _fill(descriptor: int, spec: StoreSpec, offset: int, size: int) -> None:
    dtype = np.dtype(spec.dtype)
    value = np.nan if dtype.kind == "f" else 0
    block = np.full(min(_FILL_BYTES, size) // dtype.itemsize, value, dtype=dtype).data.cast("B")
    for start in range(0, size, block.nbytes):
        write_all(descriptor, block[: size - start], offset + start)


def _header(spec: StoreSpec) -> bytes:
    header = io.BytesIO()
    description = np.lib.format.dtype_to_descr(np.dtype(spec.dtype))
    np.lib.format.write_array_header_1_0(header, {"descr": description, "fortran_order": False, "shape": spec.shape})
    return header.getvalue()
