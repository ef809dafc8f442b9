"""Sparseness and complexity, against closed forms and slow loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_lightning.functional.map_shape import complexity, sparseness

SEEDS = st.integers(0, 10_000)


def gini(values: np.ndarray) -> float:
    """Mean absolute difference of all pairs over twice the mean (Gini 1912)."""
    size = np.abs(values.ravel().astype(np.float64))
    return float(np.abs(size[:, None] - size).mean() / (2 * size.mean()))


def entropy(values: np.ndarray) -> float:
    total, result = sum(abs(float(v)) for v in values.ravel()), 0.0
    for value in values.ravel():
        share = abs(float(value)) / total
        result -= share * math.log(share) if share > 0 else 0.0
    return result


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(1, 4), st.integers(1, 60), st.integers(-40, 30))
def test_they_are_the_slow_loops(seed: int, leads: int, samples: int, exponent: int) -> None:
    rng = np.random.default_rng(seed)
    values = (10.0**exponent * rng.standard_normal((2, leads, samples)) ** 5).astype(np.float32)
    values[1] *= rng.random((leads, samples)) < 0.7
    values[:, 0, 0] = 10.0**exponent
    maps = torch.from_numpy(values)
    np.testing.assert_allclose(sparseness(maps), [gini(one) for one in values], atol=1e-12)
    np.testing.assert_allclose(complexity(maps), [entropy(one) for one in values], atol=1e-11)


@pytest.mark.parametrize("value", [1.0, -0.25, 1e-30])
def test_a_uniform_map_has_no_sparseness_and_the_largest_complexity(value: float) -> None:
    uniform = torch.full((8, 600), value)
    assert float(sparseness(uniform)) == pytest.approx(0.0, abs=1e-12)
    assert float(complexity(uniform)) == pytest.approx(math.log(4800), abs=1e-12)


def test_a_map_of_one_point_is_as_sparse_and_simple_as_can_be() -> None:
    point = torch.zeros(8, 600)
    point[3, 240] = -2.0
    assert float(sparseness(point)) == pytest.approx(1 - 1 / 4800, abs=1e-12)
    assert float(complexity(point)) == 0.0


@pytest.mark.parametrize("k", [2, 600, 2400])
def test_k_equal_points_among_zeros(k: int) -> None:
    map_ = torch.zeros(4800)
    map_[torch.randperm(4800, generator=torch.Generator().manual_seed(0))[:k]] = 0.1
    map_ = map_.reshape(8, 600)
    assert float(sparseness(map_)) == pytest.approx(1 - k / 4800, abs=1e-12)
    assert float(complexity(map_)) == pytest.approx(math.log(k), abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.integers(-300, 300))
def test_scale_sign_and_order_change_nothing(seed: int, exponent: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, 8, 20, dtype=torch.float64, generator=generator)
    shuffled = maps.flatten(1)[:, torch.randperm(160, generator=generator)].reshape(3, 8, 20)
    for measure in (sparseness, complexity):
        for other in (10.0**exponent * maps, -maps, maps.abs(), shuffled):
            torch.testing.assert_close(measure(other), measure(maps), atol=1e-11, rtol=0)


@given(SEEDS)
def test_moving_a_share_from_a_large_point_to_a_small_one_spreads_the_map(seed: int) -> None:
    """Dalton's principle: Gini falls, entropy rises."""
    values = np.sort(np.random.default_rng(seed).random(20) + 0.01)
    spread = values.copy()
    step = (values[-1] - values[0]) / 3
    spread[[0, -1]] += step, -step
    before, after = (torch.from_numpy(v).reshape(2, 10) for v in (values, spread))
    assert float(sparseness(after)) < float(sparseness(before))
    assert float(complexity(after)) > float(complexity(before))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_nothing_to_spread_is_nan_and_costs_no_other(value: float) -> None:
    maps = torch.randn(2, 3, 8, 20, generator=torch.Generator().manual_seed(0))
    if value == 0:
        maps[0, 1] = 0
    else:
        maps[0, 1, 2, 3] = value
    for measure in (sparseness, complexity):
        found = measure(maps)
        assert found.dtype == torch.float64
        assert found.shape == (2, 3)
        assert found.isnan().nonzero().tolist() == [[0, 1]]


def test_wrong_shapes_are_refused() -> None:
    for measure in (sparseness, complexity):
        with pytest.raises(ValueError, match=r"expected maps \(..., lead, sample\), got \(5,\)"):
            measure(torch.zeros(5))
        with pytest.raises(ValueError, match=r"got \(2, 8, 0\)"):
            measure(torch.zeros(2, 8, 0))
