"""The waveforms of a DICOM file: multiplex groups in mV (DICOM PS3.3, C.10.9)."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import Recording
from ecg_lightning.data.sources.ecg_file import Waveforms
from ecg_lightning.data.sources.wfdb_checks import UnreadableError
from ecg_lightning.data.sources.wfdb_files import MILLIVOLTS_PER_UNIT, UnitError
from ecg_lightning.signal.leads import canonical_lead

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_MEDIAN: Final = re.compile(r"MEDIAN|TEMPLATE|REPRESENTATIVE|AVERAGE", re.IGNORECASE)
_LEADS: Final = {1: "I", 2: "II", 61: "III", 62: "aVR", 63: "aVL", 64: "aVF"} | {k: f"V{k - 2}" for k in range(3, 9)}
_CODES: Final = {"SCPECG": re.compile(r"5\.6\.3-9-(\d+)"), "MDC": re.compile(r"2:(\d+)")}
"""Coding scheme -> how it writes the number of a lead, which is SCP-ECG's in both (DICOM PS3.16, CID 3001)."""

_RR: Final = ("5.10.2.1-3", "2:16000")
"""Codes of the mean RR interval."""

_WHOLE_NUMBERS: Final = ("SB", "UB", "SS", "US", "SL", "UL", "SV", "UV")
"""Companded samples (MB, AB) would be taken for numbers."""


def read_waveforms(dataset: "Dataset", path: Path) -> Waveforms:
    """Read the rhythm and the median beat of a file.

    A group is a median beat where its label says so (median, template, representative, average), or where it has no
    label and is derived. Of the others the one with most of the twelve leads is the rhythm.

    Args:
        dataset: The content of the file.
        path: The file, for messages.

    Raises:
        UnreadableError: Two groups may be the rhythm or the median, or one is damaged.
        UnitError: A channel's unit is not one of voltage, or not said.
    """
    groups = list(dataset.get("WaveformSequence") or ())
    medians = [place for place, group in enumerate(groups) if _is_median(group)]
    rhythms = [place for place in range(len(groups)) if place not in medians]
    most = max((_known_leads(groups[place]) for place in rhythms), default=0)
    rhythms = [place for place in rhythms if _known_leads(groups[place]) == most]
    for found, kind in ((rhythms, "rhythm"), (medians, "median beat")):
        if len(found) > 1:
            raise UnreadableError(
                f"{path}: {len(found)} multiplex groups may be the {kind}, expected one; leave out the others"
            )
    rhythm, median = (_group(dataset, found[0], path) if found else None for found in (rhythms, medians))
    return Waveforms(rhythm, median, _heart_rate(dataset))


def _is_median(group: "Dataset") -> bool:
    label = str(group.get("MultiplexGroupLabel") or "").strip()
    if label:
        return _MEDIAN.search(label) is not None
    return str(group.get("WaveformOriginality") or "") == "DERIVED"


def _known_leads(group: "Dataset") -> int:
    channels = group.get("ChannelDefinitionSequence") or ()
    return len({known for one in channels if (known := canonical_lead(_lead(one)))})


def _group(dataset: "Dataset", place: int, path: Path) -> Recording:
    from pydicom.waveforms.numpy_handler import multiplex_array

    group = dataset.WaveformSequence[place]
    if str(group.WaveformSampleInterpretation) not in _WHOLE_NUMBERS:
        raise UnreadableError(
            f"{path}: samples are {group.WaveformSampleInterpretation}, expected whole numbers "
            f"({', '.join(_WHOLE_NUMBERS)}); export the ECG in these"
        )
    channels, steps = list(group.ChannelDefinitionSequence), multiplex_array(dataset, place, as_raw=True)
    if steps.shape[1] != len(channels):
        raise UnreadableError(f"{path}: {steps.shape[1]} channels, of which {len(channels)} are described")
    values = np.where(steps == _padding(group, steps.dtype), np.nan, steps)
    signal = [_millivolts(one, channel, path) for one, channel in zip(values.T, channels, strict=True)]
    return Recording(np.stack(signal), float(group.SamplingFrequency), tuple(map(_lead, channels)))


def _padding(group: "Dataset", kind: np.dtype[np.generic]) -> float:
    """The step that stands for no value, NaN where none does."""
    value = group.get("WaveformPaddingValue")
    if isinstance(value, bytes):
        return float(np.frombuffer(value[: kind.itemsize], kind)[0]) if len(value) >= kind.itemsize else math.nan
    return math.nan if value is None else float(value)


def _millivolts(steps: NDArray[np.float64], channel: "Dataset", path: Path) -> NDArray[np.float64]:
    where = f"{path}: lead {_lead(channel)}"
    if abs(float(channel.get("ChannelSampleSkew") or 0.0)) >= 1.0:
        raise UnreadableError(f"{where} is {channel.ChannelSampleSkew} samples away from the others; leave the ECG out")
    units = [str(one.get("CodeValue", "")) for one in channel.get("ChannelSensitivityUnitsSequence") or ()]
    if len(units) != 1 or units[0].lower() not in MILLIVOLTS_PER_UNIT:
        raise UnitError(f"{where}: unit {', '.join(units) or 'not said'}, expected uV, mV, nV or V; correct the export")
    sensitivity, correction, baseline = (
        _number(channel, name, usual)
        for name, usual in (
            ("ChannelSensitivity", math.nan),
            ("ChannelSensitivityCorrectionFactor", 1.0),
            ("ChannelBaseline", 0.0),
        )
    )
    if not (math.isfinite(sensitivity * correction) and sensitivity * correction != 0.0 and math.isfinite(baseline)):
        raise UnitError(
            f"{where}: sensitivity {sensitivity:g} x {correction:g}, baseline {baseline:g}, expected numbers and a "
            f"sensitivity other than 0 such as 4.88 {units[0]}; correct the export"
        )
    return np.asarray((steps * (sensitivity * correction) + baseline) * MILLIVOLTS_PER_UNIT[units[0].lower()])


def _number(channel: "Dataset", name: str, usual: float) -> float:
    value = channel.get(name)
    return usual if value is None or value == "" else float(value)


def _lead(channel: "Dataset") -> str:
    """The lead's name by its code; by its words, or the channel's label, where the code is not one of the twelve.

    A name of both where they contradict each other, which is no lead.
    """
    sources = channel.get("ChannelSourceSequence") or ()
    source = sources[0] if sources else channel
    words = str(source.get("CodeMeaning") or channel.get("ChannelLabel") or "")
    pattern = _CODES.get(str(source.get("CodingSchemeDesignator") or "").upper())
    match = pattern.fullmatch(str(source.get("CodeValue") or "")) if pattern else None
    coded = _LEADS.get(int(match[1])) if match else None
    known = canonical_lead(words)
    if coded is None:
        return words
    return coded if known is None or known == (coded, 1.0) else f"{coded}/{words}"


def _heart_rate(dataset: "Dataset") -> float:
    """Beats per minute by the mean RR interval that the file states; NaN where it states none."""
    for one in dataset.get("WaveformAnnotationSequence") or ():
        names = [str(name.get("CodeValue", "")) for name in one.get("ConceptNameCodeSequence") or ()]
        units = [str(unit.get("CodeValue", "")) for unit in one.get("MeasurementUnitsCodeSequence") or ()]
        value = one.get("NumericValue")
        if names and names[0] in _RR and units == ["ms"] and isinstance(value, int | float) and value > 0:
            return 60_000.0 / float(value)
    return math.nan
