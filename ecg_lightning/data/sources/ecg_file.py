"""One file of a hospital's ECG format: whose it is, its signals, and a reader that no file can stop."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from ecg_lightning.data.sources.base import Recording, RecordingError
from ecg_lightning.data.sources.wfdb_checks import UnreadableError

_LARGEST: Final = 64 << 20  # bytes; 10 s take 0.03 to 0.5 MB

_Content = TypeVar("_Content")


@dataclass(frozen=True)
class FileHeader:
    """A header says whose ECG a file is.

    Attributes:
        patient_id: "" where it is not said.
        age: Years, NaN where unknown.
        sex: ``"female"``, ``"male"`` or ``"unknown"``.
        document: The ECG's own id, which a copy of the file shares; "" where it has none.
    """

    patient_id: str = ""
    age: float = math.nan
    sex: str = "unknown"
    document: str = ""


@dataclass(frozen=True)
class Waveforms:
    """The signals of a file.

    Attributes:
        rhythm: The recording; None where there is none.
        median: The electrocardiograph's median beat; None where there is none.
        heart_rate: Beats per minute, NaN where unknown.
    """

    rhythm: Recording | None
    median: Recording | None = None
    heart_rate: float = math.nan


def guarded(path: Path, read: Callable[[Path], _Content]) -> _Content:
    """Run a reader over somebody's file; whatever it raises becomes the reason to reject the ECG.

    Raises:
        RecordingError: The reader's own, or ``UnreadableError``.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise UnreadableError(
                f"{path}: {path.stat().st_size / 2**20:.0f} MB, expected under {_LARGEST >> 20} MB as of any resting "
                "ECG; move it out of the source's root"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they would print what the file says of a patient, once for each value
            return read(path)
    except RecordingError:
        raise
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror or error}; correct the root, or mend the link") from error
    # Readers report damage as ValueError, KeyError, struct.error ..., and a header may ask for more than all memory.
    except Exception as error:
        raise UnreadableError(
            f"{path}: truncated, damaged or of another format ({type(error).__name__}: {error}); export the ECG again"
        ) from error
