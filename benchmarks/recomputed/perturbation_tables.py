"""The tables of perturbed logits."""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.metrics import average_precision_score, roc_auc_score

from recomputed.compare import BOOTSTRAP, Recipe
from recomputed.stores import Array, RunFiles, Store
from recomputed.tables import CONTROLS, mean, own_and_others

METRICS = ("auroc", "auroc_positives", "auroc_negatives", "auprc", "probability", "probability_negatives")


def auroc(logit: Array, label: Array) -> float:
    """Of the ECGs with logit and label; NaN of one class."""
    return _ranked(roc_auc_score, logit, label)


def _ranked(score: Callable[[Array, Array], float], logit: Array, label: Array) -> float:
    known = np.isfinite(logit) & np.isfinite(label)
    if len(np.unique(label[known])) < 2:
        return np.nan
    with config_context(assume_finite=True, skip_parameter_validation=True):  # thousands of calls
        return float(score(label[known], logit[known]))


def kinds(run: RunFiles) -> dict[str, list[str]]:
    """Kind -> its orders."""
    folders = sorted(path.name for path in (run.path / "perturbation").glob("*") if path.is_dir())
    found = {one: [name for name in run.names(f"perturbation/{one}") if name in ("morf", "lerf")] for one in folders}
    return {kind: orders for kind, orders in found.items() if orders}


@cache
def _curves(run: RunFiles) -> list[dict]:
    return [
        row
        for kind, orders in kinds(run).items()
        for order in orders
        for which, store, values in own_and_others(run, f"perturbation/{kind}", order)
        for row in _of_map(run, kind, which, order, store, values)
    ]


def _of_map(run: RunFiles, kind: str, which: str, order: str, store: Store, values: Array) -> Iterator[dict]:
    far = run.store(f"perturbation/{kind}/{order}_distance").values if which == "own" else None
    share = store.settings["fraction_per_step"]
    for (m, method), step in product(enumerate(store.coords["method"]), store.coords["step"]):
        measured = _metrics(values[:, m, step], values[:, m, 0], run.label)
        if far is not None:
            measured["distance"] = float(mean(far[:, m, step]))
        counted = run.examples[np.isfinite(values[:, m]).all(axis=1) & np.isfinite(run.label)]
        row = {"kind": kind, "map": which, "order": order, "method": method, "control": method in CONTROLS}
        row |= {"step": step, "fraction": step * share, "n_ecgs": len(counted)}
        row["n_patients"] = counted["patient_id"].nunique()
        row["n_patients_with"] = counted["patient_id"][counted["label"] == 1].nunique()
        for metric, value in measured.items():
            yield row | {"metric": metric, "value": value}


def _metrics(perturbed: Array, untouched: Array, label: Array) -> dict[str, float]:
    """Of one step: both classes perturbed, or one of them against the other as it was."""
    positives, negatives = (np.where(label == kind, perturbed, untouched) for kind in (1, 0))
    probability = 1 / (1 + np.exp(-perturbed))
    found = (
        *(auroc(one, label) for one in (perturbed, positives, negatives)),
        _ranked(average_precision_score, perturbed, label),
        *(float(mean(probability[label == kind])) for kind in (1, 0)),
    )
    return dict(zip(METRICS, found, strict=True))


def _summary(run: RunFiles) -> Iterator[dict]:
    table = pd.DataFrame(_curves(run)).sort_values("step")
    table = table[table["metric"] != "distance"]
    for (kind, which, method, metric), own in table.groupby(["kind", "map", "method", "metric"]):
        row = {"kind": kind, "map": which, "method": method, "metric": metric, "control": method in CONTROLS}
        height = {}
        for order, one in own.groupby("order"):
            height[order] = float(np.trapezoid(one["value"], one["fraction"]) / np.ptp(one["fraction"]))
            if order == "morf":
                row["area_over_curve"] = float(one["value"].iloc[0]) - height[order]
        if len(height) == 2:
            row["abpc"] = height["lerf"] - height["morf"]
        first = own[own["order"] == own["order"].iloc[0]].iloc[0]
        yield row | {name: first[name] for name in ("n_ecgs", "n_patients", "n_patients_with")}


_UNDEFINED = {"undefined": BOOTSTRAP, "*_undefined": BOOTSTRAP}
RECIPES = {
    "perturbation": Recipe(_curves, ("kind", "map", "order", "method", "step", "metric"), _UNDEFINED),
    "perturbation_summary": Recipe(_summary, ("kind", "map", "method", "metric"), _UNDEFINED),
}
