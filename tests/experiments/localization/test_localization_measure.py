"""Localisation scores: closed forms, a slow reference, and properties."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from ecg_lightning.experiments.localization.measure import LOCALIZATION_SCORES, localization_scores, region_share

LEADS, SAMPLES = 2, 30


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mask(seed: int, *shape: int, share: float = 0.3) -> Tensor:
    found = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < share
    found[..., 0, 0], found[..., 0, 1] = True, False
    return found


def slow(map_: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    size, within = np.abs(map_).ravel(), inside.ravel()
    n = int(within.sum())
    order = sorted(range(len(size)), key=lambda k: -size[k])
    hits = 0.0
    last = size[order[n - 1]]
    tied = [k for k in range(len(size)) if size[k] == last]
    sure = [k for k in range(len(size)) if size[k] > last]
    hits = sum(within[k] for k in sure) + (n - len(sure)) * np.mean([within[k] for k in tied])
    greatest = np.flatnonzero(size == size.max())
    wins = [float(a > b) + 0.5 * (a == b) for a in size[within] for b in size[~within]]
    return {
        "relevance_mass": size[within].sum() / size.sum(),
        "relevance_rank_accuracy": hits / n,
        "pointing_game": within[greatest].mean(),
        "auroc": float(np.mean(wins)),
    }


@pytest.mark.parametrize("rounded", [False, True])
def test_against_a_slow_reference(rounded: bool) -> None:
    maps, masks = noise(0, 3, 2, LEADS, SAMPLES), mask(1, 3, 4, LEADS, SAMPLES)
    maps = maps.round() if rounded else maps  # many ties
    found = localization_scores(maps, masks)
    for b, r, m in np.ndindex(3, 4, 2):
        expected = slow(maps[b, m].numpy(), masks[b, r].numpy())
        for name in LOCALIZATION_SCORES:
            assert float(found[name][b, r, m]) == pytest.approx(expected[name], abs=1e-12), name


def test_auroc_is_torchmetrics() -> None:
    maps, masks = noise(0, 1, 1, 8, 600), mask(1, 1, 1, 8, 600)
    expected = binary_auroc(maps.abs().flatten() / 10, masks.flatten().long())
    assert float(localization_scores(maps, masks)["auroc"]) == pytest.approx(float(expected), abs=1e-6)  # float32 there


def test_a_map_that_is_the_region_is_perfect_and_its_opposite_finds_nothing() -> None:
    masks = mask(0, 2, 1, LEADS, SAMPLES)
    for sign in (1.0, -3.0):
        for score in localization_scores(sign * masks.double(), masks).values():
            assert score.flatten().tolist() == [1.0, 1.0]
    for score in localization_scores((~masks).double(), masks).values():
        assert score.flatten().tolist() == [0.0, 0.0]


def test_noise_is_at_chance() -> None:
    maps, masks = noise(0, 64, 1, 8, 600), mask(1, 64, 1, 8, 600)
    found, share = localization_scores(maps, masks), region_share(masks)
    error = 4 / np.sqrt(64 * 4800 * 0.3 * 0.7)
    assert float(found["auroc"].mean()) == pytest.approx(0.5, abs=2 * error)
    for name in ("relevance_mass", "relevance_rank_accuracy"):
        assert float(found[name].mean()) == pytest.approx(float(share.mean()), abs=4 * error)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_scale_and_monotone_changes(seed: int, scale: float) -> None:
    maps, masks = noise(seed, 1, 1, LEADS, SAMPLES), mask(seed + 1, 1, 1, LEADS, SAMPLES)
    before, scaled = localization_scores(maps, masks), localization_scores(-scale * maps, masks)
    for name in LOCALIZATION_SCORES:
        torch.testing.assert_close(before[name], scaled[name])
    cubed = localization_scores(maps**3, masks)  # the order stays
    for name in ("relevance_rank_accuracy", "pointing_game", "auroc"):
        torch.testing.assert_close(before[name], cubed[name])


def test_what_is_not_defined_is_nan() -> None:
    good, masks = noise(0, 1, 1, LEADS, SAMPLES), mask(1, 1, 1, LEADS, SAMPLES)
    for maps, region in (
        (torch.ones_like(good), masks),
        (good * torch.nan, masks),
        (good, torch.zeros_like(masks)),
        (good, torch.ones_like(masks)),
    ):
        assert all(score.isnan().all() for score in localization_scores(maps, region).values())
    both = localization_scores(torch.cat([good, torch.ones_like(good)], 1), masks)["auroc"]
    assert both.isnan().flatten().tolist() == [False, True]


def test_shapes_and_types_are_checked() -> None:
    good, masks = noise(0, 1, 1, LEADS, SAMPLES), mask(1, 1, 1, LEADS, SAMPLES)
    with pytest.raises(ValueError, match="of the same ECGs"):
        localization_scores(good, masks[..., 1:])
    with pytest.raises(ValueError, match="boolean masks"):
        localization_scores(good, masks.double())


def test_share() -> None:
    masks = torch.zeros(2, 4, 10, dtype=torch.bool)
    masks[0, 0, :5] = True
    assert region_share(masks).tolist() == [0.125, 0.0]
