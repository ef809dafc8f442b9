"""Perturbing what a map calls relevant (paper, "Perturbing input data"; a form of remove and debias).

Step k always starts from the untouched beat and replaces the k-th share of its points, the most relevant first (MoRF)
or the least relevant first (LeRF), by what lies between their neighbours, or by another beat's values. What is ranked
are points (the paper) or units of points, see :mod:`ecg_lightning.experiments.perturbation.units`.
"""

from collections.abc import Callable
from typing import Final, Literal, get_args

import numpy as np
import torch
from torch import Tensor

NoiseMode = Literal["multiplicative", "additive_mv", "additive_lead_std", "none"]
"""What is done to replaced values, with sigma s and standard normal e: v (1 + s e) as in the paper's Figure 4; v + s e
in mV; v + s e times the standard deviation of the untouched lead; nothing."""

Order = Literal["morf", "lerf"]

Ranking = Literal["magnitude", "signed"]
"""By |map|, or by the map itself, what speaks most for the diagnosis first."""

Fill = Callable[[Tensor, Tensor], Tensor]
"""ECG (batch, lead, sample) and mask (batch, method, step, lead, sample) of what is replaced -> contiguous beats of the
mask's shape that are the ECG's where it is kept."""

ORDERS: Final[tuple[Order, ...]] = get_args(Order)


def relevance_positions(maps: Tensor, ties: Tensor, ranking: Ranking = "magnitude") -> Tensor:
    """Place of every point in the order of falling relevance, 0 for the most relevant.

    Args:
        maps: (..., lead, sample) finite; unsmoothed.
        ties: (..., lead, sample) distinct random numbers: equal values follow in their rising order, so that a
            plateau is not perturbed from left to right, and a row does not depend on its batch.
        ranking: By ``magnitude`` as in the paper's Figure 4, or ``signed``.

    Returns:
        (..., lead, sample) int64 on the maps' device. The order of LeRF is ``points - 1 - position``.

    Raises:
        ValueError: Shapes that do not agree, maps that are not finite, or an unknown ranking.
    """
    relevance = relevance_of(maps, ties, ranking)
    falling, broken = -relevance.flatten(-2).reshape(-1, maps.shape[-2:].numel()), ties.flatten(-2)
    order = sorted_by(falling, broken.reshape(falling.shape))
    places = torch.arange(falling.shape[1], device=maps.device).expand(order.shape)
    return torch.empty_like(order).scatter_(1, order, places).reshape(maps.shape)


def relevance_of(maps: Tensor, ties: Tensor, ranking: Ranking) -> Tensor:
    """What a ranking goes by, (..., lead, sample).

    Raises:
        ValueError: Shapes that do not agree, maps that are not finite, or an unknown ranking.
    """
    if maps.ndim < 2 or maps.shape != ties.shape:
        raise ValueError(f"expected maps and ties (..., lead, sample) of one shape, got {maps.shape} and {ties.shape}")
    if not maps.isfinite().all():
        raise ValueError("a map that is not finite ranks nothing; leave it out and give NaN for its curve")
    if ranking not in get_args(Ranking):
        raise ValueError(f"ranking is one of {', '.join(get_args(Ranking))}, got {ranking!r}")
    return maps.abs() if ranking == "magnitude" else maps


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
    places = _true_places(replaced)
    if len(places):
        flat = result.view(-1)
        flat.index_copy_(0, places, interpolate_runs(flat, places, ecg.shape[-1]))
    return result


def interpolate_between(ecg: Tensor, replaced: Tensor) -> Tensor:
    """The paper's :data:`Fill`: :func:`interpolate`."""
    return interpolate(ecg[:, None, None], replaced)


def fill_with(beats: Tensor) -> Fill:
    """Replace points by those of other beats.

    Args:
        beats: (batch, lead, sample) mV, or (1, lead, sample) for all.
    """

    def fill(ecg: Tensor, replaced: Tensor) -> Tensor:
        return torch.where(replaced, beats.to(ecg)[:, None, None], ecg[:, None, None])

    return fill


