"""Similarity of maps, against SciPy's filter and correlations, pair by pair."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter
from scipy.stats import pearsonr, spearmanr
from torch import Tensor

from ecg_lightning.functional.reliability import split_reliability
from ecg_lightning.functional.similarity import (
    SCOPES,
    SIGNS,
    STATISTICS,
    Scope,
    Sign,
    Statistic,
    as_sign,
    disattenuated,
    paired_similarities,
    similarity_matrices,
    similarity_matrix,
)

EVERY = list(itertools.product(STATISTICS, SCOPES, SIGNS))


def maps(seed: int = 0, batch: int = 2) -> torch.Tensor:
    """Float32 maps like real ones: spiky, smooth, rectified, one channel for all leads (batch, 5, 8, 600)."""
    made = torch.randn(batch, 5, 8, 600, generator=torch.Generator().manual_seed(seed))
    made[:, 0] = made[:, 0] ** 5
    made[:, 1] = made[:, 1].cumsum(-1)
    made[:, 2] = made[:, 1].relu() * (made[:, 2] > 0)
    made[:, 3] = made[:, 1, :1] + 40
    return made


def paired_similarity(
    a: Tensor, b: Tensor, statistic: Statistic = "pearson", scope: Scope = "ecg", sign: Sign = "native"
) -> Tensor:
    """One statistic and sign of ``paired_similarities``."""
    return paired_similarities(a, b, scope)[statistic][..., SIGNS.index(sign)]


def slow(
    a: np.ndarray, b: np.ndarray, statistic: str, scope: str, sign: str, window: int = 31, order: int = 3
) -> float:
    """One pair by SciPy."""
    measure = pearsonr if statistic == "pearson" else spearmanr
    x, y = (savgol_filter(map_.astype(np.float64), window, order, axis=-1) for map_ in (a, b))
    if sign == "absolute":
        x, y = np.abs(x), np.abs(y)
    if scope == "ecg":
        return float(measure(x.ravel(), y.ravel()).statistic)
    return float(np.mean([measure(*leads).statistic for leads in zip(x, y, strict=True)]))


@pytest.mark.parametrize(("statistic", "scope", "sign"), EVERY)
def test_every_pair_is_scipys(statistic: Statistic, scope: Scope, sign: Sign) -> None:
    given_maps = maps()
    found = similarity_matrix(given_maps, statistic, scope, sign)
    assert found.dtype == torch.float64
    for ecg, (i, j) in itertools.product(range(2), itertools.combinations_with_replacement(range(5), 2)):
        a, b = given_maps[ecg, i].numpy(), given_maps[ecg, j].numpy()
        expected = slow(a, b, statistic, scope, sign)
        assert float(found[ecg, i, j]) == pytest.approx(expected, abs=1e-12), (ecg, i, j)
        pair = paired_similarity(given_maps[ecg, i], given_maps[ecg, j], statistic, scope, sign)
        assert float(pair) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("scope", SCOPES)
def test_a_map_without_a_correlation_has_none_by_any_statistic_and_sign(scope: Scope) -> None:
    given_maps = maps()
    given_maps[1, 2, 3] = 0.5  # a lead that says nothing
    given_maps[0, 1] = 0.0
    given_maps[1, 4, 0, 7] = torch.nan
    found = paired_similarities(given_maps[:, :1], given_maps, scope)
    assert list(found) == list(STATISTICS)
    for statistic, values in found.items():
        assert values.shape == (2, 5, 2)
        for place, sign in enumerate(SIGNS):
            alone = similarity_matrix(given_maps, statistic, scope, sign)[:, 0]
            torch.testing.assert_close(values[..., place], alone, atol=1e-12, rtol=0, equal_nan=True)
            assert alone.isnan().tolist() == [[False, True, False, False, False], [False, False, False, False, True]]
    with pytest.raises(ValueError, match="expected the scope to be one of ecg, lead, got 'all'"):
        paired_similarities(given_maps, given_maps, "all")  # type: ignore[arg-type]


def test_the_filter_is_an_argument() -> None:
    a, b = maps()[0, :2].numpy()
    pair = torch.from_numpy(np.stack([a, b]))[None]
    assert float(similarity_matrix(pair, window=11, order=2)[0, 0, 1]) == pytest.approx(
        slow(a, b, "pearson", "ecg", "native", 11, 2), abs=1e-12
    )
    unsmoothed = similarity_matrix(pair, "spearman", window=None)[0, 0, 1]
    assert float(unsmoothed) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic, abs=1e-12)


def test_the_magnitude_is_taken_after_the_filter() -> None:
    """A gradient that changes its sign at every sample is noise that the filter removes, not a plateau."""
    quick = torch.ones(8, 600)
    quick[:, ::2] = -1
    slow_wave = torch.sin(torch.linspace(0, 6, 600)).expand(8, -1)
    both = torch.stack([slow_wave + quick, slow_wave.clone()])[None]
    assert float(similarity_matrix(both, sign="absolute")[0, 0, 1]) > 0.98
    assert float(similarity_matrix(both.abs())[0, 0, 1]) < 0.7


@pytest.mark.parametrize("batch", [0, 3])
def test_all_at_once_is_one_after_the_other(batch: int) -> None:
    given_maps = maps(batch=batch)
    found = similarity_matrices(given_maps)
    assert list(found) == ["pearson", "spearman"]
    for (i, scope), (j, sign) in itertools.product(enumerate(SCOPES), enumerate(SIGNS)):
        for statistic in STATISTICS:
            alone = similarity_matrix(given_maps, statistic, scope, sign)
            torch.testing.assert_close(found[statistic][:, i, j], alone, atol=0, rtol=0)
    assert list(similarity_matrices(given_maps, ["spearman"])) == ["spearman"]


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000), st.floats(1e-6, 1e6), st.integers(-100, 100))
def test_symmetric_with_ones_and_blind_to_scale_and_offset(seed: int, scale: float, tenths: int) -> None:
    given_maps = maps(seed, batch=1).double()
    for statistic, scope, sign in EVERY:
        found = similarity_matrix(given_maps, statistic, scope, sign)
        assert torch.equal(found, found.mT)
        torch.testing.assert_close(found.diagonal(dim1=1, dim2=2), torch.ones(1, 5).double(), atol=1e-12, rtol=0)
        assert float(found.abs().max()) <= 1.0
        # a magnitude does not survive an offset
        moved = scale * (given_maps + (tenths / 10 if sign == "native" else 0.0))
        torch.testing.assert_close(similarity_matrix(moved, statistic, scope, sign), found, atol=1e-7, rtol=0)


def test_batches_are_their_single_ecgs() -> None:
    given_maps = maps(batch=5)
    for statistic in STATISTICS:
        alone = torch.cat([similarity_matrix(given_maps[i : i + 1], statistic) for i in range(5)])
        torch.testing.assert_close(similarity_matrix(given_maps, statistic), alone, atol=1e-12, rtol=0)


def test_equal_leads_stay_ties_after_the_filter() -> None:
    """Grad-CAM: rounding in the filter must not decide the order of its leads."""
    one_channel = torch.randn(1, 600, generator=torch.Generator().manual_seed(0)).cumsum(-1).expand(8, -1)
    other = torch.randn(8, 600, generator=torch.Generator().manual_seed(1)).cumsum(-1)
    shaken = one_channel.double() * (1 + 1e-15 * torch.randn(8, 600, generator=torch.Generator().manual_seed(2)))
    exact, rounded = (paired_similarity(map_, other, "spearman") for map_ in (one_channel, shaken))
    assert float(exact) == pytest.approx(float(rounded), abs=1e-13)


def test_a_plateau_stays_one_tie_after_the_filter() -> None:
    given_maps = maps()[0, :2]
    given_maps[0, 5] = 0.7
    a, b = savgol_filter(given_maps.double().numpy(), 31, 3)
    assert len(np.unique(a[5])) > 1
    a[5] = 0.7
    assert float(paired_similarity(*given_maps, "spearman")) == pytest.approx(
        spearmanr(a.ravel(), b.ravel()).statistic, abs=1e-13
    )


# --- what has no correlation --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3e-12, 7e20, np.nan, np.inf])
def test_constant_and_broken_maps_have_no_similarity_and_cost_no_other(value: float) -> None:
    given_maps = maps()
    expected = similarity_matrices(given_maps)
    given_maps[1, 2] = value
    for statistic, found in similarity_matrices(given_maps).items():
        broken = found[1, ..., 2, :]
        assert broken.isnan().all()
        assert found[1, ..., :, 2].isnan().all()
        kept = [0, 1, 3, 4]
        torch.testing.assert_close(found[0], expected[statistic][0])
        torch.testing.assert_close(found[1][..., kept, :][..., kept], expected[statistic][1][..., kept, :][..., kept])


def test_one_bad_point_breaks_the_whole_map() -> None:
    given_maps = maps()
    given_maps[0, 4, 3, 200] = np.inf
    for found in similarity_matrices(given_maps).values():
        assert found[0, :, :, 4].isnan().all()
        assert found.isnan().sum() == 2 * 2 * 9


def test_a_polynomial_is_smoothed_to_itself_and_a_constant_offset_is_no_shape() -> None:
    cubic = torch.linspace(-1, 1, 600).double() ** 3
    pair = torch.stack([cubic.expand(8, -1), 2 - cubic.expand(8, -1)])[None]
    assert float(similarity_matrix(pair)[0, 0, 1]) == pytest.approx(-1.0, abs=1e-12)


def test_a_lead_that_is_constant_in_either_map_is_left_out_of_the_mean() -> None:
    given_maps = maps()[:1, :2]
    given_maps[0, 0, 2] = 0.0
    given_maps[0, 1, 5] = 0.7
    a, b = given_maps[0].numpy()
    rest = [lead for lead in range(8) if lead not in (2, 5)]
    for statistic in STATISTICS:
        found = similarity_matrix(given_maps, statistic, "lead")[0]
        assert float(found[0, 1]) == pytest.approx(slow(a[rest], b[rest], statistic, "lead", "native"), abs=1e-12)
        assert float(found[0, 0]) == pytest.approx(1.0)
        pair = paired_similarity(given_maps[0, 0], given_maps[0, 1], statistic, "lead")
        assert float(pair) == pytest.approx(float(found[0, 1]), abs=1e-13)
    expected = slow(a, b, "pearson", "ecg", "native")
    assert float(similarity_matrix(given_maps, scope="ecg")[0, 0, 1]) == pytest.approx(expected, abs=1e-12)


def test_maps_without_a_common_lead_have_no_similarity_by_lead() -> None:
    given_maps = maps()[:1, :2]
    given_maps[0, 0, :4] = 0.0
    given_maps[0, 1, 4:] = 0.0
    assert similarity_matrix(given_maps, scope="lead")[0, 0, 1].isnan()
    assert similarity_matrix(given_maps, scope="ecg")[0, 0, 1].isfinite()


# --- pairs, noise, errors -----------------------------------------------------------------------------------


def test_one_map_beside_many() -> None:
    """As a cascade asks: (ecg, 1, lead, sample) beside (ecg, depth, lead, sample)."""
    given_maps = maps(batch=3)
    found = paired_similarity(given_maps[:, :1], given_maps, "spearman", "lead", "absolute")
    torch.testing.assert_close(
        found, similarity_matrix(given_maps, "spearman", "lead", "absolute")[:, 0], atol=1e-12, rtol=0
    )


def test_disattenuation_undoes_the_noise_of_both_maps() -> None:
    """Two smooth maps, of which only noisy means over 8 groups are seen."""
    generator = torch.Generator().manual_seed(0)
    shared, a, b = torch.randn(3, 8, 600, generator=generator).double().cumsum(-1)
    truths = torch.stack([shared + a, shared - b])
    truths = (truths - truths.mean((1, 2), keepdim=True)) / truths.std((1, 2), keepdim=True)
    noise = torch.randn(50, 2, 8, 8, 600, generator=generator)
    groups = truths[:, None] + torch.tensor([8.0, 4.0]).reshape(2, 1, 1, 1) * noise
    true = float(paired_similarity(*truths))
    raw = paired_similarity(*groups.mean(2).unbind(1))
    corrected = disattenuated(raw, *split_reliability(groups).unbind(1))
    assert abs(float(raw.mean()) / true - 1) > 0.1
    assert float(corrected.mean()) == pytest.approx(true, rel=0.01)


def test_disattenuation_knows_what_it_does_not_know() -> None:
    found = disattenuated([0.5, 0.5, 0.5, np.nan, 0.9], [0.25, np.nan, 0.0, 1.0, 0.5], [1.0, 1.0, 0.7, 1.0, 0.9])
    np.testing.assert_allclose(found, [1.0, np.nan, np.nan, np.nan, 0.9 / np.sqrt(0.45)])


def test_a_sign_may_be_given_by_its_label() -> None:
    given_maps = maps()
    for label, sign in (("signed", "native"), ("absolute", "absolute")):
        assert as_sign(label) == as_sign(sign) == sign
    torch.testing.assert_close(
        similarity_matrix(given_maps, sign="signed"), similarity_matrix(given_maps), rtol=0, atol=0
    )
    assert SIGNS == ("native", "absolute")  # the words of stores and tables


def test_wrong_arguments_are_refused() -> None:
    given_maps = maps()
    with pytest.raises(ValueError, match="expected the statistic to be one of pearson, spearman, got 'kendall'"):
        similarity_matrices(given_maps, ["kendall"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="expected the scope to be one of ecg, lead, got 'native'"):
        similarity_matrix(given_maps, "pearson", "native")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected the sign to be one of signed, absolute, got 'ecg'"):
        similarity_matrix(given_maps, sign="ecg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected maps \(batch, method, lead, sample\), got \(5, 8, 600\)"):
        similarity_matrix(given_maps[0])
    with pytest.raises(ValueError, match=r"of one shape, got \(2, 5, 8, 600\) and \(2, 5, 8, 599\)"):
        paired_similarities(given_maps, given_maps[..., 1:])
    with pytest.raises(ValueError, match="a window of 31 samples needs maps of at least as many, got 20"):
        similarity_matrix(given_maps[..., :20])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same() -> None:
    given_maps = maps()
    given_maps[0, 4] = 0.3
    for statistic, found in similarity_matrices(given_maps.cuda()).items():
        expected = similarity_matrices(given_maps)[statistic]
        torch.testing.assert_close(found.cpu(), expected, atol=1e-10, rtol=0, equal_nan=True)
