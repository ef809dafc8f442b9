"""``preconditions.parquet``: is a method safe on the network, and would other draws give the same map?"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from recomputed.compare import Recipe
from recomputed.stores import RunFiles

RELIABLE = 0.98
INCOMPLETE = 0.05

_WORST_FIRST = ("does_not_hold", "not_measured", "holds")
State = tuple[str, float, float]
"""State, value, and how far the value is on the right side of its bound."""


def preconditions(runs: list[RunFiles]) -> Iterator[dict]:
    """Of each method what holds in every network, else what holds least."""
    for method in sorted({name for run in runs for name in run.asked}):
        for name, judge in (("safe", _safe), ("converged", _converged)):
            state, value, _ = _least([judge(run, method) for run in runs])
            row = {"target": runs[0].target, "method": method, "precondition": name}
            yield row | {"state": state, "value": value}


def _least(found: list[State]) -> State:
    return min(found, key=lambda one: (_WORST_FIRST.index(one[0]), np.inf if np.isnan(one[2]) else one[2]))


def _safe(run: RunFiles, method: str) -> State:
    path = run.path / "tables" / "lint.parquet"
    lint = pd.read_parquet(path).set_index("method")["verdict"] if path.is_file() else pd.Series(dtype=str)
    verdict = lint.get(method)
    if verdict == "refused":
        return "does_not_hold", np.nan, np.nan
    error = _incompleteness(run, method)
    if np.isfinite(error) and (error > INCOMPLETE or verdict):
        return "does_not_hold" if error > INCOMPLETE else "holds", error, INCOMPLETE - error
    if not verdict:
        return "not_measured", np.nan, np.nan
    return "does_not_hold" if verdict == "doubtful" else "holds", np.nan, np.nan


def _incompleteness(run: RunFiles, method: str) -> float:
    """Median miss of the promised sum, as a share of the median sum; NaN of methods that promise none."""
    if not run.has("scores/completeness_delta"):
        return np.nan
    delta, expected = (run.store(f"scores/completeness_{name}") for name in ("delta", "expected"))
    if method not in delta.coords["method"]:
        return np.nan
    place = delta.coords["method"].index(method)
    miss, size = (np.nanmedian(np.abs(store.values[:, place])) for store in (delta, expected))
    return float(miss / size) if size > 0 else np.nan


def completeness(run: RunFiles) -> Iterator[dict]:
    """How far each method that promises a sum misses it, as a share of the median sum."""
    delta, expected = (run.store(f"scores/completeness_{name}") for name in ("delta", "expected"))
    for place, method in enumerate(delta.coords["method"]):
        miss = np.abs(delta.values[:, place])
        miss = miss[np.isfinite(miss)]
        middle = _incompleteness(run, method)
        size = float(np.nanmedian(np.abs(expected.values[:, place])))
        row = {"method": method, "median": middle, "max": float(miss.max() / size) if size > 0 else np.nan}
        yield row | {"n_ecgs": len(miss), "tolerance": INCOMPLETE, "holds": bool(middle <= INCOMPLETE)}


def _converged(run: RunFiles, method: str) -> State:
    if not run.has(f"maps/{method}"):
        return "not_measured", np.nan, np.nan
    settings = run.settings(f"maps/{method}")
    stores = []
    if run.has(f"reliability/{method}") or "attribution_seed" in settings:
        stores.append(f"reliability/{method}")
    if "backgrounds" in settings:
        stores.append(f"reliability_over_backgrounds/{method}")
    found: list[State] = []
    for name in stores:
        values = run.store(name).values if run.has(name) else np.empty(0)
        known = values[np.isfinite(values)]
        middle = float(np.median(known)) if len(known) else np.nan
        state = "not_measured" if not len(known) else "holds" if middle >= RELIABLE else "does_not_hold"
        found.append((state, middle, middle - RELIABLE))
    return _least(found) if found else ("holds", np.nan, np.nan)


RECIPE = Recipe(lambda run: preconditions([run]), ("target", "method", "precondition"), {"reason": "words"})
