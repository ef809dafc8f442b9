"""Files read back so that a damaged one is named, whatever the library that reads it has raised."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

CHANGED: Final = "its content was changed after it was written"
"""What is wrong with a file that can be read and contradicts its hash."""

_NO_DAMAGE: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
"""Errors that name their file, and say what to do by themselves."""


class DamagedFileError(ValueError):
    """A file whose content is not what was written there; the message names it, the cause and the remedy.

    Args:
        path: The damaged file.
        why: What is wrong with it.
        remedy: What to do, a sentence without its full stop.
    """

    def __init__(self, path: Path, why: str, remedy: str) -> None:
        super().__init__(f"{path} is damaged: {why}. {remedy[:1].upper()}{remedy[1:]}")
        self.path, self.why, self.remedy = path, why, remedy

    def __reduce__(self) -> tuple[type["DamagedFileError"], tuple[Path, str, str]]:
        """Worker processes send it to their parent, and errors are rebuilt from their message alone by default."""
        return type(self), (self.path, self.why, self.remedy)


@contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Give every error of a block that reads one file the name of that file.

    Args:
        path: The file that the block reads.
        remedy: What to do about a damaged one.

    Raises:
        DamagedFileError: For any error but those of a file that is absent or must not be read.
    """
    try:
        yield
    except (DamagedFileError, *_NO_DAMAGE):
        raise
    except Exception as error:  # changed bytes raise whatever their library happens to stumble over
        words = str(error).strip().split("\n", 1)[0].rstrip(".")
        raise DamagedFileError(path, f"it can't be read ({type(error).__name__}: {words})", remedy) from error


def read_json(path: Path, remedy: str) -> Any:
    """Read a JSON file.

    Args:
        path: The JSON file.
        remedy: What to do about a damaged one.

    Raises:
        FileNotFoundError: It is not there.
        DamagedFileError: It is no JSON.
    """
    with reading(path, remedy):
        return json.loads(path.read_text(encoding="utf-8"))


def read_table(path: Path, remedy: str, columns: Collection[str] = ()) -> "pd.DataFrame":
    """Read a table from its file.

    Args:
        path: A Parquet file, or a CSV of that suffix.
        remedy: What to do about a damaged one.
        columns: That it must have.

    Raises:
        FileNotFoundError: It is not there.
        DamagedFileError: It can't be read as a table, or lacks a column.
    """
    import pandas as pd  # slow, and not every reader of JSON needs it

    with reading(path, remedy):
        table = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    if absent := sorted(set(columns) - set(table.columns)):
        raise DamagedFileError(path, f"it lacks the columns {', '.join(absent)}", remedy)
    return table


def read_array(path: Path, remedy: str) -> NDArray[Any]:
    """Open a ``.npy`` file as a memory map for reading.

    Args:
        path: The ``.npy`` file.
        remedy: What to do about a damaged one.

    Raises:
        FileNotFoundError: It is not there.
        DamagedFileError: It is no array of numbers, is cut short, or has more bytes than its array.
    """
    with reading(path, remedy):
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        size, expected = path.stat().st_size, int(array.offset) + array.nbytes  # type: ignore[attr-defined]
        if size != expected:
            raise ValueError(f"it has {size:,} bytes, its header speaks of {expected:,}")
        return array
