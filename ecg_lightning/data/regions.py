"""Regions of a beat that a map may mark: evidence of a diagnosis, waves, and the segments between them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat, Target
from ecg_lightning.signal.beat import OWN_SHARE

REGIONS: Final = ("causal", "core", "P", "PR", "QRS", "ST", "T")
"""Evidence by counterfactual twins and by the textbook; waves; and the segments from the end of P to QRS, and from
the end of QRS to T, of the beat at the fiducial; in a recording of every beat."""

_LONGEST_MS: Final = 400.0
"""A P wave further away belongs to another beat."""

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
        Region of ``known_regions`` -> (k, lead, sample) mask, and (k,) whether it is known for the ECG. Evidence of a
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
    is_beat = cache.signal_format.fiducial is not None
    for segment, first, second in (("PR", "P", "QRS"), ("ST", "QRS", "T")):
        if not {first, second} <= found.keys():
            continue
        before, behind = found[first], found[second]
        if is_beat:
            between = (pr_segment if segment == "PR" else st_segment)(before[0], behind[0], cache.signal_format)
        else:
            between = segments_between(before[0], behind[0], cache.signal_format.sampling_rate)
        found[segment] = between, before[1] & behind[1]
    return {wave: found[wave] for wave in WAVES if wave in found}


def windows(
    of_format: SignalFormat = MEDIAN_BEAT, r_peaks: NDArray[np.integer] | None = None
) -> dict[str, NDArray[np.bool_]]:
    """Return for each of ``WINDOWS_MS`` which samples (sample,) lie in it.

    Args:
        of_format: Rate, samples and fiducial.
        r_peaks: (beat,) samples of a recording's R peaks, which stand for the fiducial.
    """
    if r_peaks is None:
        time = of_format.milliseconds(np.arange(of_format.samples))
    else:
        time = since_own_beat(np.asarray(r_peaks), of_format)
    found = {name: (time >= low) & (time < high) for name, (low, high) in WINDOWS_MS.items()}
    found["elsewhere"] = ~np.any(list(found.values()), axis=0)
    return found


def wave_labels(cache: BeatCache, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    """Label every point with wave and lead: by the waves that the cache knows of an ECG, else by the fixed windows.

    Args:
        cache: The cache that holds the masks.
        rows: (k,) of the cache.

    Returns:
        (k, lead, sample): lead times the number of segments, plus the segment: P, PR, QRS, ST, T and the rest; or those
        of ``WINDOWS_MS``.
    """
    places = len(WAVES) + 1
    of_format = cache.signal_format
    labels = np.repeat(_window_labels(cache, rows)[:, None], len(of_format.leads), axis=1)
    found = _read_waves(cache, rows)
    if set(WAVES) <= found.keys():
        known = np.all([there for _, there in found.values()], axis=0)
        by_wave = np.full(labels.shape, len(WAVES), dtype=np.int64)
        for place, wave in enumerate(WAVES):
            by_wave[found[wave][0]] = place
        labels[known] = by_wave[known]
    return labels + places * np.arange(len(of_format.leads))[:, None]


def _window_labels(cache: BeatCache, rows: NDArray[np.intp]) -> NDArray[np.int64]:
    """(k, sample) place of each sample's window among ``WINDOWS_MS``."""
    of_format = cache.signal_format
    if of_format.fiducial is not None:
        return np.repeat(_places(windows(of_format))[None], len(rows), axis=0)
    peaks = cache.examples["r_peaks"]
    return np.stack([_places(windows(of_format, peaks.iloc[row])) for row in rows])


def _places(by_name: dict[str, NDArray[np.bool_]]) -> NDArray[np.int64]:
    return np.asarray(np.stack(list(by_name.values())).argmax(axis=0))


def since_own_beat(r_peaks: NDArray[np.integer], of_format: SignalFormat) -> NDArray[np.float64]:
    """Return when each sample is, in ms after the R peak of the beat that it belongs to, negative before it.

    A beat has .6 of the RR interval behind it, and the rest of the one before.

    Args:
        r_peaks: (beat,) samples of a recording's R peaks.
        of_format: Of the recording.

    Returns:
        (sample,) ms; NaN where there is no beat at all.
    """
    sample = np.arange(of_format.samples)
    edges = np.concatenate([[-np.inf], r_peaks, [np.inf]])
    following = np.searchsorted(r_peaks, sample, side="right")
    before, behind = sample - edges[following], edges[following + 1] - sample
    with np.errstate(invalid="ignore"):
        is_of_next = ~np.isfinite(before) | (before > OWN_SHARE * (before + behind))
    time = np.where(is_of_next, -behind, before)
    return np.where(np.isfinite(time), time * 1000 / of_format.sampling_rate, np.nan)


