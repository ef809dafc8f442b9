"""The files of a RowStore: room on the disk, taken in full when the store is made, and the masks of done rows."""

import glob
import io
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.storage.atomic import sync_path, write_array_atomic
from ecg_lightning.storage.disk import full_disk_explained, preallocate
from ecg_lightning.storage.manifest import StoreCorruptError, StoreSpec, write_manifest

ROWS_NAME = "rows.npy"
_FILL_BYTES = 1 << 23
_MAKE_ROOM = "free some, give another --runs folder, ask for fewer methods or ECGs, or store maps as float16"


def make_folder(path: Path, spec: StoreSpec) -> None:
    """Make a store beside its place and rename it, so that a half-made one is never seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = discard_unfinished(path)
    temporary.mkdir()
    try:
        allocate_rows(temporary / ROWS_NAME, spec, path)
        ensure_mask(mask_path(temporary, 0), spec.shape[0])
        write_manifest(temporary, spec)
        temporary.rename(path)
        sync_path(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def allocate_rows(file: Path, spec: StoreSpec, shown: Path) -> None:
    """Make a ``.npy`` file of the full size, filled with NaN (zero where the dtype has none).

    Args:
        file: The file to make.
        spec: Its shape and dtype.
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


def mask_path(folder: Path, rank: int) -> Path:
    """Where the mask of one rank lies."""
    return folder / f"done.{rank}.npy"


def ensure_mask(path: Path, n_rows: int) -> None:
    """Make a mask in which nothing is done, if there is none."""
    if not path.exists():
        write_array_atomic(path, np.zeros(n_rows, dtype=np.bool_))


def read_mask(path: Path, n_rows: int) -> NDArray[np.bool_]:
    """Read one mask.

    Raises:
        StoreCorruptError: It is missing, truncated, of another length, or holds other bytes than 0 and 1.
    """
    try:
        mask = np.load(path, allow_pickle=False)
        if mask.dtype != np.bool_ or mask.shape != (n_rows,) or mask.view(np.uint8).max() > 1:
            raise ValueError(f"it is {mask.dtype} {mask.shape}, expected {n_rows} booleans")
    except (OSError, ValueError, EOFError) as error:
        raise StoreCorruptError(
            f"{path} is not a mask of {n_rows} rows ({type(error).__name__}: {error}); "
            "delete this file to compute the rows again that it spoke of"
        ) from error
    return np.asarray(mask, dtype=np.bool_)


def mark_runs(path: Path, runs: Sequence[tuple[int, int]], n_rows: int) -> None:
    """Set runs of (first row, count) in a mask.

    The file is opened for each call: closing is what makes its bytes visible on a network file system, and a
    merge may have replaced it since the last one.
    """
    ensure_mask(path, n_rows)
    offset = int(np.lib.format.open_memmap(path, mode="r").offset)
    descriptor = os.open(path, os.O_WRONLY)
    try:
        for start, count in runs:
            write_all(descriptor, memoryview(b"\x01" * count), offset + start)
    finally:
        os.close(descriptor)


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
