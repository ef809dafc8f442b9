"""This module writes what tuning leaves in the run folder, and says in the terminal."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from rich.table import Table

from ecg_lightning.attribution.cost import PassSeconds, estimate
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.tuning.measure import CurvePoint, Status, TunedMethod
from ecg_lightning.tuning.settings import TuningSettings

_NOTES: Final[dict[Status, str]] = {
    "chosen": "",
    "bound": "below target",
    "constant": "constant maps, kept",
    "kept": "not chosen",
    "exact": "",
}


@dataclass(frozen=True)
class MethodSummary:
    """One method in numbers.

    Attributes:
        method: Name of the method.
        status: How the method came to its setting.
        argument: Name of the setting; empty for an exact method.
        value: Value of the setting; 0 where there is none.
        forwards: Forward passes a map.
        gradients: Gradient passes a map.
        median: Predicted correlation with the limit, of the median ECG; 1 for an exact map, NaN where unknown.
        lowest: Lowest decile of the correlation over ECGs.
        n_constant: ECGs whose map has no correlation.
        seconds: Seconds for the whole test set: ECGs x passes x the measured time of a pass.
    """

    method: str
    status: Status
    argument: str
    value: int
    forwards: int
    gradients: int
    median: float
    lowest: float
    n_constant: int
    seconds: float

    @property
    def setting(self) -> str:
        """Name the setting for people: ``n_samples 64``."""
        if self.status == "exact":
            return "exact"
        return f"{self.argument} {self.value}" if self.value else "as configured"

    @property
    def note(self) -> str:
        """Say what is to be known of the method's setting."""
        return _NOTES[self.status]


def summaries(
    tuned: Sequence[TunedMethod], task: FrozenModel, n_test: int, seconds: PassSeconds
) -> list[MethodSummary]:
    """Summarise the methods in numbers.

    Args:
        tuned: What tuning found.
        task: The frozen network with its backgrounds.
        n_test: ECGs of the test set.
        seconds: Measured time of a pass.
    """
    costs = estimate([one.method for one in tuned], [n_test] * len(tuned), task, seconds)
    found = []
    for one, cost in zip(tuned, costs, strict=True):
        last: CurvePoint | None = one.curve[-1] if one.curve else None
        exact = 1.0 if one.status == "exact" else np.nan
        found.append(
            MethodSummary(
                one.method.name,
                one.status,
                one.argument,
                0 if last is None or one.status == "constant" else last.value,
                cost.forwards,
                cost.gradients,
                exact if last is None else last.median,
                exact if last is None else last.lowest,
                0 if last is None else int(np.isnan(last.reliability).sum()),
                cost.seconds,
            )
        )
    return found


def curve_frame(tuned: Sequence[TunedMethod], ecg_ids: Sequence[str], labels: Sequence[float]) -> pd.DataFrame:
    """Make one row a method, setting and ECG.

    Args:
        tuned: What tuning found.
        ecg_ids: Ids of the ECGs.
        labels: 1 with the diagnosis, 0 without.

    Returns:
        ``method, status, evidence, setting, value, chosen, forwards, gradients, ecg_id, label, reliability,
        correlation``; an exact method has no rows.
    """
    rows = [
        {
            "method": one.method.name,
            "status": one.status,
            "evidence": one.evidence,
            "setting": one.argument,
            "value": point.value,
            "chosen": one.status in ("chosen", "bound") and point is one.curve[-1],
            "forwards": point.passes.forward,
            "gradients": point.passes.gradient,
            "ecg_id": ecg_id,
            "label": label,
            "reliability": reliability,
            "correlation": correlation,
        }
        for one in tuned
        for point in one.curve
        for ecg_id, label, reliability, correlation in zip(
            ecg_ids, labels, point.reliability, point.correlation, strict=True
        )
    ]
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS: Final = (
    "method",
    "status",
    "evidence",
    "setting",
    "value",
    "chosen",
    "forwards",
    "gradients",
    "ecg_id",
    "label",
    "reliability",
    "correlation",
)


def summary_frame(found: Sequence[MethodSummary]) -> pd.DataFrame:
    """Make one row a method, the columns those of :class:`MethodSummary`."""
    return pd.DataFrame([dataclasses.asdict(one) for one in found])


def summary_table(found: Sequence[MethodSummary], settings: TuningSettings, n_ecgs: int, n_test: int) -> Table:
    """Make the table of the methods for a terminal.

    Args:
        found: The methods in numbers.
        settings: Target and bounds.
        n_ecgs: Validation ECGs that were measured.
        n_test: ECGs of the test set.
    """
    table = Table(
        title=f"Passes to a correlation of {settings.target_correlation:g} with the limit, {n_ecgs} validation ECGs",
        caption="forwards and gradients a map; predicted correlation of a map with its limit: a setting is chosen at "
        f"a median of {settings.wanted_median:.4g} and a lowest decile of {settings.wanted_lowest:.4g}; time: "
        f"{n_test:,} test ECGs x passes x the measured time of a pass",
    )
    for column in ("method", "setting", "passes", "median", "lowest\ndecile", "seconds"):
        table.add_column(column, justify="left" if column in ("method", "setting") else "right", overflow="fold")
    for one in found:
        passes = f"{one.forwards + one.gradients:,}"
        setting = f"{one.setting}\n{one.note}" if one.argument and one.note else one.setting
        table.add_row(one.method, setting, passes, _number(one.median), _number(one.lowest), f"{one.seconds:,.1f}")
    table.add_section()
    table.add_row("all", *[""] * 4, f"{sum(one.seconds for one in found):,.1f}")
    return table


def warnings_of(found: Sequence[MethodSummary], settings: TuningSettings) -> Iterator[str]:
    """Say what a person must know before using the settings, one sentence each."""
    for one in found:
        if one.status == "bound":
            yield (
                f"{one.method} does not reach a correlation of {settings.target_correlation:g} with {one.setting} "
                f"(median {_number(one.median)}, lowest decile {_number(one.lowest)}), the bound, which is written all "
                f"the same: raise --tune.{_BOUNDS.get(one.argument, 'max_samples')}, or lower --tune.target_correlation"
            )
        if one.status == "constant":
            yield f"{one.method}: no ECG's map varies, so that it has no correlation; its setting is kept"
        elif one.n_constant:
            yield f"{one.method}: {one.n_constant} ECGs' maps are constant or failed; they are left out"


_BOUNDS: Final = {"n_steps": "max_steps", "n_forwards": "max_forwards", "n_permutations": "max_forwards"}


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"
