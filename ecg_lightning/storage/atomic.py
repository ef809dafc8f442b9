"""Files that are written whole or not at all: a temporary name in the same folder, fsync, rename."""

import errno
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.storage.disk import full_disk_explained

if TYPE_CHECKING:
    import pandas as pd


_MAKE_ROOM: Final = "free some and give the same command again: what is done is kept"

_unfinished: set[Path] = set()
"""Temporary files that are being written now."""


def discard_temporaries() -> None:
    """Delete the temporary files of this process, which is about to end without finishing them."""
    for path in tuple(_unfinished):
        path.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path that becomes ``path`` when the block ends, and vanishes when it raises.

    A reader therefore sees the old file or the new one, never half of one, also after a power cut.

    Args:
        path: The file to write; its folder is made where it is missing.

    Yields:
        A path in the same folder with the same suffix, so that writers which choose the format by the
        suffix (matplotlib) work on it.

    Raises:
        DiskSpaceError: The disk is full; the message names ``path``.
        OSError: Any other, with the file's name, which some libraries leave out.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:12]}.tmp{path.suffix}")
    _unfinished.add(temporary)
    try:
        with full_disk_explained(path, None, _MAKE_ROOM):
            yield temporary
            sync_path(temporary)
            temporary.replace(path)
            sync_path(path.parent)
    except OSError as error:
        if type(error) is OSError and error.filename is None:
            raise OSError(
                error.errno or errno.EIO, f"{error.strerror or error}; it was being written", str(path)
            ) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def sync_path(path: Path) -> None:
    """Flush a file's content, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text_atomic(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8) whole."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json_atomic(path: str | Path, value: object) -> None:
    """Write a JSON file whole, indented.

    JSON knows no NaN, and a file with one is refused by every parser but Python's: NaN becomes ``null``.
    NumPy scalars and arrays become numbers and lists.

    Args:
        path: The file to write.
        value: Mappings with string keys, sequences, strings, numbers, booleans, None, NumPy scalars and arrays.

    Raises:
        ValueError: An infinite number, or a type that JSON does not have; the message names the position.
    """
    text = json.dumps(plain_json(value, str(path)), indent=2, allow_nan=False, ensure_ascii=False)
    write_text_atomic(path, text + "\n")


def write_parquet_atomic(path: str | Path, frame: "pd.DataFrame") -> None:
    """Write a data frame as Parquet, whole, without its index."""
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def write_array_atomic(path: str | Path, array: NDArray[np.generic]) -> None:
    """Write an array as ``.npy``, whole."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def plain_json(value: object, where: str) -> object:
    """Convert a value to the types of JSON.

    Args:
        value: A value that ``write_json_atomic`` accepts.
        where: How an error names the position.

    Raises:
        ValueError: As for ``write_json_atomic``.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {_key(key, where): plain_json(item, f"{where}: {key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, float) and math.isinf(value):
        raise ValueError(f"{where} is {value}; JSON holds finite numbers only (NaN is written as null)")
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(
        f"{where} is a {type(value).__name__}; JSON holds mappings, sequences, strings, numbers, "
        "booleans and null: convert it before it is written"
    )


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise ValueError(f"{where} has the key {key!r} of type {type(key).__name__}; JSON keys are strings")
    return key
