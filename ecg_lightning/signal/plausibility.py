"""This module checks that a signal is an ECG in mV before anything is computed from a recording."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.ecg import LEADS, MAX_ABS_MILLIVOLT
from ecg_lightning.signal.errors import (
    FlatLeadError,
    NotFiniteError,
    SamplingRateError,
    TooShortError,
    VoltageError,
)

MIN_RATE: Final = 100.0
"""Hz. Below it a QRS complex (energy up to 40 Hz) can't be located to a few ms; Holter recorders use 125 Hz."""

MAX_RATE: Final = 16_000.0
"""Hz. Pacemaker-aware recorders reach 16 kHz; a larger figure is a header in the wrong unit."""

MIN_SECONDS: Final = 3.0
"""Three beats need 3 s at 60 a minute; and the beat's window alone is 1.2 s long."""

FLAT_MILLIVOLT: Final = 0.005
"""A sample nearer than this to its lead's median is called flat: five steps of the usual 1 uV converter."""

FLAT_SHARE: Final = 0.98
"""Share of flat samples that makes a lead flat; a QRS complex of 80 ms at 40 a minute fills 5 % of the time."""


FLAT_SECONDS: Final = 2.5
"""A lead is off where it does not move for so long: longer than between two beats at 25 a minute."""

_BLOCK_SECONDS: Final = 0.1


def check_rate(sampling_rate: float) -> None:
    """Refuse a sampling rate that is not one of an ECG.

    Raises:
        SamplingRateError: Not finite, or outside 100 Hz to 16 kHz.
    """
    if not (np.isfinite(sampling_rate) and MIN_RATE <= sampling_rate <= MAX_RATE):
        raise SamplingRateError(
            f"sampling rate {sampling_rate} Hz: expected {MIN_RATE:g} to {MAX_RATE:g} Hz; correct the rate in the "
            "file's header, or leave the recording out"
        )


def check_length(samples: int, sampling_rate: float) -> None:
    """Refuse an empty recording and one that is too short for three beats.

    Raises:
        TooShortError: Under 3 s.
    """
    if samples < MIN_SECONDS * sampling_rate:
        raise TooShortError(
            f"the recording is {samples / sampling_rate:.2f} s long ({samples} samples at {sampling_rate:g} Hz), at "
            f"least {MIN_SECONDS:g} s are needed; use the whole recording, not a strip of it"
        )


def check_signal(signal: NDArray[np.floating], leads: Sequence[str] = LEADS) -> None:
    """Refuse samples that are not finite, a wrong unit, and flat leads.

    Args:
        signal: (lead, sample) mV.
        leads: Names of its rows.

    Raises:
        NotFiniteError: NaN or infinite samples.
        VoltageError: More than 20 mV in absolute value.
        FlatLeadError: At least 98 % of a lead's samples within 5 uV of the lead's median.
    """
    peaks = np.maximum(signal.max(axis=1), -signal.min(axis=1))  # (lead,) mV, NaN where a sample is NaN
    if not np.isfinite(peaks).all():
        counts = (~np.isfinite(signal)).sum(axis=1)
        where = ", ".join(f"{lead} ({n})" for lead, n in zip(leads, counts, strict=True) if n)
        raise NotFiniteError(
            f"samples that are not finite in lead {where} of {signal.shape[1]}; such gaps are not filled in: "
            "repair the file, or leave the recording out"
        )
    if peaks.max() > MAX_ABS_MILLIVOLT:
        where = ", ".join(f"{lead} ({p:.4g} mV)" for lead, p in zip(leads, peaks, strict=True) if p > MAX_ABS_MILLIVOLT)
        raise VoltageError(
            f"more than {MAX_ABS_MILLIVOLT:g} mV in lead {where}: probably the unit is not mV (uV? raw converter "
            "steps?); correct the unit or gain in the file's header or in the source"
        )
    _check_flat(signal, leads)


def _check_flat(signal: NDArray[np.floating], leads: Sequence[str]) -> None:
    # Spikes on a dead lead must not make it pass, so the share of samples near the median counts, not the range.
    near = np.abs(signal - np.median(signal, axis=1, keepdims=True)) <= FLAT_MILLIVOLT
    flat = [lead for lead, share in zip(leads, near.mean(axis=1), strict=True) if share >= FLAT_SHARE]
    if flat:
        raise FlatLeadError(
            f"lead {', '.join(flat)} is flat ({FLAT_SHARE:.0%} of its samples within {1e3 * FLAT_MILLIVOLT:g} uV of "
            "its median): the electrode was off, or the unit is V and not mV; leave the recording out or correct it"
        )


def check_alive(signal: NDArray[np.floating], sampling_rate: float, leads: Sequence[str] = LEADS) -> None:
    """Refuse a lead that is there for under 3 s: off for the rest, or printed in a column of a sheet.

    A lead is off where it stays within 10 uV for 2.5 s.

    Args:
        signal: (lead, sample) mV.
        sampling_rate: Sampling rate in Hz.
        leads: Names of its rows.

    Raises:
        FlatLeadError: Under 3 s of a lead are left.
    """
    block = max(round(_BLOCK_SECONDS * sampling_rate), 1)
    count, width = signal.shape[1] // block, round(FLAT_SECONDS / _BLOCK_SECONDS)
    if count < width:
        return
    blocks = signal[:, : count * block].reshape(len(signal), count, block)
    high, low = (np.lib.stride_tricks.sliding_window_view(e, width, axis=1) for e in (blocks.max(2), blocks.min(2)))
    still = high.max(axis=2) - low.min(axis=2) <= 2 * FLAT_MILLIVOLT  # (lead, window)
    if not still.any():
        return
    off = np.stack([np.convolve(row, np.ones(width)) > 0 for row in still])  # (lead, block)
    seconds = (~off).sum(axis=1) * block / sampling_rate
    short = [f"{lead} ({s:.1f} s)" for lead, s in zip(leads, seconds, strict=True) if s < MIN_SECONDS]
    if short:
        raise FlatLeadError(
            f"of lead {', '.join(short)} is there, the rest of {signal.shape[1] / sampling_rate:.1f} s does not move; "
            f"at least {MIN_SECONDS:g} s are needed: the electrode was off, or each lead was printed for a part of the "
            "time; leave the recording out"
        )
