"""HL7 annotated ECGs and SCP-ECG, through ecgdatakit.

The reader was compared with files that were written by the standards from real recordings, in every unit and encoding:
each sample came back. What it settles silently, or with a warning, is refused here: a lead without a scale or that is
there twice, all but the first of several series, checksums that do not fit, and rates are not rounded.
"""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.sources.base import Recording
from ecg_lightning.data.sources.ecg_file import FileHeader, Waveforms
from ecg_lightning.data.sources.ecg_files import Beats, EcgFiles
from ecg_lightning.data.sources.wfdb_checks import ChecksumError, UnreadableError
from ecg_lightning.data.sources.wfdb_files import MILLIVOLTS_PER_UNIT, UnitError

if TYPE_CHECKING:
    from ecgdatakit.models import ECGRecord, Lead
    from ecgdatakit.parsing.parser import Parser

_SEXES: Final = {"M": "male", "F": "female"}
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SEVERAL: Final = "only the first is read"
_AGAIN: Final = re.compile(r"(.+)_\d+")
"""How ecgdatakit calls a lead that is there again: II_2."""


class Aecg(EcgFiles):
    """HL7 annotated ECGs (``AnnotatedECG``, .xml), in any nesting of folders; see ``EcgFiles`` for the arguments.

    Files that declare XML entities are refused. The vendor's beat is the series ``REPRESENTATIVE_BEAT``.
    """

    name = "aecg"
    suffixes = (".xml",)
    library = "ecgdatakit"
    get_it = "give a folder that holds HL7 annotated ECGs (AnnotatedECG) as the root"

    def _read_header(self, path: Path) -> FileHeader:
        record = self._parsed(path)
        document = str(record.raw_metadata.get("document_id", ""))
        return _header(record, document if _UUID.fullmatch(document) else "")  # else the same for all of a hospital

    def _read_waveforms(self, path: Path) -> Waveforms:
        record = self._parsed(path)
        rhythm, median = (
            _recording(leads, float(record.raw_metadata.get(time, {}).get("sampling_rate_exact", 0.0)), path)
            for leads, time in ((record.leads, "rhythm_time"), (record.median_beats, "median_time"))
        )
        return Waveforms(rhythm, median, _heart_rate(record))

    def _parsed(self, path: Path) -> "ECGRecord":
        from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser

        record, warned = _parsed(HL7aECGParser(), path)
        if several := [one for one in warned if _SEVERAL in one]:
            raise UnreadableError(f"{path}: {several[0]}; expected one, leave out the others")
        return record


class Scp(EcgFiles):
    """SCP-ECG files (EN 1064, ISO 11073-91064; .scp), in any nesting of folders; see ``EcgFiles`` for the arguments.

    Huffman codes, differences and reference beats that were subtracted are undone; bimodal compression, which thins out
    the signal between the QRS complexes, is not known and rejects the ECG.

    Args:
        root: A folder that holds the files, at any depth.
        labels: A table with a line an ECG; None takes ``labels.csv`` below the root, where there is one.
        targets: Further columns of the table that are targets, as for ``Arrays``.
        beats: ``own`` or ``vendor`` (the reference beat, section 5), as for ``EcgFiles``.
        check_crc: Reject an ECG that does not fit the checksums in the file.
    """

    name = "scp"
    suffixes = (".scp",)
    library = "ecgdatakit"
    get_it = "give a folder that holds SCP-ECG files as the root"

    def __init__(
        self,
        root: str | Path,
        labels: str | None = None,
        targets: str | list[str] | dict[str, Any] | None = None,
        beats: Beats = "own",
        check_crc: bool = True,
    ) -> None:
        super().__init__(root, labels, targets, beats)
        self.check_crc = check_crc

    def settings(self) -> dict[str, object]:
        """Return what any source of files does, and whether checksums are compared."""
        return super().settings() | {"check_crc": self.check_crc}

    def _read_header(self, path: Path) -> FileHeader:
        return _header(self._parsed(_scp_parser(header_only=True), path))

    def _read_waveforms(self, path: Path) -> Waveforms:
        record = self._parsed(_scp_parser(header_only=False), path)
        rhythm, median = (
            _recording(leads, _rate(record.raw_metadata, interval), path)
            for leads, interval in (
                (record.leads, "rhythm_sample_interval_us"),
                (record.median_beats, "median_sample_interval_us"),
            )
        )
        return Waveforms(rhythm, median, _heart_rate(record))

    def _parsed(self, parser: "Parser", path: Path) -> "ECGRecord":
        record, warned = _parsed(parser, path)
        if self.check_crc and not record.raw_metadata.get("checksum_valid", False):
            raise ChecksumError(
                f"{path}: {'; '.join(warned)}: the file was altered; export the ECG again, or set check_crc to false "
                "if all files say so"
            )
        return record


@cache
def _scp_parser(*, header_only: bool) -> "Parser":
    """The reader; its Huffman decoding takes most of the time, which a header does not need."""
    from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

    class HeaderParser(SCPECGParser):
        """Leaves the waveforms out."""

        def _parse_section5(self, *_: object) -> None:
            """Read no reference beat."""

        def _parse_section6(self, *_: object) -> None:
            """Read no rhythm."""

    return HeaderParser() if header_only else SCPECGParser()


def _parsed(parser: "Parser", path: Path) -> tuple["ECGRecord", list[str]]:
    """What a file says, and the reader's warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record = parser.parse(path)
    return record, [str(one.message) for one in caught]


def _header(record: "ECGRecord", document: str = "") -> FileHeader:
    patient = record.patient
    age = math.nan if patient.age is None else float(patient.age)
    return FileHeader(patient.patient_id, age, _SEXES.get(patient.sex, "unknown"), document)


def _rate(metadata: Mapping[str, Any], interval: str) -> float:
    """Hz, of which ecgdatakit gives whole ones; 0 where it is not said."""
    return 1e6 / float(metadata[interval]) if metadata.get(interval) else 0.0


def _heart_rate(record: "ECGRecord") -> float:
    rate = record.measurements.heart_rate
    return float(rate) if rate else math.nan


def _recording(leads: Sequence["Lead"], rate: float, path: Path) -> Recording | None:
    if not leads:
        return None
    names = [one.label for one in leads]
    again = [match[0] for name in names if (match := _AGAIN.fullmatch(name)) and match[1] in names]
    if again:
        raise UnreadableError(f"{path}: leads are there twice ({', '.join(names)}); leave the ECG out")
    late = [one.label for one in leads if one.annotations.get("start_sample")]
    lengths = {len(one.samples) for one in leads}
    if late or len(lengths) > 1:
        raise UnreadableError(
            f"{path}: leads begin or end apart ({', '.join(late) or lengths}), expected all at once; leave the ECG out"
        )
    return Recording(np.stack([_millivolts(one, path) for one in leads]), rate, tuple(names))


def _millivolts(lead: "Lead", path: Path) -> NDArray[np.float64]:
    unit = MILLIVOLTS_PER_UNIT.get(lead.resolution_unit.lower())
    scaled = lead.adc_resolution != 0.0 and math.isfinite(lead.resolution) and math.isfinite(lead.offset)
    if unit is None or not scaled:
        raise UnitError(
            f"{path}: lead {lead.label}: {lead.adc_resolution:g} {lead.resolution_unit or 'of no unit'} a step, "
            "expected a number of uV, mV, nV or V; correct the export"
        )
    return np.asarray((lead.samples * lead.resolution + lead.offset) * unit)
