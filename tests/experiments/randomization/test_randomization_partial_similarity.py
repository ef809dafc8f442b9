"""Partial correlation of maps given |ECG| and |slope|, against a regression by NumPy and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter
from torch import Tensor

from ecg_lightning.attribution.controls import control_maps
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.experiments.randomization.partial_similarity import covariate_basis, map_vectors
from ecg_lightning.functional.similarity import SIGNS, Sign, paired_similarities

DRAWS = torch.Generator().manual_seed(4)
ECG = torch.randn(3, 8, 600, generator=DRAWS).cumsum(-1) / 10
COVARIATES = torch.stack(
    list(control_maps(("absolute_input", "absolute_slope"), ECG, lambda *_: RandomKey()).values()), 1
)
ABSOLUTE_ECG, ABSOLUTE_SLOPE = COVARIATES.unbind(1)


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=DRAWS, dtype=torch.float64).cumsum(-1)


def partial_similarity(a: Tensor, b: Tensor, covariates: Tensor) -> Tensor:
    basis = covariate_basis(covariates)
    return map_vectors(a, basis).correlation(map_vectors(b, basis)).partial


def paired_similarity(a: Tensor, b: Tensor, sign: Sign = "native") -> Tensor:
    return paired_similarities(a, b)["pearson"][..., SIGNS.index(sign)]


def slow(a: np.ndarray, b: np.ndarray, covariates: np.ndarray) -> float:
    """Least squares with an intercept on one ECG's points, then the correlation of the residuals."""
    smooth = [np.abs(savgol_filter(one, 31, 3, axis=-1)).ravel() for one in (a, b, *covariates)]
    design = np.column_stack([np.ones_like(smooth[0]), *smooth[2:]])
    residuals = [y - design @ np.linalg.lstsq(design, y, rcond=None)[0] for y in smooth[:2]]
    return float(np.corrcoef(*residuals)[0, 1])


def test_it_is_the_correlation_of_least_squares_residuals() -> None:
    a = noise(3, 8, 600) + 3 * ABSOLUTE_ECG
    b = 0.5 * a + noise(3, 8, 600) + 2 * ABSOLUTE_SLOPE
    found = partial_similarity(a, b, COVARIATES)
    expected = [slow(*parts) for parts in zip(a.numpy(), b.numpy(), COVARIATES.double().numpy(), strict=True)]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_maps_that_share_only_the_ecg_share_nothing_beyond_it() -> None:
    """Magnitudes that are the ECG's plus noise of their own: alike by magnitude, not given the ECG."""
    maps = [10 * ABSOLUTE_ECG + torch.randn(3, 8, 600, generator=DRAWS).abs() for _ in range(2)]
    assert (paired_similarity(*maps, sign="absolute") > 0.9).all()
    assert (partial_similarity(*maps, COVARIATES).abs() < 0.1).all()


def test_a_map_that_is_the_ecg_has_no_residual() -> None:
    for one in (ABSOLUTE_ECG, ABSOLUTE_SLOPE, -3 * ABSOLUTE_ECG, ABSOLUTE_SLOPE.double() / 50):
        assert partial_similarity(one, noise(3, 8, 600), COVARIATES).isnan().all()
    whisper = ABSOLUTE_ECG + 1e-3 * noise(3, 8, 600).abs()  # a little network: it has one
    assert partial_similarity(whisper, noise(3, 8, 600), COVARIATES).isfinite().all()


def test_a_constant_or_broken_map_is_undefined_and_a_flat_ecg_explains_nothing() -> None:
    a, b = noise(8, 600), noise(8, 600)
    assert partial_similarity(torch.ones(8, 600), b, COVARIATES[0]).isnan()
    assert partial_similarity(torch.where(a > a.max() - 1e-9, torch.inf, a), b, COVARIATES[0]).isnan()
    flat = torch.zeros(2, 8, 600)
    assert float(partial_similarity(a, b, flat)) == pytest.approx(float(paired_similarity(a, b, sign="absolute")))
    twice = torch.stack([COVARIATES[0, 0], COVARIATES[0, 0]])
    assert float(partial_similarity(a, b, twice)) == pytest.approx(float(partial_similarity(a, b, twice[:1])))


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.01, 100))
def test_scale_sign_and_order_do_not_matter(scale: float) -> None:
    a, b = noise(8, 600), noise(8, 600)
    own = float(partial_similarity(a, b, COVARIATES[0]))
    assert float(partial_similarity(b, a, COVARIATES[0])) == pytest.approx(own, abs=1e-12)
    assert float(partial_similarity(-scale * a, b, COVARIATES[0])) == pytest.approx(own, abs=1e-9)
    assert float(partial_similarity(a, a, COVARIATES[0])) == pytest.approx(1.0)
    other_way_round = torch.stack([scale * COVARIATES[0, 1], -COVARIATES[0, 0]])
    assert float(partial_similarity(a, b, other_way_round)) == pytest.approx(own, abs=1e-9)


def test_the_vectors_of_a_map_give_its_similarities() -> None:
    a, b = noise(3, 2, 8, 600), noise(3, 2, 8, 600)
    basis = covariate_basis(COVARIATES[:, None])
    found = map_vectors(a, basis).correlation(map_vectors(b, basis))
    torch.testing.assert_close(found.signed, paired_similarity(a, b))
    torch.testing.assert_close(found.magnitude, paired_similarity(a, b, sign="absolute"))
