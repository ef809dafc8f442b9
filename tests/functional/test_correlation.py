"""Correlations of vectors, against SciPy and torchmetrics."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import pearsonr, rankdata, spearmanr
from torchmetrics.functional import pearson_corrcoef, spearman_corrcoef

from ecg_lightning.functional import correlation
from ecg_lightning.functional.correlation import pearson, ranks, spearman, standardised

UNEVEN = st.integers(0, 2**32 - 1)
WITH_TIES = arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(1, 12)), elements=st.sampled_from([-1, 0, 0.5]))


def spiky(seed: int, n: int = 4800) -> np.ndarray:
    """Float32 values over many orders of magnitude, a few of them far above the rest."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(n) ** 7
    values[rng.integers(n, size=3)] *= 1e6
    return values.astype(np.float32)


@given(WITH_TIES)
def test_ranks_are_scipys(values: np.ndarray) -> None:
    np.testing.assert_array_equal(ranks(torch.from_numpy(values)), rankdata(values, axis=-1))


@settings(deadline=None)
@given(UNEVEN, st.booleans())
def test_ranks_of_many_long_rows(seed: int, tied: bool) -> None:
    values = np.random.default_rng(seed).standard_normal((3, 2, 4800))
    values[1] = (values[1] * (20 if tied else 1)).round(1 if tied else 20)
    np.testing.assert_array_equal(ranks(torch.from_numpy(values)), rankdata(values, axis=-1))


def test_ranks_stay_exact_in_the_last_of_very_many_rows() -> None:
    values = torch.tensor([0.0, 1.0, 1.0]).repeat(3_000_000, 1)  # float32 could not count these points
    assert ranks(values)[-1].tolist() == [1.0, 2.5, 2.5]


def test_ranks_take_infinities_integers_and_zeros_of_either_sign_but_no_nan() -> None:
    rows = torch.tensor([[np.inf, -np.inf, 0.0, -0.0, np.inf], [1.0, np.nan, 2.0, 3.0, 4.0]])
    assert ranks(rows)[0].tolist() == [4.5, 1.0, 2.5, 2.5, 4.5]
    assert ranks(rows)[1].isnan().all()
    assert ranks(torch.tensor([3, 1, 3])).tolist() == [2.5, 1.0, 2.5]


def test_ranks_with_a_tolerance_join_neighbours() -> None:
    rows = torch.tensor([[3.0, 1.0, 1.1, 1.2, np.inf], [30.0, 10.0, 11.0, 12.0, -np.inf]])
    tolerance = torch.tensor([[0.11], [0.11]])
    assert ranks(rows, tolerance).tolist() == [[4.0, 2.0, 2.0, 2.0, 5.0], [5.0, 2.0, 3.0, 4.0, 1.0]]
    assert ranks(rows, 1.5).tolist() == [[4.0, 2.0, 2.0, 2.0, 5.0], [5.0, 3.0, 3.0, 3.0, 1.0]]


