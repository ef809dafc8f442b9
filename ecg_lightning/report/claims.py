"""This module chooses the checks and claims of the report, and says when a method counts as an explanation."""

from typing import Final

import pandas as pd

from ecg_lightning.verdicts.checks import checks

PASSES: Final = "passes"
FAILS: Final = "fails"
CANNOT_TELL: Final = "cannot_tell"
NOT_MEASURED: Final = "not_measured"

MARKS: Final = {
    PASSES: ("\N{CHECK MARK}", "good"),
    FAILS: ("\N{MULTIPLICATION SIGN}", "bad"),
    CANNOT_TELL: ("?", "open"),
    NOT_MEASURED: ("\N{EN DASH}", "none"),
}
"""State -> mark and style of a cell; undecided is neutral, for a lack of evidence is no failure."""

CHECKS: Final = {check.name: check.title for check in checks()}
"""Check -> what a person reads."""

EXPLAINING: Final = tuple(check.name for check in checks() if check.explains)
"""Checks of two claims, which make an explanation only together."""


CLAIMS: Final = tuple((check.name, claim) for check in checks() for claim in check.claims)
"""Check and claim of every column of the scorecard."""


def check_states(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Decide the state of every check, from those of its claims.

    A check passes where all its claims pass and fails where one of them fails; where neither holds and a claim was not
    measured the check was not measured either, and otherwise it is open.

    Args:
        verdicts: One row a target, method, check and claim, with its ``state``; every one of ``CLAIMS`` is there.

    Returns:
        ``target, method, control, check, state``.
    """
    keys = ["target", "method", "control", "check"]
    if verdicts.empty:
        return pd.DataFrame(columns=[*keys, "state"])
    return verdicts.groupby(keys, sort=False)["state"].agg(_joined).reset_index()


def _joined(states: "pd.Series[str]") -> str:
    for state in (FAILS, NOT_MEASURED, CANNOT_TELL):
        if (states == state).any():
            return state
    return PASSES


def explaining(verdicts: pd.DataFrame) -> pd.DataFrame:
    """List where a method explains: ``target, method, check`` with both claims passed; controls never do."""
    states = check_states(verdicts)
    chosen = (states["state"] == PASSES) & states["check"].isin(EXPLAINING) & ~states["control"].astype(bool)
    return states.loc[chosen, ["target", "method", "check"]].reset_index(drop=True)
