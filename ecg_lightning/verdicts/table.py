"""The verdicts table: one row a check, claim, target and method."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import pandas as pd

State = Literal["passes", "fails", "cannot_tell", "not_measured"]
Why = Literal["", "few_patients", "few_patients_without", "undefined", "no_variance", "undecided"]
Networks = Literal["this_network", "these_networks", "networks_like_these"]


class Column(NamedTuple):
    """A column is one column of the table.

    Attributes:
        dtype: Type of the column in pandas.
        meaning: What the column means, in words.
    """

    dtype: str
    meaning: str


COLUMNS: Final[Mapping[str, Column]] = {
    "target": Column("str", "diagnosis that the networks look for"),
    "check": Column("str", "experiment"),
    "claim": Column("str", "what is claimed of the maps"),
    "method": Column("str", "attribution method, or a control that goes through the checks as if it were one"),
    "control": Column("bool", "whether it is a control"),
    "state": Column("str", "passes, fails, cannot_tell or not_measured"),
    "why": Column("str", "why it can't be told, or no_variance where a difference that is the same for all fails"),
    "reason": Column("str", "why an effect of this claim is undefined, in words"),
    "score": Column("str", "what is measured"),
    "unit": Column("str", "of effect, interval and margins"),
    "against": Column("str", "comparison that decides: the one that fails most surely, or else passes least surely"),
    "side": Column("str", "whether a pass lies above or below margin_pass"),
    "effect": Column("float64", "the deciding comparison's estimate"),
    "low": Column("float64", "of its interval, not adjusted for the other tests; none under 20 patients"),
    "high": Column("float64", "of its interval"),
    "confidence": Column("float64", "of the interval; each test is one-sided at half of the rest"),
    "margin_pass": Column("float64", "a pass lies beyond this"),
    "margin_fail": Column("float64", "a failure does not reach this"),
    "value": Column("float64", "the method's own mean score"),
    "p_pass": Column("float64", "one-sided, the largest over the claim's comparisons; none under 20 patients"),
    "p_fail": Column("float64", "one-sided, the smallest over them times their number; 0 where no_variance fails"),
    "p_pass_holm": Column("float64", "adjusted for the family"),
    "p_fail_holm": Column("float64", "adjusted for the family"),
    "family": Column("int64", "tests that the adjustment counts: the check's claim, all methods x targets"),
    "n_patients": Column("int64", "patients with the diagnosis"),
    "n_patients_without": Column("int64", "patients without it"),
    "n_ecgs": Column("int64", "ECGs that count"),
    "n_left_out": Column("int64", "patients that lack a value"),
    "n_seeds": Column("int64", "networks"),
    "networks": Column("str", "which networks the verdict is about: this, these, or networks trained like these"),
}


def verdicts_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """Make a table of the declared columns from rows; what a row lacks is NaN, 0 or empty."""
    lacking = {"float64": float("nan"), "int64": 0, "str": "", "bool": False}
    filled = {name: [row.get(name, lacking[column.dtype]) for row in rows] for name, column in COLUMNS.items()}
    return pd.DataFrame({name: pd.Series(filled[name], dtype=column.dtype) for name, column in COLUMNS.items()})


def networks_of(n_seeds: int) -> Networks:
    """Say which networks a verdict over so many training seeds is about."""
    if n_seeds < 2:
        return "this_network"
    return "these_networks" if n_seeds < 5 else "networks_like_these"
