"""The similarity of maps is their correlation after smoothing (paper, "Cross-method similarity").

Maps are smoothed along time first, by Savitzky-Golay; for the sign ``absolute`` the magnitude is taken of the smoothed
map, for if it came first the filter would turn every quick change of a gradient's sign into a bump. A map is smoothed
and ranked once, not once a pair. A map that is constant or not finite has no correlation: NaN, never 0.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ecg_lightning.functional.correlation import largest_magnitude, standardised, standardised_ranks, unit_product
from ecg_lightning.functional.smoothing import ORDER, WINDOW, savitzky_golay

Statistic = Literal["pearson", "spearman"]
Scope = Literal["ecg", "lead"]
Sign = Literal["native", "absolute"]

STATISTICS: Final[tuple[Statistic, ...]] = get_args(Statistic)

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""``ecg``: over all points of all leads at once; ``lead``: over the points of each lead, then the mean over leads."""

SIGNS: Final[tuple[Sign, ...]] = get_args(Sign)
"""``native``: the smoothed map, shown as "signed"; ``absolute``: its magnitude. Stores and tables keep these words."""

SIGN_LABELS: Final[dict[Sign, str]] = {"native": "signed", "absolute": "absolute"}
"""Sign -> the word that people read for it; :func:`as_sign` takes either."""

_ROUNDING: Final = 1e-12
"""Smoothed values that are no further apart than this share of the largest one are ties: what rounding in the filter
has done to a plateau, or to Grad-CAM's leads, which are equal before it, must not be ranked."""


def similarity_matrix(
    maps: Tensor,
    statistic: Statistic = "pearson",
    scope: Scope = "ecg",
    sign: Sign | Literal["signed"] = "native",
    window: int | None = WINDOW,
    order: int = ORDER,
) -> Tensor:
    """Compute the similarity of every pair of an ECG's maps.

    In the scope ``lead``, a lead in which either map is constant says nothing of how alike they are: it is left out of
    the mean over leads, which is NaN where no lead is left. A map that is not finite in one lead is broken in all.

    Args:
        maps: (batch, method, lead, sample).
        statistic: ``pearson`` or ``spearman``.
        scope: ``ecg``: over all points; ``lead``: mean over leads.
        sign: ``native`` or, the same, ``signed``; ``absolute``: magnitudes of the smoothed maps.
        window: Samples of the Savitzky-Golay filter, odd; None: no smoothing.
        order: Degree of its polynomial.

    Returns:
        (batch, method, method) float64, symmetric; NaN in row and column of a constant or non-finite map.

    Raises:
        ValueError: Maps of another shape, shorter than the window, or an unknown statistic, scope or sign.
    """
    check_choice("statistic", statistic, STATISTICS)
    check_choice("scope", scope, SCOPES)
    parts = _parts(_smoothed(_checked(maps), window, order), scope, as_sign(sign))
    return _matrix(_vectors(parts, (statistic,), window is not None)[statistic])


def similarity_matrices(
    maps: Tensor,
    statistics: Sequence[Statistic] = STATISTICS,
    window: int | None = WINDOW,
    order: int = ORDER,
    scopes: Sequence[Scope] = SCOPES,
) -> dict[Statistic, Tensor]:
    """Compute :func:`similarity_matrix` of every statistic, scope and sign; the maps are smoothed once.

    Args:
        maps: (batch, method, lead, sample).
        statistics: Statistics that are computed.
        window: Samples of the Savitzky-Golay filter, odd; None: no smoothing.
        order: Degree of its polynomial.
        scopes: Scopes that are computed.

    Returns:
        Statistic -> (batch, scope, sign, method, method) float64, in the order of ``scopes`` and ``SIGNS``.

    Raises:
        ValueError: Maps of another shape, shorter than the window, or an unknown statistic or scope.
    """
    for statistic in statistics:
        check_choice("statistic", statistic, STATISTICS)
    for scope in scopes:
        check_choice("scope", scope, SCOPES)
    smoothed = _smoothed(_checked(maps), window, order)
    matrices_of: dict[Statistic, list[Tensor]] = {statistic: [] for statistic in statistics}
    for scope in scopes:
        for sign in SIGNS:
            vectors = _vectors(_parts(smoothed, scope, sign), statistics, window is not None)
            for statistic, matrices in matrices_of.items():
                matrices.append(_matrix(vectors[statistic]))
    shape = (len(maps), len(scopes), len(SIGNS), maps.shape[1], maps.shape[1])
    return {statistic: torch.stack(matrices, 1).reshape(shape) for statistic, matrices in matrices_of.items()}


