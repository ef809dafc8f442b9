"""Table and picture of the scores of one run's maps."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.experiments.faithfulness.figures import score_panels
from ecg_lightning.experiments.run_results import RunResults
from ecg_lightning.experiments.score_rows import score_rows, where_own_is_known
from ecg_lightning.plotting.bars import MARKS, scores_figure


@dataclass(frozen=True)
class FaithfulnessReport:
    """The scores of one run.

    Attributes:
        scores: Score -> (n, method); NaN where it is not defined.
        of_others: Control without the patient -> (n, method) infidelity; empty where none was measured.
        measured: Score -> (n,) the ECGs that it was measured of.
        sensed: (method,) the methods that max-sensitivity was measured of.
        run: The run.
        settings: What infidelity and max-sensitivity are, with their settings, in sentences.
    """

    scores: Mapping[str, NDArray[np.float64]]
    of_others: Mapping[str, NDArray[np.float64]]
    measured: Mapping[str, NDArray[np.bool_]]
    sensed: NDArray[np.bool_]
    run: AuditedRun
    settings: str

    def write(self, results: RunResults) -> None:
        """Write the table and the picture."""
        table, caption = self.table(), self.caption()
        results.table("scores", table)

        def draw() -> Figure:
            return scores_figure(score_panels(table, lambda rows: rows), f"Scores of maps: {self.run.what}", caption)

        results.figure("scores/scores", draw, caption, summary=True)
        if undefined := int(table["n_undefined"].sum()):
            warnings.warn(
                f"FaithfulnessScores: {undefined} scores are undefined, because a map is zero everywhere or not "
                "finite, or nobody stands in for it; they are NaN, and left out of means",
                stacklevel=2,
            )

    def caption(self) -> str:
        """Say data, settings and intervals in words."""
        chosen = self.run.examples[self.measured["infidelity"]]
        positive = chosen["patient_id"][self.run.has_it[self.measured["infidelity"]]].nunique()
        sensed = self.measured["max_sensitivity"].sum() if "max_sensitivity" in self.scores else 0
        return (
            f"Means over {len(chosen)} test ECGs (max-sensitivity: {sensed}) of {chosen['patient_id'].nunique()} "
            f"patients, {positive} of them {self.run.target_info.having_it}; bars: {self.run.confidence:.0%} "
            f"intervals of the own maps, patients resampled. {self.settings} Sparseness (Gini) and complexity "
            f"(entropy) of |map|: neither better nor worse. {MARKS}"
        )

    def table(self) -> pd.DataFrame:
        """Return ``score, method, control, map, value, low, high, patient_mean, median, n_...`` of every score.

        See :mod:`ecg_lightning.experiments.score_rows`; what stands in for a map counts where the own map has a score.
        """
        parts = []
        for name, own in self.scores.items():
            parts.append(self._rows(name, "own", own))
            for control, values in self.of_others.items() if name == "infidelity" else ():
                parts.append(self._rows(name, control, where_own_is_known(own, values)))
        return pd.concat(parts, ignore_index=True)

    def _rows(self, name: str, of_map: str, values: NDArray[np.float64]) -> pd.DataFrame:
        measured = self.measured[name]
        values = values[measured]
        table = score_rows(values, replace(self.run, examples=self.run.examples[measured]))
        requested = self.sensed if name == "max_sensitivity" else np.ones(len(self.run.names), dtype=bool)
        table["n_undefined"] = np.where(requested, len(values) - table["n_ecgs"], 0)
        table.insert(5, "median", pd.DataFrame(values).median().to_numpy())
        table.insert(1, "map", of_map)
        table.insert(1, "control", table["method"].isin(self.run.controls))
        table.insert(0, "score", name)
        return table


def settings_words(draws: int, noise: float, sensitivity_draws: int, radius: float) -> str:
    """Say what infidelity and max-sensitivity are; the arguments are those of ``FaithfulnessScores``."""
    return (
        f"Infidelity: share of the logit's changes under {draws} Gaussian perturbations of {noise:g} x "
        "the ECG's range that the map does not foretell (1: a map of zeros); less is better. Max-sensitivity: "
        f"{sensitivity_draws} perturbations within {radius:g} mV, methods of a single pass; less is "
        "better."
    )
