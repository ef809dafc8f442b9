"""This module says what the verdicts say, in sentences that are made from states and numbers alone."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd

from ecg_lightning.data.targets import known_info
from ecg_lightning.plotting.class_words import class_name, kind_word
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import number
from ecg_lightning.report.claims import (
    CANNOT_TELL,
    CHECKS,
    CLAIMS,
    EXPLAINING,
    FAILS,
    NOT_MEASURED,
    PASSES,
    check_states,
    explaining,
)
from ecg_lightning.runs.study_runs import records
from ecg_lightning.verdicts.checks import check_named
from ecg_lightning.verdicts.levels import SOME_FALSE_PASS, SOME_FALSE_PASS_OF_MANY
from ecg_lightning.verdicts.words import claim_words, networks_words

_ECG: Final = "absolute_input"
_PATIENT: Final = "is_about_this_patient"
_FEW_SEEDS, _MANY_PATIENTS = 5, 100


def headline(verdicts: pd.DataFrame) -> str:
    """Answer over all diagnoses: where a method's maps count as an explanation, and how much is decided."""
    of_methods = _of_methods(verdicts)
    if not len(of_methods) or (of_methods["state"] == NOT_MEASURED).all():
        return short_answer(verdicts)
    explanations = explaining(of_methods)
    named = "; ".join(
        f"{class_name(target)}: {methods_in_words(explanations[explanations['target'] == target])}"
        for target in dict.fromkeys(explanations["target"])
    )
    return " ".join([short_answer(verdicts), *([f"{named}."] if named else []), counts_in_words(of_methods)])


def short_answer(verdicts: pd.DataFrame) -> str:
    """Say on how many diagnoses any method's maps count as an explanation."""
    of_methods = _of_methods(verdicts)
    if not _is_measured(of_methods):
        return (
            "No check was measured with both of its claims, so nothing is known of these maps: the audits were left "
            "out, or an earlier version made them."
        )
    yes, total = explaining(of_methods)["target"].nunique(), of_methods["target"].nunique()
    kinds = kind_word(of_methods["target"].unique())
    if total == 1:
        return f"{'Some' if yes else 'No'} method's maps count as an explanation of the networks' answers."
    if not yes:
        return f"No method's maps count as an explanation of the networks' answers on any of {total} {kinds}."
    return f"On {yes} of {total} {kinds} some method's maps count as an explanation of the networks' answers."


def _of_methods(verdicts: pd.DataFrame) -> pd.DataFrame:
    return verdicts[~verdicts["control"].astype(bool)] if len(verdicts) else verdicts


def _is_measured(verdicts: pd.DataFrame) -> bool:
    """Return whether any check that can make an explanation was measured."""
    states = check_states(verdicts)
    return bool((states["check"].isin(EXPLAINING) & (states["state"] != NOT_MEASURED)).any())


def methods_in_words(explanations: pd.DataFrame) -> str:
    """List methods such as ``Saliency (localisation, perturbation), IG (perturbation)``."""
    parts = explanations.groupby("method", sort=False)["check"].agg(list).items()
    return ", ".join(
        f"{method_style(str(method)).label} ({', '.join(CHECKS[check].lower() for check in checks)})"
        for method, checks in parts
    )


def counts_in_words(verdicts: pd.DataFrame) -> str:
    """Say how many verdicts pass, fail and are open."""
    count = {state: int((verdicts["state"] == state).sum()) for state in (PASSES, FAILS, CANNOT_TELL, NOT_MEASURED)}
    total, kinds = sum(count[state] for state in (PASSES, FAILS, CANNOT_TELL)), kind_word(verdicts["target"].unique())
    verbs = [f"{count[state]} {singular if count[state] == 1 else plural}"
             for state, singular, plural in ((PASSES, "passes", "pass"), (FAILS, "fails", "fail"))]  # fmt: skip
    words = (
        f"Of {total} verdicts (methods, {kinds} and claims) {', '.join(verbs)}, and {count[CANNOT_TELL]} can't be told "
        "with these patients and networks"
    )
    return f"{words}; {count[NOT_MEASURED]} more were not measured." if count[NOT_MEASURED] else f"{words}."


def answer(verdicts: pd.DataFrame, target: str) -> str:
    """Say what can be said of one diagnosis, for a physician."""
    of_methods = verdicts[(verdicts["target"] == target) & ~verdicts["control"].astype(bool)]
    states = check_states(of_methods)
    states = states[states["check"].isin(EXPLAINING) & (states["state"] != NOT_MEASURED)]
    if states.empty:
        return "No check was measured with both of its claims: nothing can be said of these maps."
    explanations = explaining(of_methods)
    first = (
        f"These maps count as an explanation: {methods_in_words(explanations)}."
        if len(explanations)
        else "No method's maps count as an explanation."
    )
    rest = []
    for check in EXPLAINING:
        of_check = states[states["check"] == check]["state"]
        if len(of_check):
            rest.append(
                f"{CHECKS[check]}: {_count(of_check, PASSES, 'passes')} both claims, "
                f"{_count(of_check, FAILS, 'fails')} one, {(of_check == CANNOT_TELL).sum()} can't be told"
            )
    return " ".join([first, *(f"{words}." for words in rest)])


def _count(states: "pd.Series[str]", state: str, verb: str) -> str:
    """Such as ``1 of 12 methods passes`` of passes, and ``3 fail`` of the rest."""
    count = int((states == state).sum())
    word = verb if count == 1 else {"passes": "pass", "fails": "fail"}[verb]
    return f"{count} of {len(states)} methods {word}" if state == PASSES else f"{count} {word}"


