"""Files of an archive: which lie below its root, and which a header or a table may name."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import ClassVar, Final, NoReturn

from ecg_lightning.data.sources.base import RecordingError
from ecg_lightning.storage.hashing import new_digest

_SHOWN: Final = 5


class OutsideError(RecordingError):
    """A header or a table names a file that does not lie below its own folder."""

    kind: ClassVar[str] = "outside"


def named_file(folder: Path, name: str, where: str) -> Path:
    """Return the file that a header or a table names.

    A name says what to open on this machine, so one that leads out of the archive is refused. Links that lie in the
    archive are its owner's own and may lead anywhere.

    Args:
        folder: Where names begin.
        name: Relative, with ``/`` between folders.
        where: The file and line that hold the name, for the message.

    Raises:
        OutsideError: The name is empty, absolute, or leads up.
    """
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    parts = {*posix.parts, *windows.parts}
    if not name.strip() or "\0" in name or posix.is_absolute() or windows.drive or windows.root or ".." in parts:
        raise OutsideError(
            f"{where}: expected the name of a file in or below {folder}, got {name!r}; correct the name, or download "
            "the record again"
        )
    return folder / name


def walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield every folder in or below a root, with the names of its files; linked folders are followed.

    A folder that is reached twice, as by a link that leads up, is entered once; which ones is said in a warning. A root
    that is no folder holds nothing.

    Raises:
        OSError: A folder can't be read.
    """
    if not root.is_dir():
        return
    seen: set[tuple[int, int]] = set()
    again: list[str] = []
    for folder, below, names in os.walk(root, onerror=_raise, followlinks=True):
        below.sort()  # of a folder that is reached twice always the same name is entered
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            again.append(folder)
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield Path(folder), sorted(names)
    if again:
        shown = ", ".join(again[:_SHOWN]) + (", ..." if len(again) > _SHOWN else "")
        warnings.warn(f"{len(again)} folders are links to folders that were read already: {shown}", stacklevel=2)


def sizes_below(root: Path, wanted: Callable[[Path], bool]) -> dict[str, int]:
    """Find the files in and below a root: path below it -> bytes, sorted by path; -1 for a link to nowhere.

    Names that begin with a dot are left out.

    Args:
        root: The folder.
        wanted: Whether a file is one of those that are looked for.
    """
    found = (folder / name for folder, names in walk(root) for name in names if name[0] != ".")
    sizes = {path.relative_to(root).as_posix(): _size(path) for path in found if wanted(path)}
    return dict(sorted(sizes.items()))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1


def digest_of_sizes(sizes: Mapping[str, int]) -> str:
    """Digest paths and sizes: reading the contents of a million files takes minutes, at each start."""
    digest = new_digest()
    for name, size in sizes.items():
        digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _raise(error: OSError) -> NoReturn:
    raise error
