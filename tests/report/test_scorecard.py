"""The scorecard says what the verdicts are: no word or number of it contradicts their table."""

import re
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from verdict_rows import TARGETS, random_verdicts

from ecg_lightning.method_names import METHOD_NAMES
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Cell
from ecg_lightning.report.claims import CHECKS, CLAIMS, MARKS, check_states, explaining
from ecg_lightning.report.scorecard_table import diagnosis_table, effect_text, summary_cell, summary_table, verdict_cell
from ecg_lightning.report.scorecard_words import (
    answer,
    controls_in_words,
    families,
    headline,
    no_further_than_the_ecg,
    short_answer,
    who_counts,
)
from ecg_lightning.report.verdict_tables import completed
from ecg_lightning.verdicts.checks import margins
from ecg_lightning.verdicts.words import state_word


@cache
def decided(seed: int) -> pd.DataFrame:
    """A study's verdicts: one to three diagnoses, one to four methods, one to ten networks, more or less measured."""
    methods, targets = METHOD_NAMES[: 1 + seed % 4], TARGETS[: 1 + seed % 3]
    n_seeds, missing = (1, 2, 3, 5, 10)[seed % 5], (0.0, 0.2, 0.9)[seed % 3 - seed % 2]
    return completed(
        random_verdicts(seed, methods, targets=targets, n_seeds=n_seeds, missing=missing), targets, methods
    )


TABLES = st.builds(decided, st.integers(0, 11))


def passed_together(verdicts: pd.DataFrame) -> set[tuple[str, str, str]]:
    """(target, method, check) of explanations, found the slow way."""
    own = verdicts[~verdicts["control"]]
    return {
        (str(target), str(method), str(check))
        for (target, method, check), part in own.groupby(["target", "method", "check"])
        if check in ("localization", "perturbation", "faithfulness") and list(part["state"]) == ["passes", "passes"]
    }


def test_every_margin_has_a_column() -> None:
    assert list(dict.fromkeys((one.check, one.claim) for one in margins())) == list(CLAIMS)


@settings(max_examples=12, deadline=None)
@given(TABLES)
def test_words_never_contradict_the_states(verdicts: pd.DataFrame) -> None:
    found = passed_together(verdicts)
    assert set(explaining(verdicts).itertuples(index=False, name=None)) == found
    text = headline(verdicts)
    named = {
        (target, method, check)
        for target in TARGETS
        for sentence in re.findall(rf"{re.escape(class_name(target))}: ([^;.]*)", text)
        for label, checks in re.findall(r"(?:^|, )([^()]+?) \(([^)]*)\)", sentence)
        for method in METHOD_NAMES
        if method_style(method).label == label
        for check in CHECKS
        if CHECKS[check].lower() in checks.split(", ")
    }
    assert named == found
    own = verdicts[~verdicts["control"]]
    for state, pattern in (
        ("passes", r"(\d+) pass"),
        ("fails", r"(\d+) fail"),
        ("cannot_tell", r"(\d+) can't be told"),
    ):
        if told := re.search(pattern, text):
            assert int(told.group(1)) == (own["state"] == state).sum()
    targets = {target for target, *_ in found}
    short = short_answer(verdicts)
    assert short.startswith(("No ", "Not")) == (not targets)
    if targets and own["target"].nunique() > 1:
        assert short.startswith(f"On {len(targets)} of {own['target'].nunique()} diagnoses")
    for target in own["target"].unique():
        words = answer(verdicts, target)
        assert ("These maps count as an explanation" in words) == (target in targets)


@settings(max_examples=12, deadline=None)
@given(TABLES)
def test_cells_show_state_by_mark_and_word_and_the_effect_it_follows_from(verdicts: pd.DataFrame) -> None:
    for row in verdicts.to_dict("records"):
        cell = verdict_cell(row)
        mark, kind = MARKS[row["state"]]
        shown = f"{cell.text} {cell.detail}".replace("\N{NO-BREAK SPACE}", " ")
        assert f"{mark} {state_word(row['state'])}" in shown
        assert cell.kind == kind
        assert (cell.kind == "bad") == (row["state"] == "fails")  # a lack of evidence is never red
        assert "nan" not in f"{shown} {cell.title}".lower()
        if row["why"] in ("few_patients", "few_patients_without"):
            assert " to " not in cell.text
        if numbers := re.findall(r"[−+]?\d+\.\d+", cell.text):  # noqa: RUF001 (the page's minus sign)
            effect, *ends = (float(text.replace("\N{MINUS SIGN}", "-")) for text in numbers)
            assert effect == pytest.approx(row["effect"], abs=0.0051)
            for end, value in zip(ends, (row["low"], row["high"]), strict=False):
                assert np.sign(end - row["margin_pass"]) == np.sign(round(value - row["margin_pass"], 4))


