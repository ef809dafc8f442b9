"""Perturbation against a slow loop over points, and its identities."""

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ecg_lightning.experiments.perturbation.measure import (
    NoiseMode,
    fill_with,
    interpolate,
    perturb,
    relevance_positions,
    step_counts,
)
from ecg_lightning.experiments.perturbation.scores import area_between_curves, area_over_curve, mean_height

LEADS, SAMPLES = 3, 40
POINTS = LEADS * SAMPLES


def draws(seed: int, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def slow_interpolation(lead: np.ndarray, replaced: np.ndarray) -> np.ndarray:
    if replaced.all():
        return np.zeros_like(lead)
    time = np.arange(len(lead))
    return np.where(replaced, np.interp(time, time[~replaced], lead[~replaced]), lead)


def slow_perturb(ecg, map_, ties, count, noise, mode, sigma, lerf):
    """One ECG, method and step, point by point."""
    points = [(k, t) for k in range(ecg.shape[0]) for t in range(ecg.shape[1])]
    points.sort(key=lambda p: (-abs(map_[p]), ties[p]), reverse=lerf)
    replaced = np.zeros(ecg.shape, dtype=bool)
    for point in points[:count]:
        replaced[point] = True
    result = ecg.copy()
    for k in range(len(ecg)):
        line = slow_interpolation(ecg[k], replaced[k])
        for t in np.flatnonzero(replaced[k]):
            e = noise[k, t]
            result[k, t] = {
                "multiplicative": line[t] * (1 + sigma * e),
                "additive_mv": line[t] + sigma * e,
                "additive_lead_std": line[t] + sigma * e * ecg[k].std(),
                "none": line[t],
            }[mode]
    return result


@pytest.mark.parametrize("mode", get_args(NoiseMode))
@pytest.mark.parametrize("lerf", [False, True])
def test_against_a_loop_over_points(mode: NoiseMode, lerf: bool) -> None:
    ecg, maps, noise = draws(0, 2, LEADS, SAMPLES), draws(1, 2, 3, LEADS, SAMPLES), draws(2, 2, LEADS, SAMPLES)
    maps[:, 1] = maps[:, 1].round()  # many ties
    maps[0, 2, 1] = 9.0  # a whole lead goes first
    ties = draws(3, 2, LEADS, SAMPLES)
    counts = step_counts(POINTS, 7, 0.07)
    positions = relevance_positions(maps, ties[:, None].expand(maps.shape))
    found = perturb(ecg, POINTS - 1 - positions if lerf else positions, counts, noise, mode, 0.25)
    assert found.shape == (2, 3, 8, LEADS, SAMPLES)
    for b in range(2):
        for m in range(3):
            for step, count in enumerate(counts.tolist()):
                expected = slow_perturb(
                    *(x.numpy() for x in (ecg[b], maps[b, m], ties[b])), count, noise[b].numpy(), mode, 0.25, lerf
                )
                np.testing.assert_allclose(found[b, m, step].numpy(), expected, atol=1e-12)


def test_step_zero_and_kept_points_are_untouched_to_the_bit() -> None:
    ecg, noise = draws(0, 2, LEADS, SAMPLES, dtype=torch.float32), draws(1, 2, LEADS, SAMPLES)
    positions = relevance_positions(draws(2, 2, 1, LEADS, SAMPLES), draws(3, 2, 1, LEADS, SAMPLES))
    counts = step_counts(POINTS, 3, 0.1)
    found = perturb(ecg, positions, counts, noise)
    assert torch.equal(found[:, 0, 0], ecg)
    for step, count in enumerate(counts.tolist()):
        kept = positions[:, 0] >= count
        assert torch.equal(found[:, 0, step][kept], ecg[kept])
        assert int((~kept).sum()) == 2 * count


def test_every_step_restarts_from_the_beat() -> None:
    """A step does not depend on which other steps are asked for."""
    ecg, noise = draws(0, 1, LEADS, SAMPLES), draws(1, 1, LEADS, SAMPLES)
    positions = relevance_positions(draws(2, 1, 2, LEADS, SAMPLES), draws(3, 1, 2, LEADS, SAMPLES))
    counts = step_counts(POINTS, 6, 0.05)
    together = perturb(ecg, positions, counts, noise)
    assert torch.equal(together[:, :, 4:5], perturb(ecg, positions, counts[4:5], noise))


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_interpolation_is_numpy_s(seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    ecg = generator.normal(size=(2, 4, 17))
    replaced = generator.random(ecg.shape) < share
    found = interpolate(torch.from_numpy(ecg), torch.from_numpy(replaced)).numpy()
    expected = [
        [slow_interpolation(*pair) for pair in zip(*both, strict=True)] for both in zip(ecg, replaced, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_edges_are_held_and_a_lead_without_kept_points_is_zero() -> None:
    ecg = torch.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 9.0, 9.0, 9.0]])
    replaced = torch.tensor([[True, True, False, False], [False, True, True, True], [True, True, True, True]])
    found = interpolate(ecg, replaced)
    assert found.tolist() == [[3.0, 3.0, 3.0, 4.0], [5.0, 5.0, 5.0, 5.0], [0.0, 0.0, 0.0, 0.0]]


def test_positions_are_a_permutation_and_follow_the_magnitude() -> None:
    maps = draws(0, 5, LEADS, SAMPLES)
    positions = relevance_positions(maps, draws(1, 5, LEADS, SAMPLES)).flatten(1)
    for row, flat in zip(positions, maps.abs().flatten(1), strict=True):
        assert sorted(row.tolist()) == list(range(POINTS))
        ordered = flat[row.argsort()]
        assert (ordered.diff() <= 0).all()


def test_ties_go_by_their_numbers_and_not_by_place() -> None:
    ties = draws(0, 1, LEADS, SAMPLES)
    positions = relevance_positions(torch.ones(1, LEADS, SAMPLES), ties)
    assert torch.equal(positions.flatten().argsort(), ties.flatten().argsort())


def test_the_sign_of_a_map_does_not_matter() -> None:
    maps, ties = draws(0, 2, LEADS, SAMPLES), draws(1, 2, LEADS, SAMPLES)
    assert torch.equal(relevance_positions(maps, ties), relevance_positions(-maps, ties))


def test_a_signed_ranking_follows_the_map() -> None:
    maps, ties = draws(0, 2, LEADS, SAMPLES), draws(1, 2, LEADS, SAMPLES)
    positions = relevance_positions(maps, ties, "signed").flatten(1)
    assert torch.equal(positions.argsort(), (-maps).flatten(1).argsort())


def test_another_beat_takes_the_place_of_what_is_replaced() -> None:
    ecg, other = draws(0, 2, LEADS, SAMPLES), draws(1, 2, LEADS, SAMPLES)
    positions = relevance_positions(draws(2, 2, 3, LEADS, SAMPLES), draws(3, 2, 3, LEADS, SAMPLES))
    counts = step_counts(POINTS, 2, 0.5)
    found = perturb(ecg, positions, counts, ecg, "none", fill=fill_with(other))
    replaced = positions < counts[1]
    for method in range(3):
        assert torch.equal(found[:, method, 0], ecg)
        assert torch.equal(found[:, method, 1], torch.where(replaced[:, method], other, ecg))
        assert torch.equal(found[:, method, 2], other)
    noisy = perturb(ecg, positions, counts, ecg, "additive_mv", 0.5, fill_with(torch.zeros(1, LEADS, SAMPLES)))
    assert torch.equal(noisy[:, 0, 2], 0.5 * ecg)


def test_bad_input() -> None:
    maps = torch.ones(1, LEADS, SAMPLES)
    with pytest.raises(ValueError, match="not finite ranks nothing"):
        relevance_positions(maps * torch.nan, maps)
    with pytest.raises(ValueError, match="one shape"):
        relevance_positions(maps, maps[0])
    with pytest.raises(ValueError, match="ranking is one of magnitude, signed"):
        relevance_positions(maps, maps, "loud")  # type: ignore[arg-type]
    for steps, share in ((0, 0.01), (30, 0.04), (10, -0.1)):
        with pytest.raises(ValueError, match="at most 100 %"):
            step_counts(POINTS, steps, share)
    with pytest.raises(ValueError, match="noise is one of"):
        perturb(maps, maps[None].long(), torch.tensor([1]), maps, "loud")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positions"):
        perturb(maps, maps.long(), torch.tensor([1]), maps)


def test_the_paper_s_steps() -> None:
    counts = step_counts(4800, 30, 0.01)
    assert counts.tolist() == [48 * k for k in range(31)]


# --- scores ----------------------------------------------------------------------------------------------------


def test_areas_of_straight_lines() -> None:
    fractions = np.linspace(0.0, 0.3, 31)
    falls = 0.9 - fractions / 0.3 * 0.4  # from .9 to .5
    assert mean_height(falls, fractions) == pytest.approx(0.7)
    assert area_over_curve(falls, fractions) == pytest.approx(0.2)
    assert area_between_curves(falls, np.full(31, 0.9), fractions) == pytest.approx(0.2)
    assert area_between_curves(falls, falls, fractions) == 0.0
    assert np.isnan(area_over_curve([[0.9, np.nan, 0.5]], [0.0, 0.1, 0.2])[0])


def test_areas_refuse_what_is_no_curve() -> None:
    with pytest.raises(ValueError, match="rising fractions"):
        mean_height([1.0, 2.0], [0.2, 0.1])
    with pytest.raises(ValueError, match="rising fractions"):
        mean_height([1.0, 2.0, 3.0], [0.1, 0.2])
