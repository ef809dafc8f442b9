"""Perturbing what a map calls relevant (paper, "Perturbing input data"; a form of remove and debias).

Step k always starts from the untouched beat and replaces the k-th share of its points, the most relevant first (MoRF)
or the least relevant first (LeRF), by what lies between their neighbours.
"""

from typing import Final, Literal, get_args

import numpy as np
import torch
from torch import Tensor

NoiseMode = Literal["multiplicative", "additive_mv", "additive_lead_std", "none"]
"""What is done to replaced values, with sigma s and standard normal e: v (1 + s e) as in the paper's Figure 4; v + s e
in mV; v + s e times the standard deviation of the untouched lead; nothing."""

Order = Literal["morf", "lerf"]

ORDERS: Final[tuple[Order, ...]] = get_args(Order)


def relevance_positions(maps: Tensor, ties: Tensor) -> Tensor:
    """Place of every point in the order of falling |map|, 0 for the most relevant.

    Args:
        maps: (..., lead, sample) finite; unsmoothed, and ranked by magnitude as in the paper's Figure 4.
        ties: (..., lead, sample) distinct random numbers: equal magnitudes follow in their rising order, so that a
            plateau is not perturbed from left to right, and a row does not depend on its batch.

    Returns:
        (..., lead, sample) int64 on the maps' device. The order of LeRF is ``points - 1 - position``.

    Raises:
        ValueError: Shapes that do not agree, or maps that are not finite.
    """
    if maps.ndim < 2 or maps.shape != ties.shape:
        raise ValueError(f"expected maps and ties (..., lead, sample) of one shape, got {maps.shape} and {ties.shape}")
    if not maps.isfinite().all():
        raise ValueError("a map that is not finite ranks nothing; leave it out and give NaN for its curve")
    falling, broken = -maps.abs().flatten(-2).reshape(-1, maps.shape[-2:].numel()), ties.flatten(-2)
    order = _sorted(falling, broken.reshape(falling.shape))
    places = torch.arange(falling.shape[1], device=maps.device).expand(order.shape)
    return torch.empty_like(order).scatter_(1, order, places).reshape(maps.shape)


def step_counts(points: int, steps: int, fraction_per_step: float) -> Tensor:
    """How many points each step replaces.

    Args:
        points: Of a beat, leads x samples.
        steps: Beside step 0, which replaces none.
        fraction_per_step: Share of the points that each step adds.

    Returns:
        (steps + 1,) int64.

    Raises:
        ValueError: No step, or more than all points.
    """
    if steps < 1 or not 0 < fraction_per_step * steps <= 1 + 1e-9:
        raise ValueError(
            f"expected 1 or more steps that together replace at most 100 % of the points, got {steps} of "
            f"{fraction_per_step:.1%}"
        )
    return torch.round(torch.arange(steps + 1, dtype=torch.float64) * fraction_per_step * points).long()


def interpolate(ecg: Tensor, replaced: Tensor) -> Tensor:
    """Replace points by the straight line between their kept neighbours in time, lead by lead.

    Before the first and after the last kept point its value is held; a lead without any kept point becomes 0.

    Args:
        ecg: (..., lead, sample) mV, broadcast against ``replaced``.
        replaced: (..., lead, sample) bool.

    Returns:
        ``replaced``'s shape, of the ECG's dtype. Kept points are untouched to the bit.
    """
    result = ecg.expand(replaced.shape).clone(memory_format=torch.contiguous_format)
    places = replaced.flatten().nonzero().squeeze(1)
    if len(places):
        flat = result.view(-1)
        flat[places] = _between(flat, places, ecg.shape[-1])
    return result


def perturb(
    ecg: Tensor,
    positions: Tensor,
    counts: Tensor,
    noise: Tensor,
    mode: NoiseMode = "multiplicative",
    sigma: float = 0.25,
) -> Tensor:
    """Beats after each step.

    Args:
        ecg: (batch, lead, sample) mV.
        positions: (batch, method, lead, sample): point p is replaced by the step with more than p points.
        counts: (step,) of ``step_counts``, any part of it.
        noise: (batch, lead, sample) standard normal e, the same for all methods and steps.
        mode: What it does.
        sigma: s.

    Returns:
        (batch, method, step, lead, sample) mV.

    Raises:
        ValueError: An unknown mode, a negative sigma, or shapes that do not agree.
    """
    if mode not in get_args(NoiseMode) or not sigma >= 0:
        raise ValueError(f"noise is one of {', '.join(get_args(NoiseMode))} with sigma >= 0, got {mode!r}, {sigma}")
    if ecg.ndim != 3 or positions.ndim != 4 or noise.shape != ecg.shape or positions[:, 0].shape != ecg.shape:
        raise ValueError(
            f"expected ECG and noise (batch, lead, sample) and positions (batch, method, lead, sample), got "
            f"{tuple(ecg.shape)}, {tuple(noise.shape)} and {tuple(positions.shape)}"
        )
    replaced = positions[:, :, None] < counts.to(positions.device)[:, None, None]
    result = interpolate(ecg[:, None, None], replaced)
    places = replaced.flatten().nonzero().squeeze(1)
    if mode == "none" or not len(places):
        return result
    points = ecg.shape[1] * ecg.shape[2]
    source = places // (points * replaced.shape[1] * replaced.shape[2]) * points + places % points  # of the same ECG
    scale = _scale(ecg, mode, sigma)
    flat, shift = result.view(-1), (noise.to(ecg) * scale).reshape(-1)[source]
    flat[places] = flat[places] * (1 + shift) if mode == "multiplicative" else flat[places] + shift
    return result


def _scale(ecg: Tensor, mode: NoiseMode, sigma: float) -> Tensor:
    """What standard normal noise is multiplied by, (batch or 1, lead or 1, 1)."""
    if mode == "additive_lead_std":
        return sigma * ecg.std(dim=-1, keepdim=True, correction=0)
    return ecg.new_full((1, 1, 1), sigma)


def _between(flat: Tensor, places: Tensor, samples: int) -> Tensor:
    """Interpolated values of ``places``, rising indices into leads that lie one after the other in ``flat``."""
    opens = torch.ones_like(places, dtype=torch.bool)  # a run of neighbouring replaced points
    opens[1:] = (places.diff() != 1) | (places[1:] % samples == 0)
    closes = torch.ones_like(opens)
    closes[:-1] = opens[1:]
    first, last, run = places[opens], places[closes], opens.cumsum(0) - 1
    has_left, has_right = first % samples > 0, last % samples < samples - 1
    left, right = flat[(first - 1).clamp(min=0)], flat[(last + 1).clamp(max=len(flat) - 1)]
    nothing = torch.zeros_like(left)
    left, right = (
        torch.where(has_left, left, torch.where(has_right, right, nothing)),
        torch.where(has_right, right, torch.where(has_left, left, nothing)),
    )
    share = (places - first[run] + 1).to(flat.dtype) / (last - first + 2)[run].to(flat.dtype)
    return left[run] + share * (right - left)[run]


def _sorted(values: Tensor, ties: Tensor) -> Tensor:
    """(row, n) indices that sort each row, equal values by their ties."""
    if values.device.type != "cpu":
        by_ties = ties.argsort(-1)
        return by_ties.gather(1, values.gather(1, by_ties).argsort(dim=-1, stable=True))
    array = values.numpy()
    order = np.argsort(array, axis=1)  # four times as fast as torch's, and unstable
    ordered = np.take_along_axis(array, order, axis=1)
    for row in np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1)):
        order[row] = np.lexsort((ties[row].cpu().numpy(), array[row]))
    return torch.from_numpy(order)
