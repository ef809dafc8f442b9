"""Importance sampling: weighted means have no bias, and vary least where the density follows the sizes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecg_lightning.functional.importance import Density, Magnitudes, magnitudes_along, uniform

EVEN = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000


def test_the_uniform_density_moves_nothing() -> None:
    places, weights = uniform().at(EVEN[:200])
    torch.testing.assert_close(places, EVEN[:200])
    torch.testing.assert_close(weights, torch.ones(200, dtype=torch.float64))


@given(st.lists(st.floats(0.1, 10.0), min_size=1, max_size=30))
def test_weighted_means_are_integrals(values: list[float]) -> None:
    """Of x, x^2 and a step, whose integrals over [0, 1) are 1/2, 1/3 and 7/10."""
    found = torch.tensor(values, dtype=torch.float64)
    places, weights = Density(found / found.mean()).at(EVEN)
    assert float(places.min()) >= 0.0
    assert float(places.max()) < 1.0
    assert (places.diff() >= 0).all()
    for function, integral in ((places, 1 / 2), (places**2, 1 / 3), ((places >= 0.3).double(), 0.7)):
        assert float((weights * function).mean()) == pytest.approx(integral, abs=2e-3)


def test_places_follow_the_density() -> None:
    """A density of 3/2 below one half has three quarters of the places there."""
    places, weights = Density(torch.tensor([1.5, 0.5], dtype=torch.float64)).at(EVEN)
    assert float((places < 0.5).double().mean()) == pytest.approx(0.75, abs=1e-4)
    torch.testing.assert_close(weights[[0, -1]], torch.tensor([1 / 1.5, 2.0], dtype=torch.float64))


def test_the_density_is_proportional_to_the_sizes_but_for_a_floor() -> None:
    """Root mean squares of three neighbours, in any order of places; straight between them, level beyond them."""
    places = torch.tensor([0.75, 0.25, 0.5], dtype=torch.float64)
    found = magnitudes_along(places, torch.tensor([0.0, 6.0, 3.0])).density().values
    smooth = np.sqrt([(36 + 36 + 9) / 3, (36 + 9 + 0) / 3, (9 + 0 + 0) / 3])
    mean = (0.25 + 0.125) * smooth[0] + 0.25 * smooth[1] + (0.25 + 0.125) * smooth[2]
    np.testing.assert_allclose(found[[0, -1]], 0.85 * smooth[[0, 2]] / mean + 0.15, rtol=1e-4)
    assert float(found[128]) == pytest.approx(0.85 * smooth[1] / mean + 0.15, abs=0.01)
    assert float(found.mean()) == pytest.approx(1.0)
    assert (found.diff() <= 1e-12).all()


def test_sizes_that_are_nearly_alike_leave_it_uniform() -> None:
    sizes = 1.0 + 0.3 * torch.randn(20, generator=torch.Generator().manual_seed(0))
    assert (magnitudes_along(torch.arange(20, dtype=torch.float64) / 20, sizes).density(0.1).values == 1.0).all()


def test_no_draw_counts_more_than_seven_times() -> None:
    sizes = torch.zeros(16, dtype=torch.float64)
    sizes[3] = 1.0
    _, weights = magnitudes_along(torch.arange(16, dtype=torch.float64) / 16, sizes).density().at(EVEN)
    assert float(weights.max()) == pytest.approx(1 / 0.15)


@pytest.mark.parametrize("sizes", [[0.0, 0.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_sizes_that_say_nothing_leave_it_uniform(sizes: list[float]) -> None:
    found = magnitudes_along(torch.tensor([0.1, 0.6], dtype=torch.float64), torch.tensor(sizes)).density()
    torch.testing.assert_close(found.values, torch.ones(1, dtype=torch.float64))


def test_neyman_allocation_varies_least() -> None:
    """Noise of size s(x): variance of one weighted draw is the integral of s^2 / p, and (integral of s)^2 at p ~ s."""
    size = 0.05 + torch.exp(-(((EVEN - 0.1) / 0.05) ** 2))
    seen = torch.arange(64, dtype=torch.float64) / 64
    density = magnitudes_along(seen, 0.05 + torch.exp(-(((seen - 0.1) / 0.05) ** 2))).density()
    places, weights = density.at(EVEN)
    there = 0.05 + torch.exp(-(((places - 0.1) / 0.05) ** 2))
    variance = float(((weights * there) ** 2).mean())
    best = float(size.mean()) ** 2
    assert best < variance < 1.25 * best
    assert variance < 0.4 * float((size**2).mean())


def test_the_mean_square_under_a_density() -> None:
    """Magnitudes 2 and 1 on the halves: 2.5 for even draws, (2 + 1)^2 / 4 for draws in proportion to them."""
    sizes = Magnitudes(torch.tensor([4.0, 1.0], dtype=torch.float64))
    assert sizes.under(uniform()) == pytest.approx(2.5)
    assert sizes.under(Density(torch.tensor([4 / 3, 2 / 3], dtype=torch.float64))) == pytest.approx(2.25)
