"""This module turns whatever leads a file has, in whatever order and spelling, into those that are wanted."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS
from ecg_lightning.signal.errors import MissingLeadError

LIMB_LEADS: Final[Mapping[str, tuple[float, float]]] = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
"""Every limb lead as a combination of I and II: Einthoven's III = II - I, Goldberger's augmented leads."""

_CANONICAL: Final = {name.upper(): name for name in (*LIMB_LEADS, *LEADS)}
# DI, DII, DIII: Latin languages. C1-C6: the chest electrodes' names of IEC 60601-2-25.
_SYNONYMS: Final = {"DI": "I", "DII": "II", "DIII": "III"} | {f"C{k}": f"V{k}" for k in range(1, 7)}
_COMMENT: Final = re.compile(r"[(,;].*$")
# A hyphen next to the word separates (LEAD-I); one behind a blank is a sign (LEAD -aVR).
_PREFIX: Final = re.compile(r"^(MDC_ECG_LEAD|MDC_ECG|ECG|EKG|LEAD)(-|[\s_:.]*)")


_NEEDED: Final = "I, II (or two other limb leads) and V1-V6"


def canonical_lead(name: str) -> tuple[str, float] | None:
    """Recognise a lead by its name.

    Case, blanks, ``Lead I``, ``MDC_ECG_LEAD_AVR``, ``ECG V1``, ``Lead I (Einthoven)``, ``aVR, augmented voltage``,
    ``DII``, ``C3`` and a leading minus (``-aVR`` of the Cabrera order) are understood. Modified leads
    (``MLII``, ``V3R``, ``V7``) are other leads and are not recognised.

    Args:
        name: The name as the file spells it.

    Returns:
        The lead's name (``I`` ... ``aVF``, ``V1`` ... ``V6``) and the sign (+1 or -1) that turns the file's
        signal into that lead; None for a name that is not one of the twelve leads.
    """
    text = _COMMENT.sub("", name).strip().upper()
    while (shorter := _PREFIX.sub("", text)) != text:
        text = shorter
    text = re.sub(r"[\s_.]", "", text)
    sign = -1.0 if text.startswith(("-", "\N{MINUS SIGN}")) else 1.0
    text = text.lstrip("+-\N{MINUS SIGN}")
    lead = _CANONICAL.get(_SYNONYMS.get(text, text))
    return None if lead is None else (lead, sign)


def to_standard_leads(
    signal: NDArray[np.floating],  # (lead, sample) mV
    leads: Sequence[str],
) -> NDArray[np.float64]:  # (8, sample) mV
    """Order the leads as ``ecg.LEADS``; see :func:`to_leads`.

    Args:
        signal: (lead, sample) mV.
        leads: The name of each row of ``signal``, see :func:`canonical_lead`.

    Returns:
        (8, sample) mV, a new float64 array.

    Raises:
        MissingLeadError: See :func:`to_leads`.
    """
    return to_leads(signal, leads, LEADS)


def to_leads(
    signal: NDArray[np.floating],  # (lead, sample) mV
    leads: Sequence[str],
    wanted: Sequence[str],
) -> NDArray[np.float64]:  # (wanted, sample) mV
    """Order the leads as they are wanted; derive limb leads from other limb leads where they are not there.

    A missing limb lead is that of the least-squares solution of the Einthoven and Goldberger equations of all limb
    leads that are there; any two different ones determine it. No other lead is derived.

    Args:
        signal: (lead, sample) mV.
        leads: The name of each row of ``signal``, see :func:`canonical_lead`; other names stay as they are.
        wanted: Names of the leads that are returned, in their order.

    Returns:
        (wanted, sample) mV, a new float64 array.

    Raises:
        MissingLeadError: A lead is missing and can't be derived, is there twice, or names and rows differ in
            number.
    """
    rows = _rows_by_lead(np.atleast_2d(signal), leads, wanted)
    missing = [lead for lead in wanted if lead not in rows]
    limb = [lead for lead in LIMB_LEADS if lead in rows]
    lost = [lead for lead in missing if lead not in LIMB_LEADS or len(limb) < 2]
    if lost:
        raise MissingLeadError(
            f"lead {', '.join(lost)} missing: {_NEEDED if tuple(wanted) == LEADS else ', '.join(wanted)} are needed, "
            f"the recording has {', '.join(leads) or 'no lead'}; correct the lead names in the source, or leave the "
            "recording out"
        )
    if missing:
        system = np.array([LIMB_LEADS[lead] for lead in limb])  # (limb lead, 2)
        derived = np.linalg.pinv(system) @ np.stack([rows[lead] for lead in limb])  # I and II, (2, sample)
        rows |= {lead: np.array(LIMB_LEADS[lead]) @ derived for lead in missing}
    return np.stack([rows[lead] for lead in wanted]).astype(np.float64, copy=False)


def _rows_by_lead(
    signal: NDArray[np.floating], leads: Sequence[str], wanted: Sequence[str]
) -> dict[str, NDArray[np.floating]]:
    """Name of a lead -> its row of the signal; what is none of the twelve leads is there where it is wanted by name."""
    if len(leads) != len(signal):
        raise MissingLeadError(
            f"{len(leads)} lead names for a signal of shape {signal.shape}: one name per row of (lead, sample) is "
            "needed; transpose the signal or correct the names in the source"
        )
    rows: dict[str, NDArray[np.floating]] = {}
    for name, row in zip(leads, signal, strict=True):
        known = canonical_lead(name)
        if known is None and name.strip() not in wanted:
            continue
        lead, sign = known or (name.strip(), 1.0)
        if lead in rows:
            raise MissingLeadError(
                f"lead {lead} is there twice (names: {', '.join(leads)}); keep one of them in the source"
            )
        rows[lead] = sign * row
    return rows
