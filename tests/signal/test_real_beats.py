"""Against people: a vendor's median beat, and cardiologists' QRS boundaries."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import wfdb
from numpy.typing import NDArray
from pydicom.data import get_testdata_file

from ecg_lightning.data.sources.base import Recording
from ecg_lightning.ecg import LEADS
from ecg_lightning.signal.beat import median_beat
from ecg_lightning.signal.leads import to_standard_leads
from ecg_lightning.signal.resample import resample

LUDB_SUBJECTS = range(1, 101, 4)
TOLERANCE = 5  # samples: 10 ms


def dicom_group(index: int) -> tuple[NDArray[np.float64], tuple[str, ...], float]:
    """(lead, sample) mV, names and rate of one multiplex group of pydicom's ECG; it is stored in uV."""
    path = get_testdata_file("waveform_ecg.dcm", download=False)
    if path is None:
        pytest.skip("this version of pydicom does not ship waveform_ecg.dcm")
    dataset = pydicom.dcmread(path)
    group = dataset.WaveformSequence[index]
    names = tuple(c.ChannelSourceSequence[0].CodeMeaning for c in group.ChannelDefinitionSequence)
    return dataset.waveform_array(index).T / 1000.0, names, float(group.SamplingFrequency)


def best_correlation(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Correlation per lead at the one lag, common to all leads, where its mean is highest; at least 1 s of overlap."""
    found = []
    for lag in range(-100, 101):
        one, two = ours[:, max(lag, 0) : 600 + min(lag, 0)], theirs[:, max(-lag, 0) : 600 - max(lag, 0)]
        found.append((np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(one, two, strict=True)]), lag))
    return max(found, key=lambda pair: float(pair[0].mean()))


def test_agrees_with_the_vendor() -> None:
    signal, names, rate = dicom_group(0)
    ours = median_beat(Recording(signal, rate, names))
    median, names, rate = dicom_group(1)
    theirs = resample(to_standard_leads(median, names), rate)
    assert theirs.shape == (8, 600)
    correlation, _ = best_correlation(ours.beat, theirs)
    assert correlation.min() >= 0.97, dict(zip(LEADS, correlation, strict=True))


def qrs_bounds(record: Path) -> NDArray[np.intp]:
    """(beat, 2) onset and offset of the QRS complexes that are marked in lead II."""
    annotation = wfdb.rdann(str(record), "ii")
    symbols, samples = annotation.symbol, annotation.sample
    whole = [k for k in range(1, len(symbols) - 1) if symbols[k - 1 : k + 2] == ["(", "N", ")"]]
    return np.array([(samples[k - 1], samples[k + 1]) for k in whole])


def test_fiducials_lie_in_the_annotated_qrs(data_root: Path) -> None:
    inside: list[bool] = []
    for subject in LUDB_SUBJECTS:
        record = data_root / "ludb" / "data" / str(subject)
        if not record.with_suffix(".hea").is_file():
            pytest.skip(f"no LUDB record at {record}")
        content = wfdb.rdrecord(str(record))
        result = median_beat(Recording(content.p_signal.T, float(content.fs), tuple(content.sig_name)))
        bounds = qrs_bounds(record)
        # The first and last beats of a record are not annotated.
        marked = (result.fiducials > bounds[0, 0] - 50) & (result.fiducials < bounds[-1, 1] + 50)
        at = result.fiducials[marked, None]
        hit = (at >= bounds[:, 0] - TOLERANCE) & (at <= bounds[:, 1] + TOLERANCE)
        inside += [bool(beat_hit.any()) for beat_hit in hit]
    assert len(inside) > 150
    assert np.mean(inside) >= 0.99
