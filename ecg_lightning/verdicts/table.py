"""The verdicts table: one row a check, claim, target and method."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import pandas as pd

from ecg_lightning.storage.table_schema import Column, Kind

State = Literal["passes", "fails", "cannot_tell", "not_measured"]
Why = Literal["", "few_patients", "few_patients_without", "undefined", "no_variance", "undecided"]
Networks = Literal["this_network", "these_networks", "networks_like_these"]


COLUMNS: Final[Mapping[str, Column]] = {
    "target": Column("text", "diagnosis that the networks look for"),
    "check": Column("text", "experiment"),
    "claim": Column("text", "what is claimed of the maps"),
    "method": Column("text", "attribution method, or a control that goes through the checks as if it were one"),
    "control": Column("truth", "whether it is a control"),
    "state": Column("text", "passes, fails, cannot_tell or not_measured"),
    "why": Column("text", "why it can't be told, or no_variance where a difference that is the same for all fails"),
    "reason": Column("text", "why an effect of this claim is undefined, in words"),
    "score": Column("text", "what is measured"),
    "unit": Column("text", "of effect, interval and margins"),
    "against": Column("text", "comparison that decides: the one that fails most surely, or else passes least surely"),
    "side": Column("text", "whether a pass lies above or below margin_pass"),
    "effect": Column("number", "the deciding comparison's estimate"),
    "low": Column("number", "of its interval, not adjusted for the other tests; none under 20 patients"),
    "high": Column("number", "of its interval"),
    "confidence": Column("number", "of the interval; each test is one-sided at half of the rest"),
    "margin_pass": Column("number", "a pass lies beyond this"),
    "margin_fail": Column("number", "a failure does not reach this"),
    "value": Column("number", "the method's own mean score"),
    "p_pass": Column("number", "one-sided, the largest over the claim's comparisons; none under 20 patients"),
    "p_fail": Column("number", "one-sided, the smallest over them times their number; 0 where no_variance fails"),
    "p_pass_holm": Column("number", "adjusted for the family"),
    "p_fail_holm": Column("number", "adjusted for the family"),
    "family": Column("whole", "tests that the adjustment counts: the check's claim, all methods x targets"),
    "n_patients": Column("whole", "patients with the diagnosis"),
    "n_patients_without": Column("whole", "patients without it"),
    "n_ecgs": Column("whole", "ECGs that count"),
    "n_left_out": Column("whole", "patients that lack a value"),
    "n_seeds": Column("whole", "networks"),
    "networks": Column("text", "which networks the verdict is about: this, these, or networks trained like these"),
}


_NOTHING: Final[Mapping[Kind, tuple[str, object]]] = {
    "text": ("str", ""),
    "truth": ("bool", False),
    "whole": ("int64", 0),
    "number": ("float64", float("nan")),
}
"""Kind of a column -> its type in pandas, and what stands where a row lacks it."""


def verdicts_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Make a table of the declared columns from rows; what a row lacks is NaN, 0 or empty."""
    columns = {}
    for name, column in COLUMNS.items():
        dtype, nothing = _NOTHING[column.kind]
        columns[name] = pd.Series([row.get(name, nothing) for row in rows], dtype=dtype)
    return pd.DataFrame(columns)


def networks_of(n_seeds: int) -> Networks:
    """Say which networks a verdict over so many training seeds is about."""
    if n_seeds < 2:
        return "this_network"
    return "these_networks" if n_seeds < 5 else "networks_like_these"
