"""Coalitions: sizes, pairs, weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from ecg_lightning.functional.coalitions import pair_weights, paired_coalitions, signs


def draw(groups: int, pairs: int, seed: int = 0) -> torch.Tensor:
    return paired_coalitions(groups, pairs, torch.Generator().manual_seed(seed))


@settings(deadline=None, max_examples=30)
@given(groups=st.integers(2, 40), pairs=st.integers(1, 60), seed=st.integers(0, 99))
def test_no_coalition_is_empty_or_full(groups: int, pairs: int, seed: int) -> None:
    members = draw(groups, pairs, seed)
    assert members.shape == (pairs, groups)
    assert members.any(1).all()
    assert not members.all(1).any()
    assert torch.equal(members, draw(groups, pairs, seed))


def test_sizes_are_more_even_than_random_ones() -> None:
    sizes = draw(192, 191, seed=3).sum(1).numpy()
    # within the bound of the golden-ratio sequence; independent draws have .06 in the median
    assert kstest(sizes - 0.5, "uniform", args=(0.5, 191)).statistic < 0.02
    assert not np.array_equal(sizes, draw(192, 191, seed=4).sum(1).numpy())


def test_every_group_is_as_often_present_as_absent() -> None:
    share = torch.cat([(one := draw(12, 4000)), ~one]).double().mean(0)
    torch.testing.assert_close(share, torch.full((12,), 0.5, dtype=torch.float64), rtol=0, atol=1e-12)
    present = draw(12, 4000).double().mean(0)
    assert (present - 0.5).abs().max() < 4 * 0.5 / 4000**0.5


def test_weights_are_the_shapley_kernel_over_uniform_sizes() -> None:
    members = draw(9, 200)
    weight, size = pair_weights(members), members.sum(1)
    assert float(weight.mean()) == pytest.approx(1.0)
    torch.testing.assert_close(weight * size * (9 - size), (weight[0] * size[0] * (9 - size[0])).expand(200))
    torch.testing.assert_close(pair_weights(~members), weight)


def test_signs() -> None:
    assert signs(torch.tensor([[True, False]])).tolist() == [[1.0, -1.0]]
    assert signs(torch.tensor([[True]])).dtype == torch.float64


@pytest.mark.parametrize(("groups", "pairs"), [(1, 5), (5, 0)])
def test_too_few_are_refused(groups: int, pairs: int) -> None:
    with pytest.raises(ValueError, match=f"got {groups} groups and {pairs} pairs"):
        draw(groups, pairs)