def pr_segment(p: Masks, qrs: Masks, of_format: SignalFormat = MEDIAN_BEAT) -> Masks:
    """Mark from the end of the P wave to the onset of the QRS complex that holds the fiducial, lead by lead.

    Args:
        p: (..., sample) P waves.
        qrs: (..., sample) QRS complexes.
        of_format: Rate and fiducial of the beats.

    Returns:
        (..., sample); nowhere in a lead without either.
    """
    place = np.arange(p.shape[-1])
    onset = _first_of_complex(qrs, of_format.fiducial or 0)[..., None]
    last_p = np.where(p & (place < onset), place, -1).max(axis=-1, keepdims=True)
    there = (last_p >= 0) & (onset - last_p <= _longest_segment(of_format))
    return np.asarray(there & (place > last_p) & (place < onset), dtype=np.bool_)


def st_segment(qrs: Masks, t: Masks, of_format: SignalFormat = MEDIAN_BEAT) -> Masks:
    """Mark from the end of the QRS complex that holds the fiducial to the next T wave's onset, lead by lead."""
    samples = qrs.shape[-1]
    # the same, seen from the other end of time
    fiducial = samples - 1 - (of_format.fiducial or 0)
    place = np.arange(samples)
    onset = _first_of_complex(qrs[..., ::-1], fiducial)[..., None]
    last_t = np.where(t[..., ::-1] & (place < onset), place, -1).max(axis=-1, keepdims=True)
    there = (last_t >= 0) & (onset - last_t <= _longest_segment(of_format))
    return np.asarray((there & (place > last_t) & (place < onset))[..., ::-1], dtype=np.bool_)


def _longest_segment(of_format: SignalFormat) -> int:
    return round(_LONGEST_MS * of_format.sampling_rate / 1000)


def segments_between(first: Masks, second: Masks, sampling_rate: float) -> Masks:
    """Mark from the end of each wave of one kind to the onset of the next of another kind, lead by lead.

    Args:
        first: (..., sample), such as P waves.
        second: (..., sample), such as QRS complexes.
        sampling_rate: Hz; waves more than 400 ms apart belong to different beats.

    Returns:
        (..., sample); nowhere between two waves of the same kind.
    """
    place = np.arange(first.shape[-1])
    last_first, last_second = (np.maximum.accumulate(np.where(wave, place, -1), axis=-1) for wave in (first, second))
    next_first, next_second = (
        np.minimum.accumulate(np.where(wave, place, len(place))[..., ::-1], axis=-1)[..., ::-1]
        for wave in (first, second)
    )
    inside = (last_first > last_second) & (next_second < np.minimum(next_first, len(place))) & ~first & ~second
    return np.asarray(inside & ((next_second - last_first) * 1000 / sampling_rate <= _LONGEST_MS), dtype=np.bool_)


def _first_of_complex(qrs: Masks, fiducial: int) -> NDArray[np.int64]:
    """(...) first sample of the complex that holds the fiducial; 0 where none does, so that nothing is before it."""
    place = np.arange(qrs.shape[-1])
    gap = np.where(~qrs & (place <= fiducial), place, -1).max(axis=-1)  # the last sample before it outside
    return np.where(qrs[..., fiducial], gap + 1, 0)


def _stored_name(region: str, target: Target) -> str:
    return f"{region}/{target}" if region in ("causal", "core") else region


def _read(cache: BeatCache, rows: NDArray[np.intp], name: str) -> tuple[Masks, Masks]:
    packed, present = cache.masks(name)
    shape = cache.signal_format.shape
    masks = np.unpackbits(packed[rows], axis=-1, count=shape[1]).astype(np.bool_)
    if masks.shape[1:] != shape:
        raise ValueError(f"{cache.folder}: masks of {name} are {masks.shape[1:]}, expected {shape}")
    return masks, np.asarray(present[rows], dtype=np.bool_)
