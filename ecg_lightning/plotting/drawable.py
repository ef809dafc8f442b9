"""These checks refuse what can't be drawn, in words that say what to do."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import MAX_ABS_MILLIVOLT, MILLIVOLT, SignalFormat


def check_beat(beat: ArrayLike, of_format: SignalFormat) -> NDArray[np.float64]:
    """Return a beat or recording as float64, or say what is wrong with it.

    Args:
        beat: (lead, sample) mV, an array or a tensor in main memory.
        of_format: Its leads and samples.

    Returns:
        (lead, sample) mV.

    Raises:
        ValueError: Another shape or unit, a value that is not finite, or one above 20 mV.
    """
    values = np.asarray(beat, dtype=np.float64)
    name = "recording" if of_format.fiducial is None else "beat"
    if of_format.unit != MILLIVOLT:
        raise ValueError(f"expected a {name} in {MILLIVOLT}, got a format in {of_format.unit}")
    check_shape(name, values, of_format)
    if not np.isfinite(values).all():
        broken = [lead for lead, row in zip(of_format.leads, values, strict=True) if not np.isfinite(row).all()]
        raise ValueError(f"expected a {name} of finite values, got NaN or infinity in {', '.join(broken)}")
    if np.abs(values).max() > MAX_ABS_MILLIVOLT:
        raise ValueError(
            f"expected a {name} in mV, at most {MAX_ABS_MILLIVOLT:g} mV in size, got {np.abs(values).max():g}: "
            "is it in microvolts or in the units of the converter?"
        )
    return values


def check_shape(name: str, values: NDArray[np.generic], of_format: SignalFormat) -> None:
    """Refuse what has not the shape of a format; ``name`` is the argument that the message names."""
    if values.shape != of_format.shape:
        raise ValueError(f"expected {name} of shape {of_format.shape} (lead, sample), got {values.shape}")


def check_map(name: str, attribution: ArrayLike, *, signed: bool, of_format: SignalFormat) -> NDArray[np.float64]:
    """Return a map as float64, or say what is wrong with it.

    Args:
        name: The argument or method that messages name.
        attribution: (lead, sample), an array or a tensor in main memory; NaN is allowed and drawn as such.
        signed: Whether the map may have negative values.
        of_format: Leads and samples of the signal that it explains.

    Raises:
        ValueError: Another shape, or a negative value in an unsigned map.
    """
    values = np.asarray(attribution, dtype=np.float64)
    check_shape(name, values, of_format)
    if not signed and np.any(values < 0):
        raise ValueError(
            f"expected {name} without negative values because it is drawn as unsigned, got a minimum of "
            f"{np.nanmin(values):.3g}: pass signed=True, or its absolute value"
        )
    return values


def check_evidence(evidence: ArrayLike | None, of_format: SignalFormat) -> NDArray[np.bool_]:
    """Return an evidence mask (all False where there is none), or say what is wrong with it."""
    if evidence is None:
        return np.zeros(of_format.shape, dtype=np.bool_)
    mask = np.asarray(evidence)
    check_shape("evidence", mask, of_format)
    if mask.dtype != np.bool_:
        raise ValueError(f"expected evidence of booleans, got {mask.dtype}: compare it with a threshold first")
    return mask
