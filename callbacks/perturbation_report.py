"""What perturbed logits say: curves, areas, and which methods do better than maps that know nothing of the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from callbacks.audit_results import AuditResults
from ecg_lightning.functional.classification import ranking_scores
from ecg_lightning.functional.control_comparison import compare_with_best_control
from ecg_lightning.functional.intervals import interval_of_weightings, weighted_mean, weightings
from ecg_lightning.functional.perturbation import Order
from ecg_lightning.functional.perturbation_scores import area_between_curves, area_over_curve
from ecg_lightning.plotting.curves import CurvePanel, XAxis, curve_of, curves_figure

METRICS: Final = ("auroc", "auprc", "probability")
"""``probability``: mean predicted probability of the ECGs that have the diagnosis."""

_ORDER_TITLES: Final = {"morf": "most relevant first", "lerf": "least relevant first"}


@dataclass(frozen=True)
class PerturbationReport:
    """Tables and pictures of one run.

    Attributes:
        logits: Order -> (n, method, step); NaN where a map has no order.
        names: Methods, then controls.
        controls: Which of them are controls.
        examples: The test ECGs, ``label`` and ``patient_id``.
        fractions: (step,) shares of the points that are perturbed.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Of the intervals.
        seed: Of the resamples.
        what: Diagnosis and seed, for headings.
        settings: Of the perturbation, for captions.
    """

    logits: Mapping[Order, NDArray[np.float64]]
    names: Sequence[str]
    controls: Sequence[str]
    examples: pd.DataFrame
    fractions: NDArray[np.float64]
    n_resamples: int
    confidence: float
    seed: int
    what: str
    settings: str

    def write(self, results: AuditResults) -> None:
        """Tables, picture and log."""
        results.table("perturbation", self.curve_table)
        summary = self.summary()
        results.table("perturbation_summary", summary)
        figure = curves_figure(
            self._panels(),
            XAxis("perturbed points (%)"),
            f"Perturbation of what maps call relevant: {self.what}",
            self.caption(),
        )
        results.figure(
            "perturbation/auroc" if self._both_classes else "perturbation/probability", figure, self.caption()
        )
        results.curves("perturbation", "fraction", self._wide())
        metric = "auroc" if self._both_classes else "probability"
        chosen = summary[summary["metric"] == metric].set_index("method")
        for column in ("abpc", "area_over_curve"):
            known = chosen[column].dropna() if column in chosen else pd.Series(dtype=float)
            results.numbers({f"perturbation/{column}/{name}": float(value) for name, value in known.items()})
        self._warn()

    def caption(self) -> str:
        """Data, settings and intervals in words."""
        label = self._label
        return (
            f"Every step replaces another {self.fractions[1]:.1%} of the points by the line between their kept "
            f"neighbours in time, {self.settings}; points ranked by the unsmoothed |map|. "
            f"{int((label == 1).sum())} test ECGs with and {int((label == 0).sum())} without the diagnosis, of "
            f"{self.examples['patient_id'].nunique()} patients; bands: {self.confidence:.0%} intervals, patients "
            "resampled. Grey, broken: controls, which know nothing of the network."
        )

    @property
    def _label(self) -> NDArray[np.float64]:
        return self.examples["label"].to_numpy(dtype=float)

    @property
    def _both_classes(self) -> bool:
        return bool(np.isin((0, 1), self._label).all())

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        """(1 + r, n): every ECG once, then the resamples."""
        return weightings(self.examples["patient_id"], self.n_resamples, self.seed)

    @cached_property
    def replicates(self) -> dict[str, dict[Order, NDArray[np.float64]]]:
        """Metric -> order -> (1 + r, method, step), the first of them with every ECG once."""
        found: dict[str, dict[Order, NDArray[np.float64]]] = {metric: {} for metric in METRICS}
        for order, logits in self.logits.items():
            shape = (len(self._weights), *logits.shape[1:])
            auroc, auprc = np.full(shape, np.nan), np.full(shape, np.nan)
            for method, step in np.ndindex(*logits.shape[1:]):
                if step == 0 and method and np.array_equal(logits[:, method, 0], logits[:, 0, 0], equal_nan=True):
                    auroc[:, method, 0], auprc[:, method, 0] = auroc[:, 0, 0], auprc[:, 0, 0]
                    continue
                known = np.isfinite(logits[:, method, step])
                auroc[:, method, step], auprc[:, method, step] = ranking_scores(
                    logits[known, method, step], self._label[known], self._weights[:, known]
                )
            found["auroc"][order], found["auprc"][order] = auroc, auprc
            have_it = self._label == 1
            probability = 1 / (1 + np.exp(-logits[have_it]))
            found["probability"][order] = weighted_mean(probability, self._weights[:, have_it])
        return found

    @cached_property
    def curve_table(self) -> pd.DataFrame:
        """``order, method, control, step, fraction, metric, value, low, high, n_ecgs``."""
        parts = []
        for metric, orders in self.replicates.items():
            for order, values in orders.items():
                low, high = interval_of_weightings(values, self.confidence)
                known = np.isfinite(self.logits[order]).sum(axis=0)
                for index, name in enumerate(self.names):
                    columns = {
                        "order": order,
                        "method": name,
                        "control": name in self.controls,
                        "step": np.arange(len(self.fractions)),
                        "fraction": self.fractions,
                        "metric": metric,
                        "value": values[0, index],
                        "low": low[index],
                        "high": high[index],
                        "n_ecgs": known[index],
                    }
                    parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """One row a method and metric: areas with intervals, and ABPC against the best control.

        ``method, control, metric, area_over_curve(_low, _high)`` of MoRF, ``abpc(_low, _high)``,
        ``difference_to_best_control(_low, _high), p, p_holm`` (of ABPC, adjusted over the methods), ``beats_controls``.
        """
        return pd.concat([self._summary_of(metric) for metric in METRICS], ignore_index=True)

    def _summary_of(self, metric: str) -> pd.DataFrame:
        curves = self.replicates[metric]
        control = np.isin(self.names, self.controls)
        table = pd.DataFrame({"method": list(self.names), "control": control, "metric": metric})
        if "morf" in curves:
            self._add(table, "area_over_curve", area_over_curve(curves["morf"], self.fractions))
        if "morf" not in curves or "lerf" not in curves:
            return table
        abpc = area_between_curves(curves["morf"], curves["lerf"], self.fractions)
        self._add(table, "abpc", abpc)
        if not control.any() or control.all() or len(abpc) < 2:
            return table
        found = compare_with_best_control(
            abpc[0, ~control], abpc[0, control], abpc[1:, ~control], abpc[1:, control], self.confidence
        )
        for column, values in (
            ("difference_to_best_control", found.difference),
            ("difference_to_best_control_low", found.low),
            ("difference_to_best_control_high", found.high),
            ("p", found.p),
            ("p_holm", found.p_holm),
        ):
            table.loc[~control, column] = values
        table["beats_controls"] = (table["difference_to_best_control"] > 0) & (table["p_holm"] < 1 - self.confidence)
        return table

    def _add(self, table: pd.DataFrame, name: str, values: NDArray[np.float64]) -> None:
        """A score with its interval, from (1 + r, method)."""
        low, high = interval_of_weightings(values, self.confidence)
        table[name], table[f"{name}_low"], table[f"{name}_high"] = values[0], low, high

    def _panels(self) -> list[CurvePanel]:
        metric, label, level = (
            ("auroc", "AUROC", 0.5) if self._both_classes else ("probability", "mean probability", None)
        )
        table = self.curve_table[self.curve_table["metric"] == metric]
        table = table.assign(percent=100 * table["fraction"])
        panels = []
        for order in self.logits:
            of_order = table[table["order"] == order]
            curves = {name: curve_of(of_order[of_order["method"] == name], "percent", "value") for name in self.names}
            panels.append(CurvePanel(_ORDER_TITLES[order], label, curves, level=level))
        lowest = min(float(np.nanmin(one.y, initial=1.0)) for panel in panels for one in panel.curves.values())
        limits = (min(lowest - 0.03, 0.45 if self._both_classes else 0.0), 1.02)
        return [CurvePanel(p.title, p.y_label, p.curves, limits, p.level) for p in panels]

    def _wide(self) -> pd.DataFrame:
        """One row a fraction, one column a curve, for W&B."""
        table = self.curve_table.assign(
            name=lambda t: t["order"] + "/" + t["metric"] + "/" + t["method"], value=lambda t: t["value"]
        )
        return table.pivot(index="fraction", columns="name", values="value")

    def _warn(self) -> None:
        without = {
            name: int(np.isnan(logits[:, index, -1]).sum() - np.isnan(logits[:, :, 0]).all(axis=1).sum())
            for logits in self.logits.values()
            for index, name in enumerate(self.names)
        }
        named = ", ".join(f"{name}: {count}" for name, count in without.items() if count > 0)
        if named:
            rank_zero_warn(
                "PerturbationCurves: maps that are constant or not finite rank nothing and have no curve "
                f"({named} ECGs)"
            )
        if not self._both_classes:
            rank_zero_warn(
                "PerturbationCurves: the test ECGs are all of one class, so there is no AUROC; the mean probability "
                "of the ECGs with the diagnosis is given"
            )
