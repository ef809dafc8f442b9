"""What follows from effects and margins, rule by rule."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from comparisons import EVIDENCE, comparison, effect
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ecg_lightning.experiments.verdicts import verdicts_of
from ecg_lightning.verdicts.checks import margins_of
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.decide import Claim, decide
from ecg_lightning.verdicts.table import COLUMNS

CLAIM = ("localization", "uses_the_network", "atrial_fibrillation", "saliency")


def only(*comparisons: Comparison) -> pd.Series:
    table = decide(comparisons)
    assert len(table) == 1
    assert list(table) == list(COLUMNS)
    return table.iloc[0]


def test_p_of_a_claim_is_the_largest_and_of_its_failure_the_smallest_times_their_number() -> None:
    row = only(comparison(0.08, against="random"), comparison(0.05, against="absolute_slope"))
    expected = stats.t.sf(0.05 / 0.02, 29)
    assert row["p_pass"] == pytest.approx(expected)
    assert row["p_fail"] == 1.0
    assert (row["state"], row["against"], row["effect"]) == ("passes", "absolute_slope", 0.05)
    failing = only(comparison(0.2, against="random"), comparison(-0.03, against="absolute_slope"))
    assert failing["p_fail"] == pytest.approx(2 * stats.t.sf(0.06 / 0.02, 29))
    assert (failing["state"], failing["against"]) == ("fails", "absolute_slope")


def test_an_effect_between_the_margins_fails() -> None:
    row = only(comparison(0.015, error=0.003))
    assert row["p_pass"] < 0.025
    assert row["p_fail"] < 0.025
    assert (row["state"], row["why"]) == ("fails", "")


def test_what_is_neither_is_undecided() -> None:
    row = only(comparison(0.03))
    assert (row["state"], row["why"]) == ("cannot_tell", "undecided")
    np.testing.assert_allclose([row["low"], row["high"]], 0.03 + 0.02 * stats.t.ppf([0.025, 0.975], 29))


def test_holm_counts_methods_and_targets_and_those_without_enough_patients() -> None:
    strong, weak = comparison(0.07), comparison(0.045, method="gradcam")
    alone = decide([weak])
    assert alone["state"].tolist() == ["passes"]
    few = [comparison(0.5, n=12, target=name) for name in ("sinus_rhythm", "sinus_bradycardia")]
    table = decide([strong, weak, *few])
    assert table["family"].tolist() == [4] * 4
    assert table["state"].tolist() == ["passes", "cannot_tell", "cannot_tell", "cannot_tell"]
    assert table["p_pass_holm"].iloc[0] == pytest.approx(4 * table["p_pass"].iloc[0])
    assert table["why"].tolist() == ["", "undecided", "few_patients", "few_patients"]
    assert table.loc[2:, ["low", "high", "p_pass", "p_fail_holm"]].isna().all(axis=None)


def test_controls_and_other_claims_are_families_of_their_own() -> None:
    about = margins_of("localization", "is_about_this_patient")[0]
    table = decide(
        [comparison(0.1), comparison(0.1, method="random", control=True), comparison(0.1, about, against="other_ecg")]
    )
    assert table["family"].tolist() == [1, 1, 1]
    assert table["control"].tolist() == [False, True, False]


def test_a_difference_that_is_the_same_for_all_never_passes() -> None:
    for difference, state in ((0.0, "fails"), (1e-17, "fails"), (-0.2, "fails"), (0.2, "cannot_tell")):
        row = only(comparison(difference, error=0.0))
        assert (row["state"], row["why"]) == (state, "no_variance")
    assert only(comparison(0.0, error=0.0, n=5))["state"] == "cannot_tell"  # of 5 patients nothing is known


@pytest.mark.parametrize("n", [0, 1, 19, 20, 250])
def test_twenty_patients(n: int) -> None:
    assert (only(comparison(0.5, n=n))["state"] == "passes") == (n >= 20)
    lacking = only(comparison(0.5, n_negative=n, needs_negatives=True))
    assert lacking["why"] == ("" if n >= 20 else "few_patients_without")
    any_label = only(replace(comparison(0.5, n=30), n_positive=n, n_negative=7, any_label=True))
    assert (any_label["state"] == "passes") == (n + 7 >= 20)
    assert only(replace(comparison(0.5), effect=effect(0.5, n=n)))["why"] == ("" if n >= 20 else "few_patients")


def test_what_is_undefined_can_fail_but_never_pass() -> None:
    partial, _, magnitude = margins_of("randomization", "needs_the_weights")
    unknown = comparison(np.nan, partial, n=0, undefined="the map is the ECG: nothing is left of it")
    row = only(unknown, comparison(1.0, magnitude, error=0.0))
    assert (row["state"], row["score"], row["why"]) == ("fails", "magnitude", "no_variance")
    assert row["reason"] == "the map is the ECG: nothing is left of it"
    row = only(unknown, comparison(0.1, magnitude))
    assert (row["state"], row["why"]) == ("cannot_tell", "undefined")
    assert only(comparison(0.5, error=np.nan))["why"] == "undefined"  # such as two seeds in one pair


def test_two_sided_claims() -> None:
    """An anti-correlated map is no forgotten one."""
    partial, above, magnitude = margins_of("randomization", "needs_the_weights")

    def state(value: float, raw: float = 0.3) -> str:
        return str(only(comparison(value, partial), comparison(value, above), comparison(raw, magnitude))["state"])

    assert state(0.05) == state(-0.05) == "passes"
    assert state(0.3) == state(-0.34) == state(0.05, raw=0.6) == "fails"
    assert state(0.19) == state(-0.21) == state(0.05, raw=0.49) == "cannot_tell"


def test_what_was_asked_for_and_not_measured() -> None:
    requested = [Claim(*CLAIM[:3], method) for method in ("gradcam", "saliency")]
    table = decide([comparison(0.1)], requested=requested)
    assert table["method"].tolist() == ["gradcam", "saliency"]
    assert table["state"].tolist() == ["not_measured", "passes"]
    assert table["family"].tolist() == [0, 1]
    assert decide([]).empty
    assert verdicts_of([]).empty
    with pytest.raises(ValueError, match="between 0 and 1"):
        decide([], confidence=1.0)


@pytest.mark.parametrize(
    ("seeds", "words"),
    [(1, "this_network"), (2, "these_networks"), (4, "these_networks"), (5, "networks_like_these")],
)
def test_whose_networks(seeds: int, words: str) -> None:
    assert only(comparison(0.5, seeds=seeds))["networks"] == words


@given(
    st.lists(
        st.tuples(st.floats(-0.3, 0.3), st.sampled_from([0.0, 0.01, 0.05]), st.sampled_from([5, 19, 20, 100])),
        min_size=1,
        max_size=12,
    )
)
def test_states_of_random_families(effects: list[tuple[float, float, int]]) -> None:
    comparisons = [
        replace(comparison(value, error=error, n=n), method=f"method_{k // 2}", against=str(k % 2))
        for k, (value, error, n) in enumerate(effects)
    ]
    table = decide(comparisons).set_index("method")
    for method, row in table.iterrows():
        own = [one for one in comparisons if one.method == method]
        if row["state"] == "passes":
            assert all(one.effect.estimate > EVIDENCE.margin_pass and one.n_positive >= 20 for one in own)
            assert row["p_pass_holm"] <= 0.025
        if row["state"] == "fails":
            assert any(one.effect.estimate < EVIDENCE.margin_fail and one.n_positive >= 20 for one in own)
        if all(one.n_positive < 20 for one in own):
            assert (row["state"], row["why"]) == ("cannot_tell", "few_patients")
        if row["state"] != "not_measured":
            assert row["effect"] in [float(one.effect.estimate) for one in own]
