"""Rankings of whole units: identities, and a slow loop over units."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ecg_lightning.experiments.perturbation.kinds import PAPER_KIND, VERDICT_KIND, PerturbationKind, check_kinds
from ecg_lightning.experiments.perturbation.measure import relevance_positions, step_counts
from ecg_lightning.experiments.perturbation.units import Unit, block_labels, random_positions, unit_positions

LEADS, SAMPLES = 8, 600
POINTS = LEADS * SAMPLES


def draws(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def averaged(maps: Tensor, samples: int) -> Tensor:
    """|map| averaged over blocks of one lead."""
    blocks = maps.abs().unflatten(-1, (-1, samples)).mean(-1, keepdim=True)
    return blocks.expand(*blocks.shape[:-1], samples).flatten(-2)


@pytest.mark.parametrize(
    ("unit", "blocks", "length"), [("block20", 480, 10), ("block50", 192, 25), ("block100", 96, 50)]
)
def test_blocks_of_a_beat(unit: Unit, blocks: int, length: int) -> None:
    labels = block_labels(unit, LEADS, SAMPLES, 500.0)
    assert labels.unique(return_counts=True)[1].tolist() == [length] * blocks
    assert labels.diff(dim=1).bool().sum(1).tolist() == [SAMPLES // length - 1] * LEADS


def test_a_last_block_may_be_shorter() -> None:
    assert block_labels("block50", 1, 12, 100.0).unique(return_counts=True)[1].tolist() == [5, 5, 2]
    assert block_labels("block50", 2, 60, 500.0).unique(return_counts=True)[1].tolist() == [25, 25, 10, 25, 25, 10]
    with pytest.raises(ValueError, match="expected a block"):
        block_labels("point", 2, 60, 500.0)


@pytest.mark.parametrize("samples", [1, 25])
def test_averaging_a_map_over_the_same_blocks_changes_nothing(samples: int) -> None:
    """What blurs a map to the granularity of the ranking, or leaves it, leaves every place as it is."""
    maps, ties = draws(0, 4, 3, LEADS, SAMPLES), draws(1, 4, LEADS, SAMPLES)
    labels = block_labels("block50", LEADS, SAMPLES, 500.0)[None]
    expected = unit_positions(maps, ties, labels)
    assert torch.equal(unit_positions(averaged(maps, samples), ties, labels), expected)
    assert torch.equal(unit_positions(-maps, ties, labels), expected)


def test_units_of_one_point_are_points() -> None:
    maps, ties = draws(0, 2, 3, 2, 30).round(), draws(1, 2, 2, 30)
    found = unit_positions(maps, ties, torch.arange(60).reshape(1, 2, 30))
    assert torch.equal(found.long(), relevance_positions(maps, ties[:, None].expand(maps.shape)))


@pytest.mark.parametrize("lerf", [False, True])
@pytest.mark.parametrize(("unit", "blocks"), [("block20", 480), ("block50", 192), ("block100", 96)])
def test_a_step_replaces_the_rounded_share_of_the_blocks(unit: Unit, blocks: int, lerf: bool) -> None:
    positions = unit_positions(
        draws(0, 1, 1, LEADS, SAMPLES), draws(1, 1, LEADS, SAMPLES), block_labels(unit, LEADS, SAMPLES, 500.0)[None]
    )
    positions = POINTS - 1 - positions if lerf else positions
    counts = step_counts(POINTS, 10, 0.03)
    found = [int((positions < count).sum()) for count in counts]
    assert found == [round(blocks * 0.03 * k) * POINTS // blocks for k in range(11)]


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_against_a_loop_over_units(seed: int, signed: bool) -> None:
    """Units of unequal size: the number of units whose points are nearest to the share, most relevant first."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 6, size=(1, 2, 20))
    map_, ties = (8 * generator.normal(size=(2, 20))).round() / 8, generator.normal(size=(2, 20))  # sums are exact
    found = unit_positions(
        torch.from_numpy(map_)[None, None],
        torch.from_numpy(ties)[None],
        torch.from_numpy(labels),
        "signed" if signed else "magnitude",
    )[0, 0].numpy()
    ranked = map_ if signed else np.abs(map_)
    units = [labels[0] == unit for unit in np.unique(labels)]
    units.sort(key=lambda unit: (-ranked[unit].mean(), ties[unit].mean()))
    ends = np.cumsum([0, *(unit.sum() for unit in units)])
    for count in range(41):
        nearest = np.flatnonzero(np.abs(ends - count) == np.abs(ends - count).min())
        chosen = [np.any(units[:k], axis=0) if k else np.zeros((2, 20), dtype=bool) for k in nearest]
        assert any(np.array_equal(found < count, one) for one in chosen), count


def test_positions_refuse_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="labels of the same leads and samples"):
        unit_positions(draws(0, 1, 1, 2, 30), draws(1, 1, 2, 30), torch.zeros(1, 2, 20, dtype=torch.long))
    with pytest.raises(ValueError, match="not finite ranks nothing"):
        unit_positions(
            torch.full((1, 1, 2, 30), torch.nan), draws(1, 1, 2, 30), torch.zeros(1, 2, 30, dtype=torch.long)
        )


def test_kinds() -> None:
    assert PAPER_KIND.name == "point_interpolation_multiplicative"
    assert VERDICT_KIND.name == "block50_interpolation_none"
    assert PerturbationKind(ranking="signed").name == "block50_interpolation_none_signed"
    tuned = PerturbationKind(ranking="signed", fine_tuned=True)
    assert tuned.name == "block50_interpolation_none_signed_fine_tuned"
    assert tuned.settings["fine_tuned"] is True
    assert "fine_tuned" not in VERDICT_KIND.settings  # stores of earlier versions are still those of the kind
    assert check_kinds([VERDICT_KIND, PerturbationKind(fine_tuned=True)])
    assert check_kinds(None) == (PAPER_KIND, VERDICT_KIND)
    for wrong, message in (
        ({"steps": 40}, "at most 100 %"),
        ({"unit": "lead"}, "unit is one of point"),
        ({"noise": "pink"}, "noise is one of"),
        ({"orders": ["random"]}, "orders: expected some of morf, lerf"),
        ({"sigma": -1.0}, "sigma must not be negative"),
        ({"fine_tuned": True, "replacement": "twin"}, "another replacement than twin"),
    ):
        with pytest.raises(ValueError, match=message):
            PerturbationKind(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="of different unit"):
        check_kinds([VERDICT_KIND, PerturbationKind(steps=4)])


def test_random_units_are_whole_and_of_equal_chance_whatever_their_size() -> None:
    labels = torch.tensor([[0, 0, 0, 0, 0, 1, 2, 2]])[None]  # one lead with units of 5, 1 and 2 points
    generator = torch.Generator().manual_seed(0)
    units, ties = torch.randn(6000, 3, generator=generator), torch.randn(6000, 1, 8, generator=generator)
    places = random_positions(units, labels, ties)
    first = places.flatten(1).argmin(1)
    for unit in range(3):
        of_unit = places[:, labels[0] == unit]
        assert (of_unit == of_unit[:, :1]).all()
        share = float((labels[0, 0][first] == unit).float().mean())
        assert share == pytest.approx(1 / 3, abs=4 * (2 / 9 / 6000) ** 0.5)
