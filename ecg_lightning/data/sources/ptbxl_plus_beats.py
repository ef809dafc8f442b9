"""The median beats of Marquette 12SL in PTB-XL+, and the unit that they are in.

The record line of each header begins with a folder of those who wrote it (``ge_median_beats_wfdb/00001_medians``),
which the wfdb package refuses. The signals are 32-bit steps whose gain says mV, but the first released beats are a
thousand times as high as PTB-XL's: the unit is decided by a comparison, or said by the user.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import Recording
from ecg_lightning.data.sources.files import named_file
from ecg_lightning.data.sources.vendor_median import LEAVE_OUT, MedianError
from ecg_lightning.data.sources.wfdb_checks import UnreadableError, check_sums
from ecg_lightning.data.sources.wfdb_files import Header, read_header, to_millivolts
from ecg_lightning.signal.leads import to_standard_leads

Unit = Literal["mV", "uV"]

MILLIVOLTS: Final[dict[Unit, float]] = {"mV": 1.0, "uV": 1e-3}
"""mV per step that a header calls mV."""

_STEPS: Final[dict[str, np.dtype[np.int16 | np.int32]]] = {"16": np.dtype("<i2"), "32": np.dtype("<i4")}
_AGREE: Final = 2.0  # times; 12SL's filters and beats are others, but no more than that
_SAY_IT: Final = "set `data.source.init_args.unit` to the unit that they are in, mV or uV"


def header_path(root: Path, ecg_id: str) -> Path:
    """Name the header of an ECG's median beat, a thousand to a folder."""
    number = int(ecg_id)
    return root / "median_beats" / "12sl" / f"{number // 1000 * 1000:05d}" / f"{number:05d}_medians.hea"


def read_median(path: Path) -> Recording:
    """Read a median beat in what its header calls mV.

    Args:
        path: The header.

    Raises:
        MedianError: 12SL has no median beat of the ECG.
        UnreadableError: Header or signal file is damaged, truncated or of another format.
        ChecksumError: The signals do not add up to the checksums of the header.
        UnitError: The unit is not one of voltage.
    """
    if not path.is_file():
        raise MedianError(f"{path}: no such file, 12SL has made no median beat of this ECG; {LEAVE_OUT}")
    header = read_header(path)
    steps = _steps(header)
    leads = tuple(line.lead for line in header.signals)
    check_sums(steps, [line.checksum for line in header.signals], leads, path)
    signal = to_millivolts(steps, header)
    signal[np.iinfo(steps.dtype).min == steps.T] = np.nan
    return Recording(signal, header.sampling_rate, leads)


def _steps(header: Header) -> NDArray[np.int16 | np.int32]:
    """(sample, lead) whole steps of the one signal file beside the header."""
    path = header.path
    names, formats = {line.file for line in header.signals}, {line.storage for line in header.signals}
    if len(names) != 1 or len(formats) != 1 or not formats <= _STEPS.keys():
        raise UnreadableError(f"{path}: expected one signal file of format 16 or 32, got {names} of {formats}")
    # as in the record's name, the folder is that of those who wrote it
    file = named_file(path.parent, PurePosixPath(names.pop()).name, str(path))
    try:
        steps = np.fromfile(file, _STEPS[formats.pop()])
    except OSError as error:
        raise UnreadableError(f"{file}: {error.strerror or error}; download the beat again") from error
    if steps.size != header.samples * len(header.signals):
        raise UnreadableError(
            f"{file}: {steps.size} samples, expected {header.samples} of {len(header.signals)} leads: truncated; "
            "download the beat again"
        )
    return steps.reshape(header.samples, len(header.signals))


def decided_unit(pairs: Iterable[tuple[str, Recording, NDArray[np.float64]]]) -> tuple[Unit, str]:
    """Decide which unit 12SL's beats are in, by the heights of PTB-XL's own.

    Args:
        pairs: Id, 12SL's beat as its header has it, and the beat (8, 600) mV that was made of PTB-XL's recording.

    Returns:
        The unit, and how it was decided, in words.

    Raises:
        ValueError: There is nothing to compare, or the comparisons do not agree.
    """
    ratios = {ecg_id: _ratio(theirs, ours) for ecg_id, theirs, ours in pairs}
    if not ratios:
        raise ValueError(
            "PTB-XL+: the unit of 12SL's median beats can't be decided, since no record of PTB-XL is there to compare "
            f"them with (their headers say mV, and PTB-XL+ 1.0.1 was released with uV): get the records, or {_SAY_IT}"
        )
    shown = ", ".join(f"{ecg_id}: {ratio:.4g}" for ecg_id, ratio in ratios.items())
    for unit, scale in MILLIVOLTS.items():
        if all(1 / _AGREE <= ratio * scale <= _AGREE for ratio in ratios.values()):
            return unit, f"12SL's median beats are read as {unit}: they are so many times PTB-XL's own in mV: {shown}"
    raise ValueError(
        f"PTB-XL+: the unit of 12SL's median beats can't be decided: they should be 1 or 1,000 times as high as "
        f"PTB-XL's own, and are ({shown}): look at these ECGs, or {_SAY_IT}"
    )


def _ratio(theirs: Recording, ours: NDArray[np.float64]) -> float:
    heights: Sequence[NDArray[np.float64]] = [
        np.ptp(one, axis=1) for one in (to_standard_leads(theirs.signal, theirs.leads), ours)
    ]
    return float(np.median(heights[0] / heights[1]))
