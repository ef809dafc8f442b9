"""The benchmark of error rates, small: its truth is the truth, and the page says what the code does."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from verdict_levels import BARS, CHECKS, Size, family_wise, rates, simulated

from ecg_lightning.verdicts.checks import checks, margins
from ecg_lightning.verdicts.levels import SOME_FALSE_PASS, SOME_FALSE_PASS_OF_MANY
from ecg_lightning.verdicts.table import COLUMNS

STUDIES = 400


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).parents[2] / "docs/verdicts.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("check", [check for check in CHECKS if check != "perturbation"])
def test_levels_and_power_of_few_studies(check: str) -> None:
    found, power = rates(check, Size(24, 3), STUDIES)
    for name, rate in found.items():
        bar = BARS[name.split(", ")[1]]
        assert rate <= bar + 3 * np.sqrt(bar / STUDIES), name
    assert (np.diff(power) >= 0).all()
    assert power[-1] > 0.2
    few, nothing = rates(check, Size(10, 3), STUDIES)
    assert set(few.values()) == {0.0}
    assert not nothing.any()


def test_areas_of_curves_are_null_where_the_maps_are_alike() -> None:
    effects = simulated("perturbation", Size(24, 3), 100, "normal")
    assert abs(effects.estimate.mean()) < 4 * effects.estimate.std() / 10
    np.testing.assert_allclose(effects.variance.mean(), effects.estimate.var(), rtol=0.5)


def test_a_family_keeps_its_level() -> None:
    some_pass, some_fail, power = family_wise(Size(24, 5), STUDIES)
    assert max(some_pass, some_fail) <= 0.05 + 3 * np.sqrt(0.05 / STUDIES)
    assert power[0] < power[1]


def test_the_rates_that_a_report_tells_are_those_of_the_page(page: str) -> None:
    rows = re.findall(r"^\| (\w+) \| \d+ \| \d+ \| ([\d.]+) / [\d.]+ \| ([\d.]+) /", page, re.MULTILINE)
    for check, told in ((one.name, one.false_passes) for one in checks()):
        rates = [(float(normal), float(tail)) for name, normal, tail in rows if name == check]
        assert tuple(told) == tuple(map(max, zip(*rates, strict=True))), check
    families = re.findall(r"^\| (\d+) \| (\d+) \| ([\d.]+) / [\d.]+ \| [\d.]+ \| [\d.]+ \|$", page, re.MULTILINE)
    found = {(int(patients), int(networks)): float(rate) for patients, networks, rate in families}
    assert found.pop((250, 3)) == SOME_FALSE_PASS_OF_MANY
    assert max(found.values()) == SOME_FALSE_PASS


def test_the_page_states_the_columns_and_margins(page: str) -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", page, re.MULTILINE))
    assert told == {name: column.meaning for name, column in COLUMNS.items()}
    for one in margins():
        start = f"| `{one.check}` | {one.claim.split('_')[0]}"
        rows = [line for line in page.splitlines() if line.startswith(start)]
        row = next(line for line in rows if ("of a measurement |" in line) == (one.kind == "regression"))
        for margin in (one.margin_pass, one.margin_fail):
            assert re.search(rf"(?<![\d.]){margin:g}(?![\d.])", row), (one.check, one.claim, margin)
