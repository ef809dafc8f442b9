"""Room on the disk is taken at the start; a full disk says how much is needed, how much is free, and what to do."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_SUPPORTED: Final = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


class DiskSpaceError(OSError):
    """The disk has no room for a file; the message has the folder, the sizes and what to do."""


@contextmanager
def full_disk_explained(path: Path, needed: int | None, remedy: str) -> Iterator[None]:
    """Give 'no space left' the folder, the bytes needed and free, and what to do.

    Args:
        path: The folder or the file that is written; it need not exist yet.
        needed: Bytes that the block needs; None where that is not known.
        remedy: What to do, the end of the message.

    Raises:
        DiskSpaceError: With the same error number, for a full disk, an exceeded quota or a file too large.
    """
    try:
        yield
    except OSError as error:
        # NumPy says only how many items it could not write
        number = errno.ENOSPC if error.errno is None and " requested and " in str(error) else error.errno
        if number not in _FULL:
            raise
        free = _free_bytes(path)
        wanted = "" if needed is None else f"{needed:,} bytes ({needed / 1e9:.2f} GB) are needed, "
        raise DiskSpaceError(
            number,
            f"no space left {'for' if needed is None else 'in'} {path}: {wanted}{free:,} bytes "
            f"({free / 1e9:.2f} GB) are free (a quota may allow less); {remedy}",
        ) from error


def preallocate(descriptor: int, size: int, folder: Path) -> None:
    """Reserve disk space, so that a full disk is an error now and not halfway.

    Args:
        descriptor: A file open for writing.
        size: Bytes from its start.
        folder: Where the file lies.

    Raises:
        OSError: No space left. Where the system can't reserve (macOS, some network file systems) and a quota is
            lower than what is free, writing will raise it.
    """
    # Some systems reserve by writing, and would fill the disk before they fail.
    if size > _free_bytes(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


def _free_bytes(path: Path) -> int:
    """Free bytes where ``path`` lies, or will lie."""
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free
