"""The numbers of perturbed logits: curves and areas, of own maps and of maps that know nothing of the patient."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.experiments.perturbation.kinds import PerturbationKind
from ecg_lightning.experiments.perturbation.measure import Order
from ecg_lightning.experiments.perturbation.ranking_columns import auroc_of_columns, average_precision_of_columns
from ecg_lightning.experiments.perturbation.scores import (
    area_between_curves,
    area_over_curve,
    prediction_deviation,
    relative_change,
)
from ecg_lightning.functional.intervals import interval_of_weightings, weighted_mean
from ecg_lightning.functional.regression import r2_of_columns

Floats = NDArray[np.float64]

METRICS: Final = ("auroc", "auroc_positives", "auroc_negatives", "auprc", "probability", "probability_negatives")
"""AUROC and average precision of perturbed ECGs; AUROC of perturbed ECGs with the diagnosis against untouched ones
without it, and the reverse; mean predicted probability of the ECGs with the diagnosis, and of those without."""

METRICS_OF_MEASUREMENT: Final = ("r2", "change")
"""R2 of perturbed ECGs; mean magnitude of the prediction's change, in standard deviations of the predictions."""


@dataclass(frozen=True)
class MapLogits:
    """Logits of one kind, perturbed by the maps of one sort.

    Attributes:
        kind: What was done.
        map: Whose maps: ``own``, ``other_ecg`` or ``mean_map``.
        logits: Order -> (n, method, step); NaN where a map has no order.
        distance: Order -> (n, method, step) to real beats; empty where it is not known.
        run: The run, with the names of methods and controls.
    """

    kind: PerturbationKind
    map: str
    logits: Mapping[Order, Floats]
    distance: Mapping[Order, Floats]
    run: AuditedRun

    @property
    def fractions(self) -> Floats:
        """(step,) shares of the points that are perturbed."""
        return np.asarray(np.arange(self.kind.steps + 1) * self.kind.fraction_per_step, dtype=np.float64)

    @cached_property
    def replicates(self) -> dict[str, dict[Order, Floats]]:
        """Metric -> order -> (1 + r, method, step), the first of them with every ECG once."""
        found: dict[str, dict[Order, Floats]] = {metric: {} for metric in self.metrics}
        scores = self._scores if self.run.target_info.kind == "binary" else self._scores_of_measurement
        for order, logits in self.logits.items():
            for metric, values in scores(logits).items():
                found[metric][order] = values.reshape(-1, *logits.shape[1:])
        return found

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the scores of this target."""
        return METRICS if self.run.target_info.kind == "binary" else METRICS_OF_MEASUREMENT

    def _scores_of_measurement(self, outputs: Floats) -> dict[str, Floats]:
        """Metric -> (1 + r, method x step)."""
        weights, columns = self.run.weights, outputs.reshape(len(outputs), -1)
        return {
            "r2": r2_of_columns(columns, self.run.label, weights),
            "change": weighted_mean(
                relative_change(outputs, prediction_deviation(outputs)).reshape(columns.shape), weights
            ),
        }

    def _scores(self, logits: Floats) -> dict[str, Floats]:
        """Metric -> (1 + r, method x step)."""
        label, weights = self.run.label, self.run.weights
        untouched = np.broadcast_to(logits[:, :, :1], logits.shape)
        perturbed, before = (values.reshape(len(label), -1) for values in (logits, untouched))
        (a, b), (old_a, old_b) = ([values[label == k] for k in (1, 0)] for values in (perturbed, before))
        of_a, of_b = weights[:, label == 1], weights[:, label == 0]
        return {
            "auroc": auroc_of_columns(a, b, of_a, of_b),
            "auroc_positives": auroc_of_columns(a, old_b, of_a, of_b),
            "auroc_negatives": auroc_of_columns(old_a, b, of_a, of_b),
            "auprc": average_precision_of_columns(a, b, of_a, of_b),
            "probability": self._probability(perturbed, 1),
            "probability_negatives": self._probability(perturbed, 0),
        }

    def _probability(self, logits: Floats, label: int) -> Floats:
        """(1 + r, column) mean predicted probability of the ECGs with this label; NaN where there is none."""
        chosen = np.where((self.run.label == label)[:, None], logits, np.nan)
        return weighted_mean(1 / (1 + np.exp(-chosen)), self.run.weights)

    @cached_property
    def curve_table(self) -> pd.DataFrame:
        """One row a point of a curve.

        ``kind, map, order, method, control, step, fraction, metric, value, low, high, undefined, n_ecgs, n_patients,
        n_patients_with``: patients with a curve, and those of them with the diagnosis; ``undefined`` counts the
        resamples without a value. The metric ``distance`` is the mean over ECGs of the distance to real beats.
        """
        scores = dict(self.replicates)
        if self.distance:
            scores["distance"] = {
                order: weighted_mean(values, self.run.weights) for order, values in self.distance.items()
            }
        parts = []
        for metric, orders in scores.items():
            for order, values in orders.items():
                interval = interval_of_weightings(values, self.run.confidence)
                columns = {"value": values[0], "low": interval.low, "high": interval.high}
                index = pd.MultiIndex.from_product(
                    [self.run.names, range(len(self.fractions))], names=["method", "step"]
                )
                found = {name: column.ravel() for name, column in columns.items()}
                table = pd.DataFrame(found | {"undefined": interval.undefined.ravel()}, index=index).reset_index()
                counts = self._counts(order).set_index("method").loc[table["method"]].reset_index(drop=True)
                parts.append(pd.concat([table, counts], axis=1).assign(metric=metric, order=order))
        table = pd.concat(parts, ignore_index=True)
        table = table.assign(
            kind=self.kind.name,
            map=self.map,
            control=table["method"].isin(self.run.controls),
            fraction=self.fractions[table["step"]],
        )
        head = ["kind", "map", "order", "method", "control", "step", "fraction", "metric", "value", "low", "high"]
        return table[[*head, "undefined", "n_ecgs", "n_patients", "n_patients_with"]]

    def _counts(self, order: Order) -> pd.DataFrame:
        """One row a method: ``method, n_ecgs, n_patients, n_patients_with``."""
        label, patients = self.run.label, self.run.patient_ids
        known = np.isfinite(self.logits[order]).all(axis=2) & np.isfinite(label)[:, None]
        has_it = self.run.has_it
        return pd.DataFrame(
            {
                "method": list(self.run.names),
                "n_ecgs": known.sum(axis=0),
                "n_patients": [len(np.unique(patients[one])) for one in known.T],
                "n_patients_with": [len(np.unique(patients[one & has_it])) for one in known.T],
            }
        )

    def summary(self) -> pd.DataFrame:
        """One row a method and metric: areas with intervals.

        ``kind, map, method, control, metric, area_over_curve(_low, _high, _undefined)`` of MoRF,
        ``abpc(_low, _high, _undefined), n_ecgs, n_patients, n_patients_with``. A change of the prediction grows where
        scores fall, so that its areas are taken with the other sign.
        """
        parts = [self._summary_of(metric) for metric in self.metrics]
        counts = self._counts(next(iter(self.logits)))
        return pd.concat(parts, ignore_index=True).merge(counts, on="method", how="left")

    def _summary_of(self, metric: str) -> pd.DataFrame:
        sign = -1.0 if metric == "change" else 1.0
        curves = {order: sign * values for order, values in self.replicates[metric].items()}
        control = np.isin(self.run.names, self.run.controls)
        table = pd.DataFrame({"method": list(self.run.names), "control": control, "metric": metric})
        table.insert(0, "map", self.map)
        table.insert(0, "kind", self.kind.name)
        areas = {}
        if "morf" in curves:
            areas["area_over_curve"] = area_over_curve(curves["morf"], self.fractions)
        if {"morf", "lerf"} <= curves.keys():
            areas["abpc"] = area_between_curves(curves["morf"], curves["lerf"], self.fractions)
        for name, values in areas.items():
            interval = interval_of_weightings(values, self.run.confidence)
            table[name], table[f"{name}_low"], table[f"{name}_high"] = values[0], interval.low, interval.high
            table[f"{name}_undefined"] = interval.undefined
        return table
