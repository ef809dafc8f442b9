"""Verdicts in words, made from the rows of the verdicts table so that they cannot contradict it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from ecg_lightning.data.targets import known_info
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.statistics.effect import MIN_PATIENTS
from ecg_lightning.verdicts.checks import check_named

VerdictRow = Mapping[str, Any] | pd.Series
"""A row of the verdicts table."""

STATE_WORDS: Final[Mapping[str, str]] = {
    "passes": "passes",
    "fails": "fails",
    "cannot_tell": "can't tell",
    "not_measured": "not measured",
}

CLAIM_WORDS: Final[Mapping[str, str]] = {
    "uses_the_network": "uses the network",
    "is_about_this_patient": "is about this patient",
    "needs_the_weights": "needs the trained weights",
    "seeds_agree": "networks of other seeds agree",
}

_AGAINST: Final[Mapping[str, str]] = {
    "other_ecg": "the method's own map of another patient",
    "mean_map": "the mean of the other patients' maps",
    "random": "a random map",
    "smoothed_random": "a smoothed random map",
}


def state_word(state: str) -> str:
    """State the verdict of a cell in words: passes, fails, can't tell, not measured."""
    return STATE_WORDS[state]


def claim_words(claim: str) -> str:
    """State a claim in words, for a heading: "uses the network"."""
    return CLAIM_WORDS.get(claim, claim.replace("_", " "))


def against_words(against: str) -> str:
    """Say what a map is compared with, such as "|ECG|" or "a random map"."""
    return _AGAINST.get(against) or method_style(against).label


def networks_words(row: VerdictRow) -> str:
    """Say which networks a verdict is about: "this network", "these 3 networks", "networks trained like these 5"."""
    n_seeds = int(row["n_seeds"])
    if row["networks"] == "networks_like_these":
        return f"networks trained like these {n_seeds}"
    return f"these {n_seeds} networks" if row["networks"] == "these_networks" else "this network"


def patients_words(row: VerdictRow) -> str:
    """Say how many patients there are: "24 patients with the diagnosis and 30 without it"."""
    n, without = int(row["n_patients"]), int(row["n_patients_without"])
    words = f"{n} patient{'' if n == 1 else 's'}"
    if known_info(row["target"]).kind == "regression":
        return words
    words += " with the diagnosis"
    return f"{words} and {without} without it" if without else words


def number_words(value: float) -> str:
    """Write two decimals, three where two would show 0."""
    text = f"{value:.2f}"
    if float(text) == 0 and value != 0:
        text = f"{value:.3f}"
    return text.removeprefix("-") if float(text) == 0 else text


def interval_words(row: VerdictRow) -> str:
    """Write an interval in words, as in "95 % interval 0.03 to 0.13"; empty where there is none."""
    if not np.isfinite([row["low"], row["high"]]).all():
        return ""
    level = f"{100 * row['confidence']:g} %"
    return f"{level} interval {number_words(row['low'])} to {number_words(row['high'])}"


def why_words(row: VerdictRow) -> str:
    """Say why it can't be decided, or what a failure means; empty for a pass and for what was not measured."""
    if row["state"] == "cannot_tell":
        return _why_undecided(row)
    if row["state"] != "fails":
        return ""
    if row["against"] == row["method"]:
        return "it is this control, which knows nothing of the network"
    if row["why"] == "no_variance":
        return "it is the same for every patient"
    beyond = 1 if row["side"] == "above" else -1
    if beyond * row["effect"] > beyond * row["margin_pass"]:
        return f"more than nothing, and less than the {number_words(row['margin_fail'])} that would matter"
    return f"a pass lies {row['side']} {number_words(row['margin_pass'])}"


def sentence(row: VerdictRow) -> str:
    """Say what was found, on how many patients and networks, and what follows from it.

    Args:
        row: Row of the verdicts table.

    Returns:
        Such as "Its AUROC against the evidence is 0.08 above that of |ECG| (95 % interval 0.03 to 0.13; 24 patients
        with the diagnosis; these 3 networks): passes."
    """
    state, why = state_word(row["state"]), why_words(row)
    if row["state"] == "not_measured":
        return "It was not measured."
    facts = "; ".join(part for part in (interval_words(row), patients_words(row), networks_words(row)) if part)
    return f"{_effect_words(row)} ({facts}): {state}{f', {why}' if why else ''}."


def counts_words(states: Iterable[str]) -> str:
    """Say how many claims are in each state: "passes 1 of 5 claims, fails 2, can't tell 2"."""
    counts = pd.Series(list(states), dtype="str").value_counts()
    decided = int(counts.sum() - counts.get("not_measured", 0))
    if not decided:
        return "nothing was measured"
    parts = [f"passes {counts.get('passes', 0)} of {decided} claim{'' if decided == 1 else 's'}"]
    parts += [f"{STATE_WORDS[state]} {counts[state]}" for state in ("fails", "cannot_tell") if counts.get(state, 0)]
    return ", ".join(parts)


def _effect_words(row: VerdictRow) -> str:
    """The effect in words."""
    check, effect = check_named(row["check"]), row["effect"]
    known = (margin.found for margin in check.margins if margin.score == row["score"])
    begins = next(known, "") or check.found or f"The {row['score'].replace('_', ' ')} is"
    if check.above:
        against = against_words(row["against"])
        if not np.isfinite(effect):
            return f"{begins} not comparable with that of {against}"
        size, unit = number_words(abs(effect)), " SD" if str(row["unit"]).startswith("SD ") else ""
        if float(size) == 0:
            return f"{begins} the same as that of {against}, difference {size}{unit}"
        return f"{begins} {size}{unit} {check.above if effect > 0 else check.below} {against}"
    return f"{begins} {number_words(effect) if np.isfinite(effect) else 'an unknown amount'}"


def _why_undecided(row: VerdictRow) -> str:
    if row["why"] == "few_patients":
        any_label = check_named(row["check"]).any_label or known_info(row["target"]).kind == "regression"
        return f"fewer than {MIN_PATIENTS} patients{'' if any_label else ' with the diagnosis'}"
    if row["why"] == "few_patients_without":
        return f"fewer than {MIN_PATIENTS} patients without the diagnosis"
    if row["why"] == "no_variance":
        return "the difference is the same for every patient, so that there is nothing to test"
    if row["why"] == "undefined":
        if check_named(row["check"]).compares_seeds and np.isfinite(row["effect"]) and int(row["n_seeds"]) < 3:
            return "two networks make one pair, which tells nothing of other networks"
        return str(row["reason"]) or "the effect or its interval is undefined"
    tests = int(row["family"])
    among = f" among {tests} tests" if tests > 1 else ""
    return f"neither a pass nor a failure is certain enough{among}"
