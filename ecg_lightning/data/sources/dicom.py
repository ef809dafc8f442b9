"""DICOM: 12-lead and general ECG waveforms, through pydicom."""

import math
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ecg_lightning.data.sources.dicom_waveforms import read_waveforms
from ecg_lightning.data.sources.ecg_file import FileHeader, Waveforms
from ecg_lightning.data.sources.ecg_files import EcgFiles
from ecg_lightning.data.sources.wfdb_checks import UnreadableError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

_KINDS: Final = {
    "1.2.840.10008.5.1.4.1.1.9.1.1": "12-lead ECG",
    "1.2.840.10008.5.1.4.1.1.9.1.2": "general ECG",
    "1.2.840.10008.5.1.4.1.1.9.1.4": "general ECG of 32 bits",
}
_READABLE: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
"""Transfer syntaxes that are little-endian and not deflated, which may hide gigabytes in a megabyte."""

_WAVEFORMS: Final = 0x54000100
_MARK_AT, _MARK = 128, b"DICM"
_SEXES: Final = {"M": "male", "F": "female"}
_PER_YEAR: Final = {"Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}
_DAYS_PER_YEAR: Final = 365.25


class Dicom(EcgFiles):
    """DICOM files of 12-lead or general ECGs, in any nesting of folders; see ``EcgFiles`` for the arguments.

    A file is one that ends with ``.dcm`` or ``.dicom``, or has no ending and begins as DICOM does.
    """

    name = "dicom"
    suffixes = (".dcm", ".dicom")
    library = "pydicom"
    get_it = "give a folder that holds DICOM files of ECGs as the root"

    def _is_one(self, path: Path) -> bool:
        return super()._is_one(path) or (not path.suffix and path.name != "DICOMDIR" and _begins_as_dicom(path))

    def _read_header(self, path: Path) -> FileHeader:
        dataset = _read(path, head_only=True)
        sex = str(dataset.get("PatientSex") or "").strip().upper()
        return FileHeader(
            str(dataset.get("PatientID") or ""),
            _age(dataset),
            _SEXES.get(sex, "unknown"),
            str(dataset.get("SOPInstanceUID") or ""),
        )

    def _read_waveforms(self, path: Path) -> Waveforms:
        return read_waveforms(_read(path), path)


def _begins_as_dicom(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(_MARK_AT)
        return file.read(len(_MARK)) == _MARK


def _read(path: Path, *, head_only: bool = False) -> "Dataset":
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info, read_partial

    syntax = str(read_file_meta_info(path).get("TransferSyntaxUID") or "")
    if syntax not in _READABLE:
        raise UnreadableError(
            f"{path}: transfer syntax {syntax or 'not said'}, expected little-endian and not deflated "
            f"({' or '.join(_READABLE)}); export the ECG so"
        )
    if not head_only:
        return dcmread(path)
    with path.open("rb") as file:
        dataset = read_partial(file, stop_when=_at_waveforms)
    kind = str(dataset.get("SOPClassUID") or "")
    if kind not in _KINDS:
        raise UnreadableError(
            f"{path}: SOP class {kind or 'not said'}, expected {', '.join(_KINDS.values())}; move the file out of the "
            "source's root"
        )
    return dataset


def _at_waveforms(tag: "BaseTag", _: str | None, __: int) -> bool:
    return int(tag) >= _WAVEFORMS


def _age(dataset: "Dataset") -> float:
    """Years: PatientAge, such as 057Y; else by the dates of birth and of the ECG."""
    written = str(dataset.get("PatientAge") or "").strip().upper()
    if written[:-1].isdecimal() and written[-1:] in _PER_YEAR:
        return int(written[:-1]) / _PER_YEAR[written[-1]]
    dates = (_date(dataset, name) for name in ("AcquisitionDateTime", "AcquisitionDate", "ContentDate", "StudyDate"))
    taken, born = next((one for one in dates if one), None), _date(dataset, "PatientBirthDate")
    return math.nan if taken is None or born is None else (taken - born).days / _DAYS_PER_YEAR


def _date(dataset: "Dataset", name: str) -> date | None:
    try:
        return datetime.strptime(str(dataset.get(name) or "")[:8], "%Y%m%d").date()
    except ValueError:
        return None
