"""The scorecard: which sanity checks each method passes on each diagnosis, with the reason in words."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.blocks import Block, Cell, Items, Paragraph, ReportFiles, Section, TableBlock, number
from ecg_lightning.report.runs import StudyRuns, records

CONSISTENT: Final = 0.7
"""Self-consistency that counts as agreement: half of the variance of one seed's map is shared with another's."""

RELIABLE: Final = 0.98
"""Reliability of a map whose correlation with its converged self is .99."""

CHECKS: Final = {
    "safe": "Safe here",
    "reliable": "Converged",
    "consistent": "Seeds agree",
    "passes_cascade": "Needs the weights",
    "beats_controls": "Marks what counts",
    "localises": "Finds evidence",
}
"""Column -> what a person reads."""

_MEANING: Final = {  # NEAR_ZERO: as the runs had it
    "safe": "the linter found no structure in the network that makes the method wrong",
    "reliable": f"reliability of the map at least {RELIABLE} (deterministic maps are exact)",
    "consistent": f"mean Pearson correlation between seeds, lower end of its interval at least {CONSISTENT}",
    "passes_cascade": "with every layer random, the upper end of the interval of its similarity is below NEAR_ZERO",
    "beats_controls": "area between the perturbation curves above that of the best control (Holm)",
    "localises": "AUROC against the causal evidence above that of the best control (Holm)",
}
_AUDITED: Final = ("passes_cascade", "beats_controls", "localises")
_NOT_PASSED: Final = ("failed", "some")
_STATES: Final = {
    "passed": ("\N{CHECK MARK}", "good"),
    "some": ("\N{ALMOST EQUAL TO}", "mixed"),
    "failed": ("\N{MULTIPLICATION SIGN}", "bad"),
}


def scorecard_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """One table over all diagnoses, and one for each."""
    table = scorecard(runs)
    saved = files.table("scorecard", table)
    blocks: list[Block] = [Paragraph(headline(table)), overall_table(table, saved)]
    blocks.append(
        Paragraph(
            "\N{CHECK MARK} passed in every network, \N{ALMOST EQUAL TO} in some, \N{MULTIPLICATION SIGN} in none, "
            "\N{EN DASH} not measured. "
            + "; ".join(f"{CHECKS[name]}: {meaning}" for name, meaning in _MEANING.items()).replace(
                "NEAR_ZERO", near_zero_words(runs.tables("audit"))
            )
            + ".",
            "note",
        )
    )
    details = {
        class_name(target): _of_target(part, str(target), saved) for target, part in table.groupby("target", sort=False)
    }
    return Section("scorecard", "Scorecard: which methods can be trusted?", blocks, details)


def scorecard(runs: StudyRuns) -> pd.DataFrame:
    """One row a target, method and check.

    Returns:
        ``target, method, control, check, passed`` (networks that pass), ``measured`` (networks), ``state`` (``passed``,
        ``some``, ``failed`` or empty), ``value`` (the number that decides, mean over networks) and ``reason``.
    """
    audit, consistency = runs.tables("audit"), runs.study_table("self_consistency")
    rows: list[dict[str, Any]] = []
    for target in runs.targets:
        own = audit[audit["target"] == target] if not audit.empty else audit
        names = list(dict.fromkeys([*runs.methods, *(own["method"] if not own.empty else ())]))
        for method in names:
            of_method = own[own["method"] == method] if not own.empty else own
            for check in CHECKS:
                found = _check(check, of_method, consistency, target, method)
                rows.append(
                    {
                        "target": target,
                        "method": method,
                        "control": method_style(method).control,
                        "check": check,
                        **found,
                    }
                )
    return pd.DataFrame(rows)


def _check(check: str, audit: pd.DataFrame, consistency: pd.DataFrame, target: str, method: str) -> dict[str, Any]:
    if check == "consistent":
        return _consistent(consistency, target, method)
    readers: Mapping[str, tuple[str, Callable[[pd.Series[Any]], pd.Series[Any]], str]] = {
        "safe": ("lint", lambda verdict: verdict == "safe", "lint"),
        "reliable": ("reliability", lambda value: value >= RELIABLE, "reliability"),
        "passes_cascade": ("passes_cascade", lambda value: value.astype(bool), "cascade_similarity"),
        "beats_controls": ("beats_controls", lambda value: value.astype(bool), "abpc_difference"),
        "localises": ("localises", lambda value: value.astype(bool), "evidence_auroc"),
    }
    column, passes, number_of = readers[check]
    if audit.empty or column not in audit:
        return _result(0, 0, np.nan, "not measured")
    known = audit[audit[column].notna()]
    passed = int(passes(known[column]).sum()) if len(known) else 0
    value = float(known[number_of].mean()) if len(known) and number_of in known and number_of != "lint" else np.nan
    if not len(known):
        exact = check == "reliable" and not audit.empty and not method_style(method).control
        return (
            _result(len(audit), len(audit), np.nan, "exact: no draws")
            if exact
            else _result(0, 0, np.nan, "not measured")
        )
    return _result(passed, len(known), value, _reason(check, value, passed, len(known)))


def _consistent(consistency: pd.DataFrame, target: str, method: str) -> dict[str, Any]:
    if consistency.empty:
        return _result(0, 0, np.nan, "one seed only, or not compared")
    chosen = consistency[
        (consistency["target"] == target)
        & (consistency["method"] == method)
        & (consistency["statistic"] == "pearson")
        & (consistency["sign"] == "native")
    ].dropna(subset=["mean"])
    if chosen.empty:
        return _result(0, 0, np.nan, "not measured")
    row = chosen.iloc[0]
    low = row["low"] if np.isfinite(row["low"]) else row["mean"]
    reason = f"{number(row['mean'])} (interval from {number(low)})"
    return _result(int(low >= CONSISTENT), 1, float(row["mean"]), reason)


def _reason(check: str, value: float, passed: int, measured: int) -> str:
    words = {
        "safe": "the linter's verdict",
        "reliable": f"reliability {number(value, 3)}",
        "passes_cascade": f"similarity {number(value)} is left when every layer is random",
        "beats_controls": f"ABPC above that of the best control: {number(value, 3)}",
        "localises": f"AUROC {number(value)} against the evidence, not above the best control",
    }[check]
    return words if passed in (0, measured) else f"{words} (mean; {passed} of {measured} networks pass)"


def _result(passed: int, measured: int, value: float, reason: str) -> dict[str, Any]:
    state = "" if not measured else "passed" if passed == measured else "some" if passed else "failed"
    return {"passed": passed, "measured": measured, "state": state, "value": value, "reason": reason}


def near_zero_words(audit: pd.DataFrame) -> str:
    """The bound below which a map counts as forgotten, as the runs' ``AuditSummary`` had it.

    Args:
        audit: ``tables/audit.parquet`` of every run, with ``target`` and ``seed``.

    Returns:
        Such as ``0.2``; where the networks' bounds differ, how many had which.
    """
    decided = audit[audit["passes_cascade"].notna()] if "passes_cascade" in audit else audit.head(0)
    if decided.empty:
        return "`near_zero` of AuditSummary"
    bounds = decided.reindex(columns=["target", "seed", "near_zero"]).groupby(["target", "seed"])["near_zero"].max()
    counts = bounds.map(lambda own: "a bound that is not on record" if np.isnan(own) else f"{own:g}").value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    each = ", ".join(f"{bound} in {count}" for bound, count in counts.sort_index().items())
    return f"its run's own `near_zero`, which is not the same in all of the {len(bounds)} networks ({each})"


def headline(table: pd.DataFrame) -> str:
    """The answer, in one or two sentences."""
    own = table[~table["control"] & (table["measured"] > 0)]
    if own.empty:
        return "Nothing was measured."
    audited = own[own["check"].isin((*_AUDITED, "consistent"))]
    if audited.empty:
        return "No check of the maps was made: the audits were left out."
    failed = audited[audited["state"] != "passed"].groupby("method")["check"].nunique()
    names = list(dict.fromkeys(own["method"]))
    sound = [method_style(name).label for name in names if name not in failed.index and name in set(audited["method"])]
    checks = ", ".join(CHECKS[name].lower() for name in dict.fromkeys(audited["check"]))
    targets = own["target"].nunique()
    where = f"the {targets} diagnoses" if targets > 1 else "this diagnosis"
    if sound:
        return f"In every network of {where}, {', '.join(sound)} passed every check that was made ({checks})."
    fewest = failed.min()
    best = [method_style(str(name)).label for name, count in failed.items() if count == fewest]
    return (
        f"No method passed every check in every network of {where} ({checks}). The fewest kinds of check failed "
        f"({fewest}) with {', '.join(best)}."
    )


def overall_table(table: pd.DataFrame, saved: list[str]) -> TableBlock:
    """Method x check, networks of all targets together."""
    rows = []
    for (method, control), part in table.groupby(["method", "control"], sort=False):
        cells = []
        for check in CHECKS:
            own = part[part["check"] == check]
            passed, measured = int(own["passed"].sum()), int(own["measured"].sum())
            found = _result(passed, measured, np.nan, "")
            what = "diagnoses" if check == "consistent" else "networks"
            title = f"{passed} of {measured} {what}" if measured else "not measured"
            cells.append(_cell(found["state"], f"{passed}/{measured}" if measured else "", title))
        rows.append([f"{method_style(str(method)).label}{' (control)' if control else ''}", *cells])
    return TableBlock(
        head=("Method", *CHECKS.values()),
        rows=rows,
        caption="How many networks (for 'Seeds agree': diagnoses) pass each check. Controls know nothing of the "
        "network: a check that they pass says little.",
        label="Scorecard",
        files=saved,
    )


def _of_target(part: pd.DataFrame, target: str, saved: list[str]) -> list[Block]:
    """The checks of one diagnosis, and what speaks against each method."""
    rows, against = [], []
    for method, own in part.groupby("method", sort=False):
        control = bool(own["control"].iloc[0])
        label = method_style(str(method)).label + (" (control)" if control else "")
        found = records(own)
        rows.append([label, *(_cell(row["state"], "", row["reason"]) for row in found)])
        failed = [f"{CHECKS[row['check']].lower()}: {row['reason']}" for row in found if row["state"] in _NOT_PASSED]
        if not control:
            against.append(f"{label}. {'; '.join(failed) or 'Nothing that was measured speaks against it'}.")
    table = TableBlock(
        head=("Method", *CHECKS.values()),
        rows=rows,
        caption="What speaks against each method stands below.",
        label=f"Scorecard: {class_name(target)}",
        files=saved,
    )
    return [table, Items(against)]


def _cell(state: str, text: str, title: str) -> Cell:
    if state not in _STATES:
        return Cell("\N{EN DASH}", "none", title)
    mark, kind = _STATES[state]
    return Cell(f"{mark} {text}".strip(), kind, title)