def perturb(
    ecg: Tensor,
    positions: Tensor,
    counts: Tensor,
    noise: Tensor,
    mode: NoiseMode = "multiplicative",
    sigma: float = 0.25,
    fill: Fill = interpolate_between,
) -> Tensor:
    """Beats after each step.

    Args:
        ecg: (batch, lead, sample) mV.
        positions: (batch, method, lead, sample): a point is replaced by the steps whose count is above its position.
        counts: (step,) of ``step_counts``, any part of it.
        noise: (batch, lead, sample) standard normal e, the same for all methods and steps.
        mode: What it does.
        sigma: s.
        fill: What takes the place of replaced points, before the noise.

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
    result = fill(ecg, replaced)
    places = _true_places(replaced) if mode != "none" else positions.new_empty(0)
    if len(places):
        flat = result.view(-1)
        values = flat.index_select(0, places)
        shift = (noise.to(ecg) * _scale(ecg, mode, sigma)).flatten().index_select(0, _sources(places, replaced))
        flat.index_copy_(0, places, values * (1 + shift) if mode == "multiplicative" else values + shift)
    return result


def _true_places(mask: Tensor) -> Tensor:
    """Rising indices into the flattened mask of what is true."""
    if mask.device.type != "cpu":
        return mask.flatten().nonzero().squeeze(1)
    return torch.from_numpy(np.flatnonzero(mask.numpy()))  # four times as fast as torch's


def _sources(places: Tensor, replaced: Tensor) -> Tensor:
    """Places in (batch, method, step, lead, sample) -> those of the same points in (batch, lead, sample)."""
    points = replaced.shape[-2] * replaced.shape[-1]
    return places // (points * replaced.shape[1] * replaced.shape[2]) * points + places % points


def _scale(ecg: Tensor, mode: NoiseMode, sigma: float) -> Tensor:
    """What standard normal noise is multiplied by, (batch or 1, lead or 1, 1)."""
    if mode == "additive_lead_std":
        return sigma * ecg.std(dim=-1, keepdim=True, correction=0)
    return ecg.new_full((1, 1, 1), sigma)


def interpolate_runs(flat: Tensor, places: Tensor, samples: int) -> Tensor:
    """Replace runs of neighbouring points by the line between the kept points beside each run.

    Where a run reaches the end of its lead the one kept neighbour's value is held; a lead without a kept point is 0.

    Args:
        flat: (lead x sample,) leads one after the other.
        places: (k,) rising indices of the replaced points.
        samples: Samples of a lead.

    Returns:
        (k,) the new values.

    Example:
        One lead ``1 . . 7 . .`` whose points 1, 2, 4 and 5 are replaced. The run 1 to 2 lies between 1 and 7, three
        steps apart, so that each step rises by 2; the run 4 to 5 has no right neighbour and holds 7.

        >>> lead = torch.tensor([1.0, 0.0, 0.0, 7.0, 0.0, 0.0])
        >>> interpolate_runs(lead, torch.tensor([1, 2, 4, 5]), 6).tolist()
        [3.0, 5.0, 7.0, 7.0]
    """
    sample = places % samples
    opens = sample == 0  # a run of neighbouring replaced points
    opens[0] = True
    opens[1:] |= places[1:] - places[:-1] != 1
    starts = _true_places(opens)
    ends = torch.cat([starts[1:], starts.new_tensor([len(places)])]) - 1
    first, last = (sample.index_select(0, edge) for edge in (starts, ends))
    left = flat.index_select(0, (places.index_select(0, starts) - 1).clamp_(min=0))
    right = flat.index_select(0, (places.index_select(0, ends) + 1).clamp_(max=len(flat) - 1))
    has_left, has_right = first > 0, last < samples - 1
    nothing = torch.zeros_like(left)
    left, right = (
        torch.where(has_left, left, torch.where(has_right, right, nothing)),
        torch.where(has_right, right, torch.where(has_left, left, nothing)),
    )
    slope = (right - left) / (last - first + 2)
    run = opens.cumsum(0) - 1
    steps = sample - (first - 1).index_select(0, run)  # from the kept point before the run
    return left.index_select(0, run) + steps * slope.index_select(0, run)


def sorted_by(values: Tensor, ties: Tensor) -> Tensor:
    """(row, n) indices that sort each row, equal values by their ties."""
    if values.device.type != "cpu":
        by_ties = ties.argsort(-1)
        return by_ties.gather(1, values.gather(1, by_ties).argsort(dim=-1, stable=True))
    order = torch.from_numpy(np.argsort(values.numpy(), axis=1))  # four times as fast as torch's, and unstable
    ordered = values.gather(1, order)
    for row in (ordered[:, 1:] == ordered[:, :-1]).any(1).nonzero().flatten().tolist():
        order[row] = torch.from_numpy(np.lexsort((ties[row].numpy(), values[row].numpy())))
    return order
