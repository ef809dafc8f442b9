"""These tables are a study's verdicts and preconditions, with a row for everything that was not measured."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from ecg_lightning.plotting.method_style import method_place, method_style
from ecg_lightning.report.claims import CLAIMS, NOT_MEASURED
from ecg_lightning.verdicts.table import verdicts_table

PRECONDITIONS: Final = {"safe": "Safe here", "converged": "Converged"}
"""Precondition -> what a person reads."""


def completed(verdicts: pd.DataFrame, targets: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    """Add a row for every claim that was not measured, and sort as the paper does.

    Args:
        verdicts: Verdicts as decided; may be empty.
        targets: Diagnoses of the study.
        methods: Methods of its maps; controls are known from the verdicts.
    """
    keys = ["target", "method", "check", "claim"]
    known = verdicts if len(verdicts) else pd.DataFrame(columns=[*keys, "control", "state", "why"])
    names = sorted({*methods, *known["method"].astype(str)}, key=method_place)
    wanted = [(target, name, *claim) for target in targets for name in names for claim in CLAIMS]
    have = set(known[keys].itertuples(index=False, name=None))
    absent = [
        {**dict(zip(keys, key, strict=True)), "control": method_style(key[1]).control, "state": NOT_MEASURED, "why": ""}
        for key in wanted
        if key not in have
    ]
    there = [{str(name): value for name, value in row.items()} for row in known.to_dict("records")]
    table = verdicts_table([*there, *absent])
    position = {key: number for number, key in enumerate(wanted)}
    order = [position.get(key, len(position)) for key in table[keys].itertuples(index=False, name=None)]
    return table.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def completed_preconditions(known: pd.DataFrame, targets: Sequence[str], methods: Sequence[str]) -> pd.DataFrame:
    """Add a row for every precondition that was not measured.

    Args:
        known: ``target, method, precondition, state, value, reason``; may be empty.
        targets: Diagnoses of the study.
        methods: Methods of its maps.
    """
    keys = ["target", "method", "precondition"]
    have = set(known[keys].itertuples(index=False, name=None)) if len(known) else set()
    absent = [
        {**dict(zip(keys, key, strict=True)), "state": NOT_MEASURED, "value": float("nan"), "reason": "not measured"}
        for key in (
            (target, name, precondition) for target in targets for name in methods for precondition in PRECONDITIONS
        )
        if key not in have
    ]
    added = pd.DataFrame(absent, columns=[*keys, "state", "value", "reason"])
    return pd.concat([known, added], ignore_index=True) if len(known) and absent else known if len(known) else added