def test_ranks_do_not_depend_on_the_order_of_equal_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy sorts on the CPU, torch elsewhere; neither promises an order of equal values."""
    values = torch.randint(9, (5, 200), generator=torch.Generator().manual_seed(0)).double()
    expected = ranks(values)
    monkeypatch.setattr(correlation, "_order", lambda x: x.argsort(-1, descending=True).flip(-1))
    torch.testing.assert_close(ranks(values), expected, atol=0, rtol=0)


@settings(deadline=None, max_examples=40)
@given(UNEVEN, st.booleans())
def test_they_are_scipys_on_spiky_float32_vectors(seed: int, same: bool) -> None:
    a, b = spiky(seed), spiky(seed + 1)
    b = a + np.float32(0.01) * b if same else b
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    exact = a.astype(np.float64), b.astype(np.float64)
    assert float(pearson(x, y)) == pytest.approx(pearsonr(*exact).statistic, abs=1e-13)
    assert float(spearman(x, y)) == pytest.approx(spearmanr(*exact).statistic, abs=1e-13)
    assert float(pearson(x, y)) == pytest.approx(float(pearson_corrcoef(x.double(), y.double())), abs=1e-9)
    assert float(spearman(x, y)) == pytest.approx(float(spearman_corrcoef(x.double(), y.double())), abs=1e-6)


def test_a_spiky_map_has_a_correlation_although_float32_has_none() -> None:
    map_ = torch.zeros(4800)
    map_[7] = 1e-3
    nearly = map_ + 1e-6 * torch.randn(4800, generator=torch.Generator().manual_seed(0))
    assert float(pearson(map_, nearly)) == pytest.approx(np.corrcoef(map_.double(), nearly.double())[0, 1], abs=1e-13)


@settings(deadline=None)
@given(UNEVEN, st.floats(1e-3, 1e3), st.integers(-1000, 1000), st.integers(-250, 250))
def test_scale_and_offset_change_nothing(seed: int, scale: float, offset: int, exponent: int) -> None:
    a, b = torch.randn(2, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    for measure in (pearson, spearman):
        expected = measure(a, b)
        torch.testing.assert_close(measure(scale * a + offset, b), expected, atol=1e-9, rtol=0)
        torch.testing.assert_close(measure(-scale * a + offset, b), -expected, atol=1e-9, rtol=0)
        torch.testing.assert_close(measure(10.0**exponent * a, b), expected, atol=1e-12, rtol=0)
        torch.testing.assert_close(measure(b, a), expected, atol=1e-15, rtol=0)


@given(UNEVEN)
def test_spearman_sees_only_the_order(seed: int) -> None:
    a, b = torch.randn(2, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(spearman(a.exp(), b**3), spearman(a, b), atol=1e-14, rtol=0)
    assert float(spearman(a, a.exp())) == pytest.approx(1.0, abs=1e-14)
    assert float(spearman(a, -(a**5))) == pytest.approx(-1.0, abs=1e-14)


def test_they_never_leave_the_range() -> None:
    values = torch.randn(200, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for measure in (pearson, spearman):
        assert float(measure(values, values).max()) <= 1.0
        assert float(measure(values, -values).min()) >= -1.0


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1e-300, 1e300, np.nan, np.inf])
def test_a_constant_or_non_finite_vector_has_no_correlation(value: float) -> None:
    varied = torch.arange(10.0, dtype=torch.float64)
    constant = torch.full((10,), value, dtype=torch.float64)
    broken = torch.where(varied == 3, constant, varied)
    for measure in (pearson, spearman):
        assert measure(constant, varied).isnan()
        assert measure(varied, constant).isnan()
        assert measure(constant, constant).isnan()
        assert bool(measure(broken, varied).isnan()) != bool(np.isfinite(value))


def test_rounding_does_not_make_a_constant_vary() -> None:
    rounded = 0.1 + 1e-16 * torch.randn(4800, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert rounded.unique().numel() > 1
    assert standardised(rounded).isnan().all()
    small = 0.1 + 1e-10 * torch.randn(4800, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert standardised(small).isfinite().all()


def test_they_broadcast_and_refuse_other_lengths() -> None:
    a, b = torch.randn(3, 1, 50), torch.randn(4, 50)
    assert pearson(a, b).shape == spearman(a, b).shape == (3, 4)
    assert pearson(a[:0], b).shape == (0, 4)
    for measure in (pearson, spearman):
        for x, y in ((a, b[:, :49]), (torch.tensor(1.0), torch.tensor(1.0)), (a[..., :0], b[..., :0])):
            with pytest.raises(ValueError, match=r"expected vectors \(..., n\) of one length, got"):
                measure(x, y)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same() -> None:
    a, b = torch.randn(2, 5, 4800, generator=torch.Generator().manual_seed(0))
    for measure in (pearson, spearman):
        torch.testing.assert_close(measure(a.cuda(), b.cuda()).cpu(), measure(a, b), atol=1e-12, rtol=0)
