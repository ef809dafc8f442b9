"""Random streams by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import truncnorm

from ecg_lightning.simulator.streams import Streams, jittered, log_normal, truncated_normal, unit


def test_a_component_always_starts_at_the_same_place() -> None:
    streams = Streams("0/17")
    first = streams("qrs").standard_normal(5)
    streams("geometry").standard_normal(1000)
    np.testing.assert_array_equal(streams("qrs").standard_normal(5), first)


def test_known_numbers() -> None:
    """The streams are part of what a simulation seed means, on every machine: a golden value."""
    assert Streams("0/17")("qrs").uniform() == pytest.approx(GOLDEN, abs=1e-15)


GOLDEN = 0.20387633250121007


@given(st.text(max_size=8), st.text(max_size=8))
def test_other_names_are_other_streams(key: str, component: str) -> None:
    one = Streams(f"a{key}")(component).uniform(size=4)
    assert not np.array_equal(one, Streams(f"b{key}")(component).uniform(size=4))
    assert not np.array_equal(one, Streams(f"a{key}")(f"{component}x").uniform(size=4))


def test_components_are_uncorrelated() -> None:
    draws = np.array([[Streams(f"0/{k}")(name).standard_normal() for name in ("a", "b", "c")] for k in range(4000)])
    assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 5 / np.sqrt(4000)


def test_log_normal_has_its_median_and_spread() -> None:
    rng = np.random.default_rng(0)
    draws = np.log([log_normal(rng, 0.4, 0.34) for _ in range(4000)])
    assert np.median(draws) == pytest.approx(np.log(0.4), abs=0.03)
    assert draws.std() == pytest.approx(0.34, rel=0.05)


@given(st.floats(1e-6, 1 - 1e-6))
def test_truncated_normal_is_the_inverse_of_the_distribution(u: float) -> None:
    value = truncated_normal(u, 74.0, 10.0, 60.0, 100.0)
    assert value == pytest.approx(truncnorm.ppf(u, -1.4, 2.6, 74.0, 10.0))


def test_jitter_of_zero_keeps_the_direction() -> None:
    direction = jittered(np.random.default_rng(0), (3.0, 0.0, 4.0), 0.0)
    np.testing.assert_allclose(direction, [0.6, 0.0, 0.8])
    np.testing.assert_allclose(np.linalg.norm(unit(np.random.default_rng(1).normal(size=(5, 3))), axis=1), 1.0)
