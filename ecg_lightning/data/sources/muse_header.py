"""Who and when of a MUSE export, and its diagnosis: what stands before the waveforms."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from xml.etree.ElementTree import Element

from ecg_lightning.data.sources.muse_statements import Statement, read_statements
from ecg_lightning.data.sources.muse_waveforms import number, text

_SEXES: Final = {"MALE": "male", "M": "male", "FEMALE": "female", "F": "female"}
_PER_YEAR: Final = {"": 1.0, "YEARS": 1.0, "MONTHS": 12.0, "WEEKS": 365.25 / 7, "DAYS": 365.25, "HOURS": 8766.0}
_DATES: Final = ("%m-%d-%Y", "%d-%m-%Y", "%m/%d/%Y", "%Y-%m-%d")
_TIMES: Final = ("%H:%M:%S", "%H:%M")
_LONGEST_LIFE: Final = 120.0
_DAYS_PER_YEAR: Final = 365.25


@dataclass(frozen=True, slots=True)
class MuseHeader:
    """The header of an export: patient and recording, as the file states them.

    Attributes:
        patient_id: "" where it is not said.
        age: Years, NaN where unknown.
        sex: ``"female"``, ``"male"`` or ``"unknown"``.
        acquired: When the ECG was recorded, at midnight where no time is said; None where no date is.
        device: The electrocardiograph, such as ``MAC55``; "" where it is not said.
        statements: The diagnosis; None where there is none.
    """

    patient_id: str = ""
    age: float = math.nan
    sex: str = "unknown"
    acquired: datetime | None = None
    device: str = ""
    statements: tuple[Statement, ...] | None = None


def read_header(root: Element) -> MuseHeader:
    """Read what stands before the waveforms.

    The age is ``PatientAge``, in years where no unit is said; where it is no age of a person, it follows from the dates
    of birth and recording. MUSE writes dates month first; where the first number can't be a month, day first.

    Args:
        root: The root element, ``RestingECG``.
    """
    acquired = _date(text(root, "TestDemographics/AcquisitionDate"))
    return MuseHeader(
        patient_id=text(root, "PatientDemographics/PatientID"),
        age=_age(root, acquired),
        sex=_SEXES.get(text(root, "PatientDemographics/Gender").upper(), "unknown"),
        acquired=_at(acquired, text(root, "TestDemographics/AcquisitionTime")),
        device=text(root, "TestDemographics/AcquisitionDevice"),
        statements=read_statements(root),
    )


def _age(root: Element, acquired: datetime | None) -> float:
    unit = text(root, "PatientDemographics/AgeUnits").upper()
    age = number(root, "PatientDemographics/PatientAge") / _PER_YEAR.get(unit, math.nan)
    if 0.0 <= age <= _LONGEST_LIFE:
        return age
    born = _date(text(root, "PatientDemographics/DateofBirth"))
    if born is None or acquired is None:
        return math.nan
    age = (acquired - born).days / _DAYS_PER_YEAR
    return age if 0.0 <= age <= _LONGEST_LIFE else math.nan


def _date(written: str) -> datetime | None:
    return next((date for form in _DATES if (date := _parsed(written, form))), None)


def _at(date: datetime | None, written: str) -> datetime | None:
    time = next((time for form in _TIMES if (time := _parsed(written, form))), None)
    return date if date is None or time is None else datetime.combine(date, time.time())


def _parsed(written: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(written, form)
    except ValueError:
        return None
