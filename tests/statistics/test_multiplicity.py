"""Adjustments for several tests against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg_lightning.statistics.multiplicity import bonferroni, holm


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_is_its_definition(p: list[float]) -> None:
    order = np.argsort(p, kind="stable")
    expected, greatest = np.empty(len(p)), 0.0
    for rank, place in enumerate(order):
        greatest = max(greatest, min(1.0, p[place] * (len(p) - rank)))
        expected[place] = greatest
    np.testing.assert_allclose(holm(p), expected)


def test_tests_that_were_not_made_do_not_count() -> None:
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    assert np.isnan(holm([np.nan])).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([1.2])


def test_one_of_several_holds() -> None:
    assert bonferroni([0.01, 0.5, 1.0]) == pytest.approx(0.03)
    assert bonferroni([0.6, 0.9]) == 1.0