@settings(max_examples=12, deadline=None)
@given(TABLES)
def test_tables_and_notes_hold_no_missing_number(verdicts: pd.DataFrame) -> None:
    texts = [text for row in families(verdicts) for text in row]
    for target in verdicts["target"].unique():
        table = diagnosis_table(verdicts, target, who_counts(verdicts, target), [])
        assert all(len(row) == len(table.head) == len(table.labels) for row in table.rows)
        texts += [table.caption, controls_in_words(verdicts, target), *no_further_than_the_ecg(verdicts, target)]
        texts += [str(cell) for row in table.cells() for cell in row]
    texts += [f"{cell.text} {cell.detail}" for row in summary_table(verdicts, "", []).cells() for cell in row]
    assert not [text for text in texts if re.search(r"\bnan\b|None", text)]


@settings(max_examples=12, deadline=None)
@given(TABLES)
def test_the_summary_counts_diagnoses(verdicts: pd.DataFrame) -> None:
    states = check_states(verdicts)
    targets = verdicts["target"].nunique()
    for row in summary_table(verdicts, "", []).cells():
        method = next(m for m in states["method"].unique() if method_style(m).label == row[0].text)
        assert (row[0].detail == "control") == method_style(method).control
        for check, cell in zip(CHECKS, row[1:], strict=True):
            own = states[(states["method"] == method) & (states["check"] == check)]["state"]
            decided = int(own.isin(["passes", "fails"]).sum())
            if (own == "not_measured").all():
                assert "not measured" in cell.text
                continue
            assert f"{decided} of {targets} diagnoses decided" in cell.detail
            for state, verb in (("passes", "pass"), ("fails", "fail")):
                told = re.search(rf"(\d+) {verb}", cell.text)
                assert int(told.group(1) if told else 0) == (own == state).sum()


def test_two_of_three_diagnoses_decided() -> None:
    assert summary_cell(["passes", "cannot_tell", "fails"]) == Cell(
        "\N{CHECK MARK} 1 passes, \N{MULTIPLICATION SIGN} 1 fails", "mixed", "", "2 of 3 diagnoses decided"
    )
    assert summary_cell(["cannot_tell"] * 3).kind == "open"


def test_a_check_of_two_claims_passes_only_where_both_do() -> None:
    keys = {"target": "t", "method": "saliency", "control": False, "check": "perturbation"}

    def joined(*states: str) -> str:
        return check_states(pd.DataFrame([keys | {"state": state} for state in states]))["state"].item()

    assert joined("passes", "passes") == "passes"
    assert joined("passes", "cannot_tell") == "cannot_tell"
    assert joined("passes", "fails") == joined("not_measured", "fails") == "fails"
    assert joined("passes", "not_measured") == "not_measured"


def test_an_end_that_is_off_the_margin_is_not_rounded_onto_it() -> None:
    row = {
        "claim": "uses_the_network",
        "effect": 0.02,
        "low": 0.001,
        "high": 0.029,
        "margin_pass": 0,
        "margin_fail": 0.03,
    }
    assert effect_text(row).replace("\N{NO-BREAK SPACE}", " ") == "+0.020 (0.001 to 0.029)"
    wide = row | {"effect": 0.08, "low": 0.03001, "high": 0.13, "claim": "needs_the_weights"}
    assert effect_text(wide).startswith("0.0800 (0.0300")


def test_a_map_no_further_from_another_patient_s_than_the_ecg_is_told_so() -> None:
    keys = {"target": "t", "check": "perturbation", "claim": "is_about_this_patient", "state": "passes"}
    rows = [("saliency", False, 0.25), ("smoothgrad", False, 0.03), ("absolute_input", True, 0.09)]
    table = pd.DataFrame([keys | {"method": m, "control": c, "effect": e} for m, c, e in rows])
    (words,) = no_further_than_the_ecg(table, "t")
    assert words.startswith("Perturbation: |ECG|, which knows no network, has +0.09")
    assert words.endswith("SmoothGrad (+0.03).")


def test_what_was_not_measured_stays_in_the_table() -> None:
    table = completed(pd.DataFrame(), TARGETS[:1], ["saliency"])
    assert len(table) == len(CLAIMS)
    assert set(table["state"]) == {"not_measured"}
    assert "nothing is known" in headline(table)
    assert who_counts(table, TARGETS[0]) == "Nothing was measured."
