"""Sentences never contradict their row."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from comparisons import comparison
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg_lightning.verdicts.checks import Margin, margins, margins_of
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.decide import Claim, decide
from ecg_lightning.verdicts.words import (
    STATE_WORDS,
    counts_words,
    networks_words,
    number_words,
    sentence,
    state_word,
    why_words,
)


def row_of(*comparisons: Comparison) -> pd.Series:
    return decide(comparisons).iloc[0]


def test_a_sentence_as_the_report_shows_it() -> None:
    assert sentence(row_of(comparison(0.08, n=24, n_negative=0))) == (
        "Its AUROC against the evidence is 0.08 above that of |ECG| (95 % interval 0.04 to 0.12; 24 patients with the "
        "diagnosis; these 3 networks): passes."
    )
    few = row_of(comparison(0.08, n=11, n_negative=0, seeds=1))
    assert sentence(few) == (
        "Its AUROC against the evidence is 0.08 above that of |ECG| (11 patients with the diagnosis; this network): "
        "can't tell, fewer than 20 patients with the diagnosis."
    )
    (asked,) = decide([], requested=[Claim("localization", "uses_the_network", "x", "gradcam")]).to_dict("records")
    assert sentence(asked) == "It was not measured."


def test_a_small_effect_that_is_sure_fails_and_is_told_why() -> None:
    row = row_of(comparison(0.015, error=0.003))
    assert why_words(row) == "more than nothing, and less than the 0.03 that would matter"
    assert why_words(row_of(comparison(0.0, error=0.0))) == "it is the same for every patient"
    assert why_words(row_of(comparison(-0.2))) == "a pass lies above 0.00"


def test_better_infidelity_is_lower() -> None:
    margin = margins_of("faithfulness", "is_about_this_patient")[0]
    for effect, word in ((0.2, "better"), (-0.2, "worse")):
        words = sentence(row_of(comparison(effect, margin, against="other_ecg")))
        assert words.startswith(f"Its infidelity is 0.20 {word} than that of the method's own map of another patient")


@pytest.mark.parametrize(
    ("seeds", "words"), [(1, "this network"), (3, "these 3 networks"), (5, "networks trained like these 5")]
)
def test_whose_networks(seeds: int, words: str) -> None:
    assert networks_words(row_of(comparison(0.1, seeds=seeds))) == words


def test_counts() -> None:
    states = ["passes", "fails", "fails", "cannot_tell", "cannot_tell"]
    assert counts_words(states) == "passes 1 of 5 claims, fails 2, can't tell 2"
    assert counts_words(["passes", "not_measured"]) == "passes 1 of 1 claim"
    assert counts_words(["not_measured"]) == "nothing was measured"


@given(st.floats(-2, 2))
def test_numbers_are_the_rows(value: float) -> None:
    shown = float(number_words(value))
    assert shown == pytest.approx(value, abs=0.0051)
    assert shown == 0 or np.sign(shown) == np.sign(value)
    assert number_words(value) != "-0.00"


COMPARISONS = st.builds(
    lambda estimate, margin, error, n, seeds, against, undefined: replace(
        comparison(estimate, margin, error=error, n=n, seeds=seeds, against=against), undefined=undefined
    ),
    st.one_of(st.just(np.nan), st.floats(-0.5, 1.0)),
    st.sampled_from(margins()),
    st.sampled_from([0.0, 1e-4, 0.02, 0.2, np.nan]),
    st.sampled_from([0, 3, 19, 20, 24, 250]),
    st.sampled_from([1, 2, 3, 5]),
    st.sampled_from(["random", "absolute_input", "other_ecg", "mean_map"]),
    st.sampled_from(["", "all of its maps are constant"]),
)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(COMPARISONS, min_size=1, max_size=6))
def test_no_sentence_contradicts_its_row(comparisons: list[Comparison]) -> None:
    for row in decide(comparisons).to_dict("records"):
        words = sentence(row)
        found, _, verdict = words.rpartition("): ")
        others = [word for state, word in STATE_WORDS.items() if state != row["state"]]
        assert re.match(rf"{state_word(row['state'])}\b", verdict)
        assert not any(re.search(rf"\b{word}\b", verdict) for word in others)
        assert "nan" not in words.lower()
        assert f"{row['n_patients']} patient" in found
        assert networks_words(row) in found
        assert ("interval" in found) == np.isfinite(row["low"])
        _check_effect(row, found)


def _check_effect(row: dict[str, object], found: str) -> None:
    effect = float(row["effect"])
    if not np.isfinite(effect):
        assert "not comparable" in found or "unknown" in found
        return
    shown = number_words(abs(effect))
    assert re.search(rf"(?<![\d.]){re.escape(shown)}(?!\d)", found)
    signed = {"above that": 1, "better than": 1, "below that": -1, "worse than": -1}
    told = [sign for text, sign in signed.items() if text in found]
    assert told in ([], [int(np.sign(effect))])
    margin = Margin(*(row[key] for key in ("check", "claim", "score", "unit", "side", "margin_pass", "margin_fail")))
    beyond = 1 if margin.side == "above" else -1
    if row["state"] == "passes":
        assert beyond * effect > beyond * margin.margin_pass
    if row["state"] == "fails":
        assert beyond * effect < beyond * margin.margin_fail or row["why"] == "no_variance"
