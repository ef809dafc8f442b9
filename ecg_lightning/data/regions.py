"""Regions of a beat that a map may mark: evidence of a diagnosis, waves, and the segments between them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.cache import BEAT_SHAPE, BeatCache
from ecg_lightning.ecg import BEAT_SAMPLES, FIDUCIAL_SAMPLE, SAMPLING_RATE, Target

REGIONS: Final = ("causal", "core", "P", "PR", "QRS", "ST", "T")
"""Evidence by counterfactual twins and by the textbook; waves; and the segments from the end of P to QRS, and from
the end of QRS to T, of the beat at the fiducial."""

_LONGEST_SEGMENT: Final = 200
"""Samples (400 ms): a P wave further away belongs to another beat."""

WINDOWS_MS: Final[dict[str, tuple[float, float]]] = {
    "P and PR": (-300.0, -60.0),
    "QRS": (-60.0, 60.0),
    "ST": (60.0, 160.0),
    "T": (160.0, 420.0),
    "elsewhere": (np.nan, np.nan),
}
"""From the QRS fiducial: fixed windows, for archives in which nobody has marked the waves."""

WAVES: Final = ("P", "PR", "QRS", "ST", "T")
"""The regions that are waves and segments; where two of them overlap, a point is of the later one."""

Masks = NDArray[np.bool_]


def known_regions(cache: BeatCache, target: Target) -> tuple[str, ...]:
    """Return the regions that at least one ECG of the cache has a mask for, evidence of this target."""
    there = {region for region in REGIONS if _stored_name(region, target) in cache.regions}
    if {"P", "QRS"} <= there:
        there.add("PR")
    if {"QRS", "T"} <= there:
        there.add("ST")
    return tuple(region for region in REGIONS if region in there)


def read_regions(cache: BeatCache, rows: NDArray[np.intp], target: Target) -> dict[str, tuple[Masks, Masks]]:
    """Read the masks of some ECGs.

    Args:
        cache: The cache that holds the masks.
        rows: (k,) of the cache.
        target: The diagnosis whose evidence is read.

    Returns:
        Region of ``known_regions`` -> (k, 8, 600) mask, and (k,) whether it is known for the ECG. Evidence of a
        diagnosis is known where the ECG has it.

    Raises:
        ValueError: A stored mask is of another shape.
    """
    evidence = [region for region in ("causal", "core") if _stored_name(region, target) in cache.regions]
    found = {region: _read(cache, rows, _stored_name(region, target)) for region in evidence}
    return found | _read_waves(cache, rows)


def _read_waves(cache: BeatCache, rows: NDArray[np.intp]) -> dict[str, tuple[Masks, Masks]]:
    """Those of ``WAVES`` that at least one ECG of the cache has a mask for, and whether each ECG's are known."""
    stored: tuple[str, ...] = ("P", "QRS", "T")
    found = {wave: _read(cache, rows, wave) for wave in stored if wave in cache.regions}
    if {"P", "QRS"} <= found.keys():
        found["PR"] = pr_segment(found["P"][0], found["QRS"][0]), found["P"][1] & found["QRS"][1]
    if {"QRS", "T"} <= found.keys():
        found["ST"] = st_segment(found["QRS"][0], found["T"][0]), found["QRS"][1] & found["T"][1]
    return {wave: found[wave] for wave in WAVES if wave in found}


def windows(samples: int = BEAT_SAMPLES) -> dict[str, NDArray[np.bool_]]:
    """Return for each of ``WINDOWS_MS`` which samples (sample,) lie in it."""
    time = (np.arange(samples) - FIDUCIAL_SAMPLE) * 1000 / SAMPLING_RATE
    found = {name: (time >= low) & (time < high) for name, (low, high) in WINDOWS_MS.items()}
    found["elsewhere"] = ~np.any(list(found.values()), axis=0)
    return found


def wave_labels(cache: BeatCache, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    """Label every point with wave and lead: by the waves that the cache knows of an ECG, else by the fixed windows.

    Args:
        cache: The cache that holds the masks.
        rows: (k,) of the cache.

    Returns:
        (k, 8, 600): lead times the number of segments, plus the segment: P, PR, QRS, ST, T and the rest; or those of
        ``WINDOWS_MS``.
    """
    places = len(WAVES) + 1
    by_window = np.zeros(BEAT_SAMPLES, dtype=np.int64)
    for place, inside in enumerate(windows().values()):
        by_window[inside] = place
    labels = np.broadcast_to(by_window, (len(rows), *BEAT_SHAPE)).copy()
    found = _read_waves(cache, rows)
    if set(WAVES) <= found.keys():
        known = np.all([there for _, there in found.values()], axis=0)
        by_wave = np.full(labels.shape, len(WAVES), dtype=np.int64)
        for place, wave in enumerate(WAVES):
            by_wave[found[wave][0]] = place
        labels[known] = by_wave[known]
    return labels + places * np.arange(BEAT_SHAPE[0])[:, None]


def pr_segment(p: Masks, qrs: Masks) -> Masks:
    """Mark from the end of the P wave to the onset of the QRS complex that holds the fiducial, lead by lead.

    Args:
        p: (..., sample) P waves.
        qrs: (..., sample) QRS complexes.

    Returns:
        (..., sample); nowhere in a lead without either.
    """
    place = np.arange(p.shape[-1])
    onset = _first_of_complex(qrs)[..., None]
    last_p = np.where(p & (place < onset), place, -1).max(axis=-1, keepdims=True)
    there = (last_p >= 0) & (onset - last_p <= _LONGEST_SEGMENT)
    return np.asarray(there & (place > last_p) & (place < onset), dtype=np.bool_)


def st_segment(qrs: Masks, t: Masks) -> Masks:
    """Mark from the end of the QRS complex that holds the fiducial to the next T wave's onset, lead by lead."""
    samples = qrs.shape[-1]
    # the same, seen from the other end of time
    fiducial = samples - 1 - FIDUCIAL_SAMPLE
    place = np.arange(samples)
    onset = _first_of_complex(qrs[..., ::-1], fiducial)[..., None]
    last_t = np.where(t[..., ::-1] & (place < onset), place, -1).max(axis=-1, keepdims=True)
    there = (last_t >= 0) & (onset - last_t <= _LONGEST_SEGMENT)
    return np.asarray((there & (place > last_t) & (place < onset))[..., ::-1], dtype=np.bool_)


def _first_of_complex(qrs: Masks, fiducial: int = FIDUCIAL_SAMPLE) -> NDArray[np.int64]:
    """(...) first sample of the complex that holds the fiducial; 0 where none does, so that nothing is before it."""
    place = np.arange(qrs.shape[-1])
    gap = np.where(~qrs & (place <= fiducial), place, -1).max(axis=-1)  # the last sample before it outside
    return np.where(qrs[..., fiducial], gap + 1, 0)


def _stored_name(region: str, target: Target) -> str:
    return f"{region}/{target}" if region in ("causal", "core") else region


def _read(cache: BeatCache, rows: NDArray[np.intp], name: str) -> tuple[Masks, Masks]:
    packed, present = cache.masks(name)
    masks = np.unpackbits(packed[rows], axis=-1, count=BEAT_SAMPLES).astype(np.bool_)
    if masks.shape[1:] != BEAT_SHAPE:
        raise ValueError(f"{cache.folder}: masks of {name} are {masks.shape[1:]}, expected {BEAT_SHAPE}")
    return masks, np.asarray(present[rows], dtype=np.bool_)
