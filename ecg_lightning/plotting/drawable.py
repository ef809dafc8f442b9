"""These checks refuse what can't be drawn, in words that say what to do."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.ecg import BEAT_SAMPLES, LEADS, MAX_ABS_MILLIVOLT


def check_beat(beat: ArrayLike) -> NDArray[np.float64]:
    """Return a beat as float64, or say what is wrong with it.

    Args:
        beat: (8, 600) mV, an array or a tensor in main memory.

    Returns:
        (8, 600) mV.

    Raises:
        ValueError: Another shape, a value that is not finite, or one above 20 mV.
    """
    values = np.asarray(beat, dtype=np.float64)
    check_shape("beat", values)
    if not np.isfinite(values).all():
        broken = [lead for lead, row in zip(LEADS, values, strict=True) if not np.isfinite(row).all()]
        raise ValueError(f"expected a beat of finite values, got NaN or infinity in {', '.join(broken)}")
    if np.abs(values).max() > MAX_ABS_MILLIVOLT:
        raise ValueError(
            f"expected a beat in mV, at most {MAX_ABS_MILLIVOLT:g} mV in size, got {np.abs(values).max():g}: "
            "is it in microvolts or in the units of the converter?"
        )
    return values


def check_shape(name: str, values: NDArray[np.generic]) -> None:
    """Refuse what is not (8 leads, 600 samples); ``name`` is the argument that the message names."""
    expected = (len(LEADS), BEAT_SAMPLES)
    if values.shape != expected:
        raise ValueError(f"expected {name} of shape {expected} (lead, sample), got {values.shape}")


def check_map(name: str, attribution: ArrayLike, *, signed: bool) -> NDArray[np.float64]:
    """Return a map as float64, or say what is wrong with it.

    Args:
        name: The argument or method that messages name.
        attribution: (8, 600), an array or a tensor in main memory; NaN is allowed and drawn as such.
        signed: Whether the map may have negative values.

    Raises:
        ValueError: Another shape, or a negative value in an unsigned map.
    """
    values = np.asarray(attribution, dtype=np.float64)
    check_shape(name, values)
    if not signed and np.any(values < 0):
        raise ValueError(
            f"expected {name} without negative values because it is drawn as unsigned, got a minimum of "
            f"{np.nanmin(values):.3g}: pass signed=True, or its absolute value"
        )
    return values


def check_evidence(evidence: ArrayLike | None) -> NDArray[np.bool_]:
    """Return an evidence mask (all False where there is none), or say what is wrong with it."""
    if evidence is None:
        return np.zeros((len(LEADS), BEAT_SAMPLES), dtype=np.bool_)
    mask = np.asarray(evidence)
    check_shape("evidence", mask)
    if mask.dtype != np.bool_:
        raise ValueError(f"expected evidence of booleans, got {mask.dtype}: compare it with a threshold first")
    return mask
