"""A full disk says so at the start, with the bytes that are needed and free."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_NOT_SUPPORTED: Final = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


@contextmanager
def full_disk_explained(folder: Path, needed: int) -> Iterator[None]:
    """Give 'no space left' the folder, the bytes needed and free, and what to do.

    Args:
        folder: Where is written.
        needed: Bytes that the block needs.

    Raises:
        OSError: With the same error number, for a full disk or an exceeded quota.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(folder).free
        raise OSError(
            error.errno,
            f"no space left in {folder}: {needed:,} bytes are needed, {free:,} are free (a quota may be lower); free "
            "some space or choose another cache folder, and run again: what is done is kept",
        ) from error


def preallocate(file: IO[bytes], size: int) -> None:
    """Reserve disk space, so that a full disk is an error now and not halfway.

    Args:
        file: A file open for writing.
        size: Bytes from its start.

    Raises:
        OSError: No space left. Where the system can't reserve (macOS, some network file systems) writing will raise it.
    """
    if not size or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