def paired_similarities(
    a: Tensor, b: Tensor, scope: Scope = "ecg", window: int | None = WINDOW, order: int = ORDER
) -> dict[Statistic, Tensor]:
    """Compute the similarity of maps with partners, such as a map before and after the weights were randomised.

    Args:
        a: (..., lead, sample).
        b: (..., lead, sample), broadcast against ``a``: one map beside many is smoothed and ranked once.
        scope: Scope of the similarity, as in :func:`similarity_matrix`.
        window: Samples of the Savitzky-Golay filter, odd; None: no smoothing.
        order: Degree of its polynomial.

    Returns:
        Statistic -> (..., sign) float64, in the order of ``SIGNS``; NaN where either map is constant or not finite.

    Raises:
        ValueError: Maps of different shapes, shorter than the window, or an unknown scope.
    """
    check_choice("scope", scope, SCOPES)
    if min(a.ndim, b.ndim) < 2 or a.shape[-2:] != b.shape[-2:]:
        raise ValueError(f"expected maps (..., lead, sample) of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    smoothed = [_smoothed(maps, window, order) for maps in (a, b)]
    similarities_of: dict[Statistic, list[Tensor]] = {statistic: [] for statistic in STATISTICS}
    for sign in SIGNS:
        first, second = (_vectors(_parts(maps, scope, sign), STATISTICS, window is not None) for maps in smoothed)
        for statistic, similarities in similarities_of.items():
            similarities.append(unit_product(first[statistic], second[statistic]).nanmean(-1))
    return {statistic: torch.stack(similarities, -1) for statistic, similarities in similarities_of.items()}


def correlated_vectors(
    maps: Tensor, statistics: Sequence[Statistic] = STATISTICS, window: int = WINDOW
) -> Iterator[dict[Statistic, Tensor]]:
    """Yield vectors whose products are the similarities over an ECG's points: smoothed and ranked once, used often.

    Args:
        maps: (..., lead, sample).
        statistics: Statistics that are computed.
        window: Samples of the Savitzky-Golay filter, odd.

    Yields:
        For each of ``SIGNS``: statistic -> (..., point) float64 of mean 0 and length 1; NaN where the map is constant
        or not finite.
    """
    smoothed = _smoothed(maps, window, ORDER)
    for sign in SIGNS:
        vectors = _vectors(_parts(smoothed, "ecg", sign), statistics, filtered=True)
        yield {statistic: vectors[statistic].squeeze(-2) for statistic in statistics}


def disattenuated(similarity: ArrayLike, reliability_a: ArrayLike, reliability_b: ArrayLike) -> NDArray[np.float64]:
    """Correct a similarity for the maps' Monte-Carlo noise: r / sqrt(reliability_a reliability_b).

    Spearman's correction for attenuation (Am J Psychol 1904;15:72-101). It holds for Pearson's correlation of maps with
    independent noise, in the scope, sign and smoothing that the reliabilities are of. A deterministic method and a
    control have no noise: give 1 for them. NaN stands for an unknown reliability, and the result is unknown too.
    Reliabilities are estimates, so that a single result may lie beyond 1: it is not clipped, which would bias a mean.

    Args:
        similarity: (...) between -1 and 1.
        reliability_a: (...) as from :func:`ecg_lightning.functional.reliability.split_reliability`, broadcast.
        reliability_b: (...) of the other map.

    Returns:
        (...) float64; NaN where a reliability is unknown or 0.
    """
    product = np.asarray(reliability_a, dtype=np.float64) * np.asarray(reliability_b, dtype=np.float64)
    known = np.where(product > 0, product, np.nan)
    return np.asarray(np.asarray(similarity, dtype=np.float64) / np.sqrt(known), dtype=np.float64)


def check_choice(what: str, name: str, known: Sequence[str]) -> None:
    """Raise a ValueError that names an unknown statistic, scope or sign and those that are known."""
    if name not in known:
        raise ValueError(f"expected the {what} to be one of {', '.join(known)}, got {name!r}")


def as_sign(name: str) -> Sign:
    """Return the stored word for a sign that is given by it or by its label; a ValueError names an unknown one."""
    for sign, label in SIGN_LABELS.items():
        if name in (sign, label):
            return sign
    raise ValueError(f"expected the sign to be one of {', '.join(SIGN_LABELS.values())}, got {name!r}")


def compared_words(sign: str) -> str:
    """Return what is compared with this sign, in words."""
    return "magnitudes of maps" if as_sign(sign) == "absolute" else "maps with their sign"


def _smoothed(maps: Tensor, window: int | None, order: int) -> Tensor:
    """(..., lead, sample) float64, NaN everywhere where a map is not finite."""
    smoothed = maps.double() if window is None else savitzky_golay(maps, window, order)
    return torch.where(smoothed.isfinite().all(-1, keepdim=True).all(-2, keepdim=True), smoothed, torch.nan)


def _parts(smoothed: Tensor, scope: Scope, sign: Sign) -> Tensor:
    """What is correlated, (..., part, point): one part of all leads, or each lead."""
    signed = smoothed.abs() if sign == "absolute" else smoothed
    return signed.flatten(-2).unsqueeze(-2) if scope == "ecg" else signed


def _matrix(vectors: Tensor) -> Tensor:
    """(batch, method, part, point) standardised -> (batch, method, method)."""
    vectors = vectors.transpose(1, 2)
    matrix = (vectors @ vectors.mT).clamp(-1.0, 1.0).nanmean(1)
    return (matrix + matrix.mT) / 2  # a matrix product rounds its two halves differently


def _vectors(parts: Tensor, statistics: Sequence[Statistic], filtered: bool) -> dict[Statistic, Tensor]:
    """Smoothed values, or their ranks, at mean 0 and length 1; NaN where there is no correlation."""
    values = standardised(parts)
    vectors: dict[Statistic, Tensor] = {"pearson": values}
    if "spearman" in statistics:
        ranked = standardised_ranks(parts, _ROUNDING * largest_magnitude(parts) if filtered else 0.0)
        vectors["spearman"] = ranked.masked_fill_(~values[..., :1].isfinite(), torch.nan)
    return vectors


def _checked(maps: Tensor) -> Tensor:
    if maps.ndim != 4:
        raise ValueError(f"expected maps (batch, method, lead, sample), got {tuple(maps.shape)}")
    return maps
