"""The cells and tables of the scorecard are made from the verdicts and nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from ecg_lightning.data.targets import known_info
from ecg_lightning.plotting.class_words import class_name, kind_word
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Cell, TableBlock, number
from ecg_lightning.report.claims import (
    CANNOT_TELL,
    CHECKS,
    CLAIMS,
    EXPLAINING,
    FAILS,
    MARKS,
    NOT_MEASURED,
    PASSES,
    check_states,
)
from ecg_lightning.runs.study_runs import records
from ecg_lightning.verdicts.words import claim_words, sentence, state_word

_PLAIN: Final = "needs_the_weights"
"""The claim whose effect is a correlation; those of the others are differences, and get a plus sign."""

_NO_INTERVAL: Final = ("few_patients", "few_patients_without")
_MOST_DIGITS: Final = 4
_STAYS: Final = "\N{NO-BREAK SPACE}"
"""So that a narrow column breaks before an interval or a mark, and not inside or behind it."""


def effect_text(row: Mapping[str, Any]) -> str:
    """Write an effect such as ``+0.08 (0.03 to 0.13)``; without an interval for too few patients.

    Digits are added where rounding would put an end of the interval onto a margin that it does not touch.
    """
    effect, low, high = (_float(row.get(name)) for name in ("effect", "low", "high"))
    if not np.isfinite(effect):
        return ""
    margins = [margin for name in ("margin_pass", "margin_fail") if np.isfinite(margin := _float(row.get(name)))]
    digits = _digits((low, high), margins)
    sign = "+" if row["claim"] != _PLAIN and round(effect, digits) > 0 else ""
    text = sign + number(effect, digits)
    if row.get("why") in _NO_INTERVAL or not np.isfinite([low, high]).all():
        return text
    return f"{text} ({number(low, digits)}{_STAYS}to{_STAYS}{number(high, digits)})"


def _digits(ends: Sequence[float], margins: Sequence[float]) -> int:
    for digits in range(2, _MOST_DIGITS):
        if not any(end != margin and round(end, digits) == round(margin, digits) for end in ends for margin in margins):
            return digits
    return _MOST_DIGITS


def verdict_cell(row: Mapping[str, Any]) -> Cell:
    """Write one verdict: mark and word of its state, and the effect with its interval."""
    state = str(row["state"])
    mark, kind = MARKS[state]
    word = f"{mark}{_STAYS}{state_word(state)}"
    if state == NOT_MEASURED:
        return Cell(word, kind)
    lines = [word]
    against = str(row.get("against") or "")
    if row["claim"] == "uses_the_network" and against and row["why"] not in _NO_INTERVAL:
        lines.insert(0, f"over {method_style(against).label}")
    if why := _short_why(row):
        lines.append(why)
    text = effect_text(row)
    title = sentence(row)
    if text:
        return Cell(text, kind, title, "; ".join(lines))
    return Cell(word, kind, title, "; ".join(line for line in lines if line != word))


def _short_why(row: Mapping[str, Any]) -> str:
    """A few words for a cell; the whole sentence is its title."""
    if row["state"] == "fails" and row["against"] == row["method"]:
        return "it knows nothing of the network"
    with_it, without = int(row["n_patients"]), int(row["n_patients_without"])
    if row["why"] == "few_patients":
        any_label = row["check"] == "randomization" or known_info(row["target"]).kind == "regression"
        return f"only {_patients(with_it + without)}" if any_label else f"only {_patients(with_it)} with it"
    return {
        "few_patients_without": f"only {_patients(without)} without it",
        "undefined": "undefined",
        "no_variance": "the same for all patients",
    }.get(str(row["why"]), "")


def _patients(count: int) -> str:
    return f"{count} patient{'' if count == 1 else 's'}"


def diagnosis_table(verdicts: pd.DataFrame, target: str, caption: str, files: Sequence[str]) -> TableBlock:
    """Make the table of methods and controls x claims of one diagnosis."""
    of_target = verdicts[verdicts["target"] == target]
    rows = []
    for method, part in of_target.groupby("method", sort=False):
        by_claim = {(row["check"], row["claim"]): row for row in records(part)}
        rows.append([_name(str(method), bool(part["control"].iloc[0])), *(verdict_cell(by_claim[c]) for c in CLAIMS)])
    spans = [(CHECKS[check], sum(one == check for one, _ in CLAIMS)) for check in CHECKS]
    return TableBlock(
        head=("Method", *(claim_words(claim) for _, claim in CLAIMS)),
        groups=(("", 1), *spans),
        rows=rows,
        caption=caption,
        label=f"Scorecard: {class_name(target)}",
        files=files,
        stack=True,
    )


def summary_table(verdicts: pd.DataFrame, caption: str, files: Sequence[str]) -> TableBlock:
    """Make the table of methods and controls x checks: in how many diagnoses each is decided, and how."""
    states, kinds = check_states(verdicts), kind_word(verdicts["target"].unique())
    rows = []
    for method, part in states.groupby("method", sort=False):
        cells = [summary_cell(part[part["check"] == check]["state"].tolist(), kinds) for check in CHECKS]
        rows.append([_name(str(method), bool(part["control"].iloc[0])), *cells])
    return TableBlock(
        head=("Method", *(f"{name}: both claims" if check in EXPLAINING else name for check, name in CHECKS.items())),
        rows=rows,
        caption=caption,
        label="Scorecard",
        files=files,
        stack=True,
    )


def summary_cell(states: Sequence[str], kinds: str = "diagnoses") -> Cell:
    """Write a cell such as ``1 passes, 1 fails``, with ``2 of 3 diagnoses decided`` below.

    Args:
        states: State of each target.
        kinds: What the targets are: diagnoses, measurements or targets.
    """
    passes, fails, missing = (states.count(state) for state in (PASSES, FAILS, NOT_MEASURED))
    if missing == len(states):
        return Cell(f"{MARKS[NOT_MEASURED][0]} {state_word(NOT_MEASURED)}", "none")
    decided = f"{passes + fails} of {len(states)} {kinds} decided"
    if missing:
        decided += f", {missing} not measured"
    if not passes + fails:
        mark, kind = MARKS[CANNOT_TELL]
        return Cell(f"{mark} {state_word(CANNOT_TELL)}", kind, "", decided)
    counted = [
        f"{MARKS[state][0]} {count} {singular if count == 1 else plural}"
        for state, count, singular, plural in ((PASSES, passes, "passes", "pass"), (FAILS, fails, "fails", "fail"))
        if count
    ]
    kind = MARKS[FAILS][1] if not passes else MARKS[PASSES][1] if not fails else "mixed"
    return Cell(", ".join(counted), kind, "", decided)


def preconditions_table(preconditions: pd.DataFrame, names: Mapping[str, str], files: Sequence[str]) -> TableBlock:
    """Make the table of methods x preconditions: in how many diagnoses each holds."""
    rows = []
    for method, part in preconditions.groupby("method", sort=False):
        cells = [_precondition_cell(part[part["precondition"] == name]) for name in names]
        rows.append([method_style(str(method)).label, *cells])
    return TableBlock(
        head=("Method", *names.values()),
        rows=rows,
        caption="What must hold before a verdict means anything. Safe: no structure of the network makes the method "
        "wrong, and attributions add up where they must. Converged: the map hardly depends on its own random draws "
        f"and backgrounds. Counts are {kind_word(preconditions['target'].unique())}; the reason is that of the first "
        "of them.",
        label="Preconditions",
        files=files,
        stack=True,
    )


def _precondition_cell(rows: pd.DataFrame) -> Cell:
    states = rows["state"].tolist()
    holds, breaks = states.count("holds"), states.count("does_not_hold")
    if not holds + breaks:
        return Cell(f"{MARKS[NOT_MEASURED][0]} {state_word(NOT_MEASURED)}", "none")
    broken = rows[rows["state"] == "does_not_hold"]
    reason = str((broken if breaks else rows)["reason"].iloc[0] or "")
    if not breaks:
        return Cell(f"{MARKS[PASSES][0]} holds in {holds} of {len(states)}", "good", "", reason)
    return Cell(f"{MARKS[FAILS][0]} does not hold in {breaks} of {len(states)}", "mixed", "", reason)


def _name(method: str, control: bool) -> Cell:
    label = method_style(method).label
    return Cell(label, "", "", "control") if control else Cell(label)


def _float(value: Any) -> float:
    return float(value) if value is not None and not pd.isna(value) else np.nan
