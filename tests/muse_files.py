"""Writes resting ECGs as GE's MUSE exports them, in the order and spelling of its public examples."""

import base64
import textwrap
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS

STEP = 4.88  # uV
DECLARATION = '<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n'
NORMAL = (("Normal sinus rhythm", "ENDSLINE"), ("Normal ECG", "ENDSLINE"))
Fragment = tuple[str, ...]
"""A statement's text, and its flags."""


@dataclass(frozen=True)
class MuseEcg:
    """What goes into a file; waveforms are (lead, sample) of whole steps, None for none."""

    median: NDArray[np.int16] | None = None
    rhythm: NDArray[np.int16] | None = None
    rate: float = 500.0
    leads: Sequence[str] = LEADS
    patient: Mapping[str, str] = field(
        default_factory=lambda: {"PatientID": "0012", "PatientAge": "60", "AgeUnits": "YEARS", "Gender": "FEMALE"}
    )
    test: Mapping[str, str] = field(
        default_factory=lambda: {
            "AcquisitionDevice": "MAC55",
            "AcquisitionTime": "13:15:18",
            "AcquisitionDate": "05-10-2021",
        }
    )
    measurements: Mapping[str, str] = field(
        default_factory=lambda: {
            "VentricularRate": "60",
            "QOnset": "219",
            "QOffset": "261",
            "ECGSampleBase": "500",
            "ECGSampleExponent": "0",
        }
    )
    diagnosis: Iterable[Fragment] | None = NORMAL
    original: Iterable[Fragment] | None = NORMAL
    lead_fields: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "ISO-8859-1"


def steps(millivolts: NDArray[np.floating]) -> NDArray[np.int16]:
    """Whole steps of 4.88 uV."""
    return np.rint(1e3 * millivolts / STEP).astype(np.int16)


def document(ecg: MuseEcg) -> str:
    """The text of an export."""
    return "".join(
        (
            DECLARATION.format(encoding=ecg.encoding),
            "<RestingECG>\n   <MuseInfo>\n      <MuseVersion>9.0.9.18167</MuseVersion>\n   </MuseInfo>\n",
            _block("PatientDemographics", ecg.patient),
            _block("TestDemographics", {"DataType": "RESTING", **ecg.test}),
            _block("RestingECGMeasurements", ecg.measurements),
            _block("OriginalRestingECGMeasurements", ecg.measurements),
            _diagnosis("Diagnosis", ecg.diagnosis),
            _diagnosis("OriginalDiagnosis", ecg.original),
            f"   <MeasurementMatrix>\n{textwrap.fill('JACM' * 1600, 68)}\n   </MeasurementMatrix>\n",
            "   <QRSTimesTypes>\n      <GlobalRR>1000</GlobalRR>\n   </QRSTimesTypes>\n",
            _waveform("Median", ecg.median, ecg),
            _waveform("Rhythm", ecg.rhythm, ecg),
            "</RestingECG>\n",
        )
    )


def write_muse(path: Path, ecg: MuseEcg) -> Path:
    """Write one export, in the encoding that it names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(document(ecg).encode(ecg.encoding))
    return path


def _block(name: str, content: Mapping[str, str]) -> str:
    lines = "".join(f"      <{key}>{escape(value)}</{key}>\n" for key, value in content.items())
    return f"   <{name}>\n{lines}   </{name}>\n"


def _diagnosis(name: str, fragments: Iterable[Fragment] | None) -> str:
    if fragments is None:
        return ""
    lines = "".join(
        "      <DiagnosisStatement>\n"
        + "".join(f"         <StmtFlag>{flag}</StmtFlag>\n" for flag in flags)
        + f"         <StmtText>{escape(words)}</StmtText>\n      </DiagnosisStatement>\n"
        for words, *flags in fragments
    )
    return f"   <{name}>\n      <Modality>RESTING</Modality>\n{lines}   </{name}>\n"


def _waveform(kind: str, waveform: NDArray[np.int16] | None, ecg: MuseEcg) -> str:
    if waveform is None:
        return ""
    fields = {
        "WaveformType": kind,
        "WaveformStartTime": "0",
        "NumberofLeads": str(len(waveform)),
        "SampleType": "CONTINUOUS_SAMPLES",
        "SampleBase": f"{ecg.rate:g}",
        "SampleExponent": "0",
        "HighPassFilter": "16",
        "LowPassFilter": "150",
        "ACFilter": "60",
    }
    head = "".join(f"      <{key}>{value}</{key}>\n" for key, value in fields.items())
    leads = "".join(_lead(name, row, ecg) for name, row in zip(ecg.leads, waveform, strict=True))
    return f"   <Waveform>\n{head}{leads}   </Waveform>\n"


def _lead(name: str, row: NDArray[np.int16], ecg: MuseEcg) -> str:
    content = row.astype("<i2").tobytes()
    fields = {
        "LeadByteCountTotal": str(len(content)),
        "LeadTimeOffset": "0",
        "LeadSampleCountTotal": str(len(row)),
        "LeadAmplitudeUnitsPerBit": f"{STEP}",
        "LeadAmplitudeUnits": "MICROVOLTS",
        "LeadHighLimit": "32767",
        "LeadLowLimit": "-32768",
        "LeadID": name,
        "LeadOffsetFirstSample": "0",
        "FirstSampleBaseline": "0",
        "LeadSampleSize": "2",
        "LeadOff": "FALSE",
        "BaselineSway": "FALSE",
        "LeadDataCRC32": str(zlib.crc32(content)),
        **ecg.lead_fields,
    }
    head = "".join(f"         <{key}>{value}</{key}>\n" for key, value in fields.items())
    data = textwrap.fill(base64.b64encode(content).decode("ascii"), 68)
    return f"      <LeadData>\n{head}         <WaveFormData>\n{data}\n         </WaveFormData>\n      </LeadData>\n"
