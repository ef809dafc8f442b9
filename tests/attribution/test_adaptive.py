"""Draws in stages: the same whatever blocks they come in, without bias, and fewer of them for the same error."""

import math

import pytest
import torch
from torch import Tensor

from ecg_lightning.attribution import RandomKey
from ecg_lightning.attribution.adaptive import AdaptiveSampler, Spread, relative_magnitudes
from ecg_lightning.attribution.sampling import golden_fractions

KEY = RandomKey(ecg_id="a")
TRUE = torch.linspace(-1.0, 1.0, 40, dtype=torch.float64).reshape(2, 20)
"""Mean of the contributions below over all places."""


def peaked(places: Tensor) -> Tensor:
    """Of mean 1 over [0, 1) within 1e-5: nearly all of it below .2."""
    return torch.exp(-places / 0.05) / 0.05 + math.exp(-20)


def even(shift: float) -> Spread:
    """The golden-ratio sequence."""
    return lambda first, count: golden_fractions(shift, torch.arange(first, first + count))


def sized(contributions: Tensor) -> tuple[Tensor, Tensor]:
    """With their lengths, as on ways that are equally long."""
    return contributions, relative_magnitudes(contributions, torch.ones_like(contributions))


def draws_of(key: RandomKey, *, adaptive: bool = True) -> AdaptiveSampler:
    """Contributions whose mean and noise are large at few places; one endless stage is even sampling."""

    def contributions(places: Tensor, first: int) -> tuple[Tensor, Tensor]:
        noise = torch.stack([key.for_purpose(f"noise/{first + k}").normal(2, 20) for k in range(len(places))])
        return sized(peaked(places)[:, None, None] * (TRUE + 3.0 * noise.double()))

    shift = float(key.for_purpose("alpha").uniform(1))
    return AdaptiveSampler(contributions, even(shift), *([] if adaptive else [1 << 20]))


def test_stages_double() -> None:
    asked = []

    def spread(first: int, count: int) -> Tensor:
        asked.append((first, count))
        return even(0.3)(first, count)

    draws = AdaptiveSampler(lambda places, _: sized(places[:, None, None].expand(-1, 2, 20)), spread)
    draws(0, 10)
    draws(10, 110)
    assert asked == [(0, 10), (10, 6), (16, 32), (48, 64), (112, 8)]


def test_the_first_stage_is_even() -> None:
    contributions, counts = draws_of(KEY)(0, 16)
    torch.testing.assert_close(contributions, draws_of(KEY, adaptive=False)(0, 16)[0])
    assert (counts == 1.0).all()


def test_contributions_of_about_one_size_stay_even() -> None:
    """Whatever they vary by beside their places; then the draws are those of even sampling, one by one."""
    places, sizes = even(0.3)(0, 500), torch.Generator().manual_seed(0)
    level = AdaptiveSampler(
        lambda places, _: (places[:, None, None], 1.0 + torch.rand(len(places), generator=sizes)),
        even(0.3),
    )
    contributions, counts = level(0, 500)
    torch.testing.assert_close(contributions[:, 0, 0], places)
    torch.testing.assert_close(counts, torch.ones(500, dtype=torch.float64))


@pytest.mark.parametrize("counts", [(1,) * 60, (16, 32, 12), (48, 12), (15, 2, 43)])
def test_blocks_change_nothing(counts: tuple[int, ...]) -> None:
    key, first, blocks = RandomKey(ecg_id="b"), 0, []
    draws = draws_of(key)
    for count in counts:
        blocks.append(draws(first, count))
        first += count
    for found, whole in zip(zip(*blocks, strict=True), draws_of(key)(0, 60), strict=True):
        torch.testing.assert_close(torch.cat(found), whole)


def test_draws_out_of_order_are_refused() -> None:
    draws = draws_of(RandomKey())
    draws(0, 20)
    with pytest.raises(ValueError, match="expected number 20 to be the next, got 5"):
        draws(5, 3)


def test_a_draw_counts_by_the_reciprocal_of_its_variance() -> None:
    """Of the first stage about a tenth of the later ones, whose places follow the peak."""
    _, counts = draws_of(RandomKey(ecg_id="c"))(0, 112)
    assert len(counts.unique()) == 3
    assert 4.0 < float(counts[-1]) < 40.0


@pytest.mark.slow
def test_no_bias_and_less_error() -> None:
    """Means of 400 runs: within 4 standard errors of the truth everywhere, of a third of the even draws' variance."""

    def mean(seed: int, *, adaptive: bool) -> Tensor:
        contributions, counts = draws_of(RandomKey(seed), adaptive=adaptive)(0, 112)
        return (counts[:, None, None] * contributions).sum(0) / counts.sum()

    runs = {adaptive: torch.stack([mean(seed, adaptive=adaptive) for seed in range(400)]) for adaptive in (True, False)}
    for found in runs.values():
        error = found.std(0) / math.sqrt(len(found))
        assert ((found.mean(0) - TRUE).abs() < 4.0 * error).all()
    assert float(runs[True].var(0).mean()) < 0.4 * float(runs[False].var(0).mean())


def test_constant_contributions_stay_finite() -> None:
    draws = AdaptiveSampler(lambda places, _: sized(torch.zeros(len(places), 2, 20)), even(0.3))
    contributions, counts = draws(0, 100)
    assert not contributions.any()
    assert (counts == 1.0).all()


def test_sizes_do_not_tell_how_long_the_way_is() -> None:
    ways = torch.randn(5, 2, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(relative_magnitudes(3.0 * ways, ways), torch.full((5,), 3.0, dtype=torch.float64))
    assert relative_magnitudes(torch.zeros(1, 2, 20), torch.zeros(1, 2, 20)).tolist() == [0.0]


@pytest.mark.parametrize("bad", [math.inf, math.nan, 1e30])
def test_one_broken_contribution_spoils_its_point_only(bad: float) -> None:
    """Also where only its size is too large for float32."""

    def contributions(places: Tensor, first: int) -> tuple[Tensor, Tensor]:
        found = peaked(places)[:, None, None].float() * torch.ones(1, 2, 20)
        if first == 0:
            found[3, 1, 7] = bad
        return sized(found)

    found, counts = AdaptiveSampler(contributions, even(0.3))(0, 120)
    assert counts.isfinite().all()
    assert (counts > 0).all()
    mean = (found.double() * counts[:, None, None]).sum(0) / counts.sum()
    assert int((~mean.isfinite()).sum()) == (0 if bad == 1e30 else 1)


def test_noise_of_sizes_beside_their_places_costs_little() -> None:
    """Sizes that vary twofold at random: at most 1.5 times the variance of even draws, after 112 draws of 400 runs."""

    def mean(seed: int, first_stage: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)

        def contributions(places: Tensor, _: int) -> tuple[Tensor, Tensor]:
            return sized(torch.exp(torch.randn(len(places), 1, 1, generator=generator).double()).expand(-1, 2, 20))

        found, counts = AdaptiveSampler(contributions, even(0.3), first_stage)(0, 112)
        return (found[:, 0, 0] * counts).sum() / counts.sum()

    adaptive, plain = (torch.stack([mean(seed, stage) for seed in range(400)]) for stage in (16, 1 << 20))
    assert float(adaptive.var() / plain.var()) < 1.5
