"""The test ECGs that a study keeps, read where they are still those that were sealed."""

import warnings
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from ecg_lightning.runs.layout import RunPaths
from ecg_lightning.runs.sealing import is_as_sealed, remedy_of
from ecg_lightning.storage.readers import CHANGED, DamagedFileError, read_array

_known: Final[dict[tuple[Path, int, int], bool]] = {}


def stored_beats(paths: RunPaths, n_ecgs: int) -> NDArray[Any] | None:
    """(n, lead, sample) mV of the test ECGs of a run's study, behind a memory map.

    Args:
        paths: The run's.
        n_ecgs: Its test ECGs.

    Returns:
        None where the study keeps no beats, or those of other ECGs; and where they are damaged, which is warned of.
    """
    path, remedy = paths.test_beats, remedy_of(f"../../{paths.test_beats.name}")
    if not path.is_file():
        return None
    try:
        beats = read_array(path, remedy)
        if not _is_whole(paths):
            raise DamagedFileError(path, CHANGED, remedy)
    except DamagedFileError as error:
        warnings.warn(f"{error}; until then no ECG is drawn", stacklevel=3)  # Python shows one of each place
        return None
    return beats if len(beats) == n_ecgs else None


def _is_whole(paths: RunPaths) -> bool:
    """As sealed; hashed once for each state of the file, and not for each ECG that is drawn."""
    status = paths.test_beats.stat()
    state = (paths.test_beats, status.st_mtime_ns, status.st_size)
    if state not in _known:
        _known[state] = is_as_sealed(paths, paths.test_beats.name)
    return _known[state]
