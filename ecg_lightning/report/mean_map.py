"""Whether one map for all patients would do as well as each patient's own: a sentence, and no verdict."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import pandas as pd

from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.blocks import number
from ecg_lightning.report.claims import CHECKS
from ecg_lightning.report.own_curves import VERDICT_KIND
from ecg_lightning.report.runs import StudyRuns


class _Score(NamedTuple):
    """Where a check's score stands in a run's tables.

    Attributes:
        check: Experiment.
        table: Of the runs.
        value: Its column.
        rows: Which rows are of the verdict's score.
        sign: 1 where more is better, -1 where less is.
    """

    check: str
    table: str
    value: str
    rows: Callable[[pd.DataFrame], "pd.Series[bool]"]
    sign: int


_SCORES: Final = (
    _Score("localization", "localization", "value", lambda t: (t["score"] == "auroc") & (t["region"] == "causal"), 1),
    _Score("perturbation", "perturbation_summary", "abpc", lambda t: (t["metric"] == "auroc") & _is_verdict(t), 1),
    _Score("faithfulness", "scores", "value", lambda t: t["score"] == "infidelity", -1),
)


def one_map_for_all(runs: StudyRuns, target: str) -> Iterator[str]:
    """One sentence a check, where the runs measured the mean map of the other patients.

    Args:
        runs: The study.
        target: The diagnosis.
    """
    for one in _SCORES:
        table = runs.tables(one.table)
        if table.empty or "map" not in table or one.value not in table:
            continue
        own = table[(table["target"] == target) & ~table["control"].astype(bool) & one.rows(table)]
        means = own.groupby(["method", "map"], sort=False)[one.value].mean().unstack("map")
        if not {"own", "mean_map"} <= set(means.columns):
            continue
        known = means.dropna(subset=["own", "mean_map"])
        as_good = known[one.sign * (known["mean_map"] - known["own"]) >= 0]
        if len(as_good):
            named = ", ".join(
                f"{method_style(str(method)).label} ({number(row['mean_map'])}, own map {number(row['own'])})"
                for method, row in as_good.iterrows()
            )
            yield f"{CHECKS[one.check]}: one map for all, the mean over other patients, would do as well for {named}."


def _is_verdict(table: pd.DataFrame) -> "pd.Series[bool]":
    """Rows of the perturbation that the verdict rests on."""
    return table["kind"] == VERDICT_KIND if "kind" in table else pd.Series(data=True, index=table.index)
