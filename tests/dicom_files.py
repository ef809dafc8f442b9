"""Writes 12-lead ECGs as DICOM files, as electrocardiographs export them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid

NUMBERS = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64} | {f"V{k}": k + 2 for k in range(1, 7)}
STEP = 1.25  # uV


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def group(
    millivolts: NDArray[np.floating],
    leads: Sequence[str],
    rate: float,
    label: str = "RHYTHM",
    *,
    scheme: str = "SCPECG",
    unit: str = "uV",
    per_unit: float = 1e3,
    baseline: float = 0.0,
    correction: float = 1.0,
) -> Dataset:
    """A multiplex group of (lead, sample) mV; ``per_unit`` units are a mV."""
    item = Dataset()
    item.MultiplexGroupLabel = label
    item.WaveformOriginality = "ORIGINAL" if label == "RHYTHM" else "DERIVED"
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = millivolts.shape
    item.SamplingFrequency = rate
    step = STEP * per_unit / 1e3
    item.ChannelDefinitionSequence = [_channel(lead, scheme, unit, step / correction, baseline) for lead in leads]
    for channel in item.ChannelDefinitionSequence:
        channel.ChannelSensitivityCorrectionFactor = correction
    steps = np.rint((millivolts * per_unit - baseline) / step).astype("<i2")
    item.WaveformBitsAllocated, item.WaveformSampleInterpretation = 16, "SS"
    item.WaveformData = steps.T.tobytes()
    return item


def _channel(lead: str, scheme: str, unit: str, sensitivity: float, baseline: float) -> Dataset:
    channel = Dataset()
    number = NUMBERS.get(lead, 99)
    value = f"5.6.3-9-{number}" if scheme == "SCPECG" else f"2:{number}"
    channel.ChannelSourceSequence = [code(value, scheme, f"Lead {lead}")]
    channel.ChannelSensitivity = f"{sensitivity:.10g}"[:16]
    channel.ChannelSensitivityUnitsSequence = [code(unit, "UCUM", unit)]
    channel.ChannelBaseline = f"{baseline:g}"
    channel.WaveformBitsStored = 16
    return channel


def write_dicom(path: Path, groups: Sequence[Dataset], **elements: Any) -> Dataset:
    """Write a file; ``elements`` are keywords of its data set, None leaves one out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = elements.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    usual = {
        "SOPClassUID": TwelveLeadECGWaveformStorage,
        "SOPInstanceUID": generate_uid(),
        "PatientID": "0012",
        "PatientSex": "F",
        "PatientAge": "060Y",
        "AcquisitionDateTime": "20210510131518",
    }
    for keyword, value in (usual | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.WaveformSequence = list(groups)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset
