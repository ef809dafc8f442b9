"""Writes ECGs as HL7 annotated ECGs (ANSI/HL7 V3 ECG, R1-2004), after the FDA's implementation guide."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
STEP = 2.5  # uV


def sequence_set(
    millivolts: NDArray[np.floating],
    names: Sequence[str],
    rate: float = 500.0,
    *,
    unit: str = "uV",
    per_unit: float = 1e3,
    origin: float = 0.0,
    start: str = "20210510131518.000",
) -> str:
    """The waveforms of (lead, sample) mV; ``per_unit`` units are a mV."""
    step = STEP * per_unit / 1e3
    time = (
        '<component><sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/>'
        f'<value xsi:type="GLIST_TS"><head value="{start}"/><increment value="{1 / rate!r}" unit="s"/></value>'
        "</sequence></component>"
    )
    leads = (
        _lead(name, np.rint((row * per_unit - origin) / step).astype(int), step, unit, origin)
        for name, row in zip(names, millivolts, strict=True)
    )
    return f"<component><sequenceSet>{time}{''.join(leads)}</sequenceSet></component>"


def _lead(name: str, digits: NDArray[np.int64], step: float, unit: str, origin: float) -> str:
    return (
        f'<component><sequence><code code="MDC_ECG_LEAD_{name.upper()}" codeSystem="2.16.840.1.113883.6.24"/>'
        f'<value xsi:type="SLIST_PQ"><origin value="{origin!r}" unit="{unit}"/><scale value="{step!r}" unit="{unit}"/>'
        f"<digits>{' '.join(map(str, digits.tolist()))}</digits></value></sequence></component>"
    )


def series(sets: str, code: str = "RHYTHM", derived: str = "") -> str:
    return (
        f'<component><series><id root="{code}"/><code code="{code}" codeSystem="2.16.840.1.113883.5.4"/>'
        f"{sets}{f'<derivation>{derived}</derivation>' if derived else ''}</series></component>"
    )


def derived_series(sets: str) -> str:
    return f'<derivedSeries><code code="REPRESENTATIVE_BEAT" codeSystem="2.16.840.1.113883.5.4"/>{sets}</derivedSeries>'


def document(
    body: str,
    *,
    identity: str = "61d1a24f-b47e-41aa-ae95-f8ac302f4eeb",
    patient: str = "0012",
    sex: str = "F",
    born: str = "19610510",
) -> str:
    """A whole file."""
    subject = (
        "<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>"
        f'<id root="2.16.840.1.113883.3.4" extension="{patient}"/><subjectDemographicPerson>'
        f'<administrativeGenderCode code="{sex}"/><birthTime value="{born}"/></subjectDemographicPerson>'
        "</trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>"
    )
    return (
        f'{HEAD}<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<id root="{identity}"/><effectiveTime><low value="20210510131518"/><high value="20210510131528"/>'
        f"</effectiveTime>{subject}{body}</AnnotatedECG>"
    )


def write_aecg(path: Path, millivolts: NDArray[np.floating], names: Sequence[str], **whole: str) -> None:
    """Write a rhythm of (lead, sample) mV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document(series(sequence_set(millivolts, names)), **whole))
