"""The waveforms of a MUSE export.

GE's description of the format is not public. Public exports of MUSE 9.0 and 10.2 hold a ``Median`` of 600 samples and a
``Rhythm`` of 5,000, both at 500 Hz, leads I, II and V1 to V6; of each lead base64 of little-endian 16-bit steps of
4.88 uV, and zlib's CRC-32 of the bytes.
"""

import base64
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import Recording
from ecg_lightning.data.sources.muse_xml import EXPORT_AGAIN
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.data.sources.wfdb_files import UnitError
from ecg_lightning.ecg import LEADS
from ecg_lightning.signal.errors import MissingLeadError
from ecg_lightning.signal.leads import canonical_lead

Kind = Literal["Rhythm", "Median"]

_MILLIVOLTS: Final = {"MICROVOLTS": 1e-3, "MILLIVOLTS": 1.0, "VOLTS": 1e3}
_MOVED: Final = ("LeadTimeOffset", "LeadOffsetFirstSample", "FirstSampleBaseline")
_BYTES: Final = 2
_INVALID: Final = np.iinfo(np.int16).min
"""LeadLowLimit of every export: not a voltage."""


def text(element: Element, path: str) -> str:
    """Return what an element says, without the blanks around it; "" where it is not there."""
    return (element.findtext(path) or "").strip()


def number(element: Element, path: str) -> float:
    """Read the number in an element, with a decimal point or comma; NaN where there is none."""
    try:
        return float(text(element, path).replace(",", "."))
    except ValueError:
        return math.nan


def read_waveform(root: Element, kind: Kind, path: Path, *, check_crc: bool = True) -> Recording | None:
    """Read one of the waveforms.

    The eight leads of this project are read where all are there, else every lead of the twelve, and other leads (V3R,
    V7, X) never. A waveform that does not say its type is a rhythm. ``LeadHighLimit`` and ``LeadLowLimit`` are not
    used: MUSE writes those of 16 bits, converters write nonsense.

    Args:
        root: The root element, ``RestingECG``.
        kind: Kind of the waveform: ``Rhythm`` or ``Median``.
        path: The file, for messages.
        check_crc: Compare each lead with its ``LeadDataCRC32``, where that is stated and not 0.

    Returns:
        The waveform in mV, NaN at steps of -32,768; None where the file has none of this kind.

    Raises:
        UnreadableError: There are several, or samples are missing, damaged or displaced.
        UnitError: A lead's unit is not one of voltage, or its step is no positive number.
        MissingLeadError: It holds no lead.
    """
    found = [one for one in root.findall("Waveform") if (text(one, "WaveformType") or "Rhythm").lower() == kind.lower()]
    if not found:
        return None
    if len(found) > 1:
        raise UnreadableError(f"{path}: holds {len(found)} {kind} waveforms, expected one; leave out the others")
    leads = _needed(found[0])
    if not leads:
        raise MissingLeadError(f"{path}: the {kind} waveform holds no lead with samples; {EXPORT_AGAIN}")
    signals = [_read_lead(one, f"{path}: {kind} lead {name}", check_crc) for name, one in leads]
    lengths = {len(signal) for signal in signals}
    if len(lengths) > 1:
        each = ", ".join(f"{name} {len(signal)}" for (name, _), signal in zip(leads, signals, strict=True))
        raise UnreadableError(f"{path}: leads of the {kind} waveform differ in length ({each}); {EXPORT_AGAIN}")
    return Recording(np.stack(signals), _rate(found[0], "Sample"), tuple(name for name, _ in leads))


def _rate(element: Element, prefix: str) -> float:
    """Hz, NaN where it is not said."""
    exponent = number(element, f"{prefix}Exponent")
    return number(element, f"{prefix}Base") * math.pow(10.0, 0.0 if math.isnan(exponent) else exponent)


def measurement_rate(root: Element) -> float:
    """Read the rate (Hz) that wave boundaries of ``RestingECGMeasurements`` count in; NaN if not said."""
    measurements = root.find("RestingECGMeasurements")
    return math.nan if measurements is None else _rate(measurements, "ECGSample")


def _needed(waveform: Element) -> Sequence[tuple[str, Element]]:
    """The leads that are needed, with their names; a lead without samples is not there."""
    leads = [(text(one, "LeadID"), one) for one in waveform.findall("LeadData") if text(one, "WaveFormData")]
    known = [(name, one) for name, one in leads if canonical_lead(name) is not None]
    own = [(name, one) for name, one in known if name.upper() in LEADS]
    return own if {name.upper() for name, _ in own} == set(LEADS) else known


def _read_lead(lead: Element, where: str, check_crc: bool) -> NDArray[np.float64]:
    """Read the voltages of a lead, (sample,) mV."""
    scale = _millivolts_per_step(lead, where)
    for field in _MOVED:
        value = text(lead, field)
        if value and number(lead, field) != 0.0:
            raise UnreadableError(
                f"{where}: {field} is {value}, expected 0: what another value means is not known; leave the ECG out"
            )
    content = _content(lead, where, check_crc)
    steps = np.frombuffer(content, dtype="<i2").astype(np.float64)
    steps[steps == _INVALID] = np.nan
    return np.asarray(steps * scale)


def _content(lead: Element, where: str, check_crc: bool) -> bytes:
    """The bytes of a lead, as many as the file says."""
    try:
        data = "".join(text(lead, "WaveFormData").split())
        content = base64.b64decode(data + "=" * (-len(data) % 4), validate=True)  # some exports leave out the padding
    except ValueError as error:
        raise UnreadableError(f"{where}: WaveFormData is not base64 ({error}); {EXPORT_AGAIN}") from error
    size = number(lead, "LeadSampleSize")
    if not math.isnan(size) and size != _BYTES:
        raise UnreadableError(f"{where}: {size:g} bytes a sample, expected {_BYTES}; leave the ECG out")
    for field, each in (("LeadByteCountTotal", 1), ("LeadSampleCountTotal", _BYTES)):
        stated = number(lead, field)
        if len(content) % each or not (math.isnan(stated) or stated * each == len(content)):
            raise UnreadableError(
                f"{where}: {len(content)} bytes of samples, {field} says {text(lead, field) or 'nothing'}: truncated; "
                f"{EXPORT_AGAIN}"
            )
    crc = text(lead, "LeadDataCRC32")
    if check_crc and crc.lstrip("-").isdecimal() and int(crc) and int(crc) % 2**32 != zlib.crc32(content):
        raise UnreadableError(
            f"{where}: the samples' CRC-32 is {zlib.crc32(content)}, the file says {crc}: they were altered; "
            f"{EXPORT_AGAIN}, or set check_crc to false if all files say so"
        )
    return content


def _millivolts_per_step(lead: Element, where: str) -> float:
    unit, step = text(lead, "LeadAmplitudeUnits"), number(lead, "LeadAmplitudeUnitsPerBit")
    if unit.upper() not in _MILLIVOLTS:
        raise UnitError(f"{where}: unit {unit or 'not said'}, expected {', '.join(_MILLIVOLTS)}; correct the export")
    if not 0.0 < step < math.inf:
        raise UnitError(
            f"{where}: {text(lead, 'LeadAmplitudeUnitsPerBit') or 'nothing'} {unit} a step, expected a positive number "
            "such as 4.88; correct the export"
        )
    return step * _MILLIVOLTS[unit.upper()]