def who_counts(verdicts: pd.DataFrame, target: str) -> str:
    """Say which patients, ECGs and networks are behind each check of a diagnosis, and for which networks it speaks."""
    measured = verdicts[(verdicts["target"] == target) & (verdicts["state"] != NOT_MEASURED)]
    if measured.empty:
        return "Nothing was measured."
    words: dict[str, list[str]] = {}
    for check, part in measured.groupby("check", sort=False):
        words.setdefault(_patients_of(part), []).append(CHECKS[str(check)].lower())
    if len(words) == 1:
        text = next(iter(words))
    else:
        text = "; ".join(f"{', '.join(checks)}: {counted}" for counted, checks in words.items())
    return f"{text[0].upper()}{text[1:]}. {networks_in_words(measured)}"


def networks_in_words(verdicts: pd.DataFrame) -> str:
    """Say for which networks the verdicts hold; empty where there are none."""
    measured = verdicts[verdicts["state"] != NOT_MEASURED]
    words = dict.fromkeys(networks_words(row) for row in records(measured.drop_duplicates(["networks", "n_seeds"])))
    if not words:
        return ""
    one_seed = bool((measured["n_seeds"] == 1).all())
    open_question = " Whether another training would give the same maps needs a second seed." if one_seed else ""
    return f"The verdicts hold for {' or '.join(words)}.{open_question}"


def _patients_of(part: pd.DataFrame) -> str:
    def span(column: str) -> str:
        low, high = int(part[column].min()), int(part[column].max())
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    words = f"{span('n_patients')} {'patient' if span('n_patients') == '1' else 'patients'}"
    if any(known_info(target).kind == "binary" for target in part["target"].unique()):
        words += " with the diagnosis"
    if part["n_patients_without"].any():
        words += f" and {span('n_patients_without')} without it"
    words += f", {span('n_ecgs')} ECGs"
    left_out = int(part["n_left_out"].max())
    return f"{words} (up to {left_out} left out, whose maps or scores are undefined)" if left_out else words


def families(verdicts: pd.DataFrame) -> list[list[str]]:
    """Say what a pass means: a row for every claim that was measured.

    Returns:
        Check and claim; how many tests share an error rate; how often one test passes falsely; how often any of them.
    """
    measured = verdicts[(verdicts["state"] != NOT_MEASURED) & ~verdicts["control"].astype(bool)]
    rows = []
    for check, claim in CLAIMS:
        part = measured[(measured["check"] == check) & (measured["claim"] == claim)]
        if len(part):
            kinds = {known_info(target).kind for target in part["target"].unique()}
            rates = check_named(check).rates(kinds)
            rows.append(
                [
                    f"{CHECKS[check]}: {claim_words(claim)}",
                    _family_words(part),
                    f"up to {rates.symmetric:.1%}, with long tails {rates.long_tail:.1%}" if rates else "not simulated",
                    f"up to {SOME_FALSE_PASS_OF_MANY if _has_few_seeds(part) else SOME_FALSE_PASS:.1%}",
                ]
            )
    return rows


def _family_words(part: pd.DataFrame) -> str:
    methods, targets = part["method"].nunique(), part["target"].nunique()
    return (
        f"{int(part['family'].max())} tests ({methods} {'method' if methods == 1 else 'methods'} x {targets} "
        f"{kind_word(part['target'].unique(), targets)})"
    )


def _has_few_seeds(part: pd.DataFrame) -> bool:
    """Return whether there are so few networks for so many patients that the adjustment does not hold its level."""
    return bool((part["n_seeds"].between(2, _FEW_SEEDS - 1) & (part["n_patients"] > _MANY_PATIENTS)).any())


def no_further_than_the_ecg(verdicts: pd.DataFrame, target: str) -> Iterator[str]:
    """Yield methods whose distance to another patient's map is at most that of |ECG|, which sees no network."""
    of_claim = verdicts[(verdicts["target"] == target) & (verdicts["claim"] == _PATIENT) & verdicts["effect"].notna()]
    for check in EXPLAINING:
        part = of_claim[of_claim["check"] == check].set_index("method")
        if _ECG not in part.index:
            continue
        limit = float(part["effect"][_ECG])
        near = part[~part["control"].astype(bool) & (part["effect"] <= limit)]
        if len(near):
            named = ", ".join(
                f"{method_style(str(method)).label} ({signed(effect)})" for method, effect in near["effect"].items()
            )
            yield (
                f"{CHECKS[check]}: |ECG|, which knows no network, has {signed(limit)} over another patient's |ECG|. No "
                f"more over another patient's map: {named}."
            )


def controls_in_words(verdicts: pd.DataFrame, target: str) -> str:
    """Say which claims each control passes."""
    of_controls = verdicts[
        (verdicts["target"] == target) & verdicts["control"].astype(bool) & (verdicts["state"] == PASSES)
    ]
    if not verdicts["control"].astype(bool).any():
        return "The study has no controls."
    if of_controls.empty:
        return "No control passes any claim."
    passed = [
        f"{method_style(str(method)).label} passes {'; '.join(_claims(part))}"
        for method, part in of_controls.groupby("method", sort=False)
    ]
    return (
        f"Controls know nothing of the network, so that a claim they pass is no merit by itself: {'. '.join(passed)}."
    )


def _claims(part: pd.DataFrame) -> Sequence[str]:
    return [f"{CHECKS[row['check']].lower()}, {claim_words(row['claim'])}" for row in records(part)]


def signed(value: float) -> str:
    """Write a difference with its sign."""
    text = number(value)
    return f"+{text}" if np.sign(round(value, 2)) > 0 else text
