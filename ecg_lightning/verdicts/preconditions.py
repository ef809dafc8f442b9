"""These preconditions must hold before a verdict means anything: the method is safe, and its maps have converged.

*Safe*: the linter finds no structure of the network that makes the method's maps wrong; of a method whose maps promise
a sum, all test ECGs decide whether they keep it, not the few that the linter tries. *Converged*: another run would give
nearly the same map, with other random draws and, of a method that compares with background ECGs, with others of those.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.runs.run import Run
from ecg_lightning.runs.sealing import TEST_AGAIN
from ecg_lightning.runs.seed_maps import in_paper_order
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.storage.readers import read_table

State = Literal["holds", "does_not_hold", "not_measured"]

COLUMNS: Final = ("target", "method", "precondition", "state", "value", "reason")

LEAST_RELIABILITY: Final = 0.98
"""Correlation, for the median ECG, of two maps of fresh draws, and of two maps over fresh backgrounds."""

COMPLETENESS_TOLERANCE: Final = 0.05
"""Bound of median |sum of the map - what it should be| over the median |what it should be|."""


@dataclass(frozen=True)
class Finding:
    """A finding says whether something holds.

    Attributes:
        state: ``holds``, ``does_not_hold`` or ``not_measured``.
        value: What decided; NaN where it is no number.
        reason: Reason in words.
        reserve: Distance of the value from its bound, on the right side; NaN where it is no number.
    """

    state: State
    value: float
    reason: str
    reserve: float = np.nan


def preconditions(runs: TargetRuns) -> pd.DataFrame:
    """Judge every method and precondition, one row each.

    Args:
        runs: Runs of one target. A precondition holds if it holds in each of the networks, and its value is that of the
            network in which it holds least.

    Returns:
        ``target, method, precondition, state, value, reason`` with the preconditions ``safe`` and ``converged``.
    """
    opened = list(runs.runs.values())
    names = in_paper_order({name for run in opened for name in (*run.maps, *_lint(run).index)})
    rows = [
        (runs.target, name, precondition, *_over_networks([judge(run, name) for run in opened]))
        for name in names
        for precondition, judge in (("safe", safe), ("converged", converged))
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def safe(run: Run, method: str) -> Finding:
    """Decide whether the maps of a method are what they should be on one network."""
    lint = _lint(run)
    verdict = str(lint["verdict"].get(method, "")) if len(lint) else ""
    reasons = str(lint["reasons"].get(method, "")) if verdict else ""
    if verdict == "refused":
        return Finding("does_not_hold", np.nan, f"the linter refuses it: {reasons}")
    error = completeness_error(run, method)
    if error is not None:
        words = f"the maps' sums miss f(ECG) - f(baseline) by {error:.1%} in the median test ECG"
        reserve = COMPLETENESS_TOLERANCE - error
        if reserve < 0:
            too_much = f"{words}, at most {COMPLETENESS_TOLERANCE:.0%} is allowed"
            return Finding("does_not_hold", error, too_much, reserve)
        if verdict:
            return Finding("holds", error, words, reserve)
    if not verdict:
        return Finding("not_measured", np.nan, "the linter did not run")
    if verdict == "doubtful":
        return Finding("does_not_hold", np.nan, f"the linter doubts it: {reasons}")
    return Finding("holds", np.nan, "the linter finds nothing that would make it wrong")


def completeness_error(run: Run, method: str) -> float | None:
    """Return median |delta| over median |expected| of all test ECGs; None where no sum is promised or stored."""
    stores = [f"scores/completeness_{name}" for name in ("delta", "expected")]
    if not _has(run, *stores) or method not in run.row_store(stores[0]).spec.coords["method"]:
        return None
    delta, expected = (np.abs(_column(run, store, method)) for store in stores)
    delta, expected = delta[np.isfinite(delta)], expected[np.isfinite(expected)]
    scale = float(np.median(expected)) if len(expected) else 0.0
    return float(np.median(delta)) / scale if len(delta) and scale > 0 else None


def converged(run: Run, method: str) -> Finding:
    """Decide whether a method's maps depend on its random draws, and on its backgrounds, on one network."""
    if not _has(run, f"maps/{method}"):
        return Finding("not_measured", np.nan, "there are no maps")
    settings = run.row_store(f"maps/{method}").spec.settings
    stores = []
    if _has(run, f"reliability/{method}") or "attribution_seed" in settings:
        stores.append((f"reliability/{method}", "other draws"))
    if "backgrounds" in settings:
        stores.append((f"reliability_over_backgrounds/{method}", "other backgrounds"))
    if not stores:
        return Finding("holds", np.nan, "deterministic: no draws")
    return _least([_reliability(run, *store) for store in stores])


def _reliability(run: Run, store: str, of: str) -> Finding:
    known = np.empty(0)
    if _has(run, store):
        values = _rows(run, store)
        known = values[np.isfinite(values)]
    if not len(known):
        return Finding("not_measured", np.nan, f"not measured with {of}")
    median = float(np.median(known))
    state: State = "holds" if median >= LEAST_RELIABILITY else "does_not_hold"
    words = f"the median correlation with a map of {of} is {median:.3f}"
    return Finding(state, median, words, median - LEAST_RELIABILITY)


def _over_networks(findings: Sequence[Finding]) -> tuple[State, float, str]:
    """One finding of several networks: the worst state, the least favourable value, and how many share the state."""
    worst = _least(findings)
    alike = sum(finding.state == worst.state for finding in findings)
    words = f"{worst.reason} (in {alike} of {len(findings)} networks)" if len(findings) > 1 else worst.reason
    return worst.state, worst.value, words


def _least(findings: Sequence[Finding]) -> Finding:
    """What decides of findings that must all hold: a break, then what is unknown, then what holds by the least."""
    order: tuple[State, ...] = ("does_not_hold", "not_measured", "holds")
    return min(findings, key=lambda finding: (order.index(finding.state), np.nan_to_num(finding.reserve, nan=np.inf)))


def _lint(run: Run) -> pd.DataFrame:
    """``verdict, reasons`` by method; empty where the linter did not run."""
    path = run.paths.table("lint")
    return read_table(path, TEST_AGAIN, ("method",)).set_index("method") if path.is_file() else pd.DataFrame()


def _has(run: Run, *stores: str) -> bool:
    return all((run.path / store / "manifest.json").is_file() for store in stores)


def _rows(run: Run, store: str) -> NDArray[np.float64]:
    """(n, ...) of a store; NaN for rows that were not measured."""
    opened = run.row_store(store)
    return np.asarray(opened.read(np.arange(len(opened))), dtype=np.float64)


def _column(run: Run, store: str, method: str) -> NDArray[np.float64]:
    """(n,) of one method in a store (n, method)."""
    return _rows(run, store)[:, list(run.row_store(store).spec.coords["method"]).index(method)]
