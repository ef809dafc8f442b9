"""What localisation says: means with intervals beside chance, and which methods do better than the controls."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray

from callbacks.audit_results import AuditResults
from ecg_lightning.functional.control_comparison import compare_with_best_control
from ecg_lightning.functional.intervals import interval_of_weightings, weighted_mean, weightings
from ecg_lightning.functional.localization import LocalizationScore
from ecg_lightning.plotting.bars import ScorePanel, scores_figure

_LABELS: Final[dict[LocalizationScore, str]] = {
    "relevance_mass": "share of |map| inside",
    "relevance_rank_accuracy": "rank accuracy",
    "pointing_game": "maximum inside (share of ECGs)",
    "auroc": "AUROC of |map|",
}
_REGION_WORDS: Final = {
    "causal": "causal evidence",
    "core": "textbook evidence",
    "PR": "PR segment",
    "ST": "ST segment",
}
EVIDENCE: Final = ("causal", "core")


@dataclass(frozen=True)
class LocalizationReport:
    """Tables and pictures of one run.

    Attributes:
        scores: Score -> (n, region, method); NaN where it is not defined.
        share: (n, region) of the points inside.
        regions: Which.
        names: Methods, then controls.
        controls: Which of them are controls.
        examples: The test ECGs.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Of the intervals.
        seed: Of the resamples.
        what: Diagnosis and seed, for headings.
    """

    scores: Mapping[LocalizationScore, NDArray[np.float64]]
    share: NDArray[np.float64]
    regions: Sequence[str]
    names: Sequence[str]
    controls: Sequence[str]
    examples: pd.DataFrame
    n_resamples: int
    confidence: float
    seed: int
    what: str

    def write(self, results: AuditResults) -> None:
        """Table, pictures and log."""
        table = self.table()
        results.table("localization", table)
        for region in self.regions:
            if (self.share[:, self.regions.index(region)] >= 0).any():
                self._draw(results, table, region)
        own = table[table["score"] == "auroc"]
        numbers = {
            f"localization/auroc/{row['region']}/{row['method']}": float(row["value"])
            for row in own.dropna(subset=["value"]).to_dict("records")
        }
        results.numbers(numbers)
        undefined = int(table[table["score"] == "auroc"]["n_undefined"].sum())
        if undefined:
            rank_zero_warn(
                f"EvidenceLocalization: {undefined} scores are undefined, because a map is constant or not finite; "
                "they are NaN, and left out of means"
            )

    def table(self) -> pd.DataFrame:
        """One row a score, region and method.

        ``score, region, method, control, value, low, high, chance, n_ecgs, n_undefined``; and against the best control
        ``difference_to_best_control(_low, _high), p, p_holm, beats_controls``.
        """
        weights = weightings(self.examples["patient_id"], self.n_resamples, self.seed)
        parts = [
            self._part(score, values[:, index], region, self.share[:, index], weights)
            for score, values in self.scores.items()
            for index, region in enumerate(self.regions)
        ]
        return pd.concat(parts, ignore_index=True)

    def _part(
        self,
        score: LocalizationScore,
        values: NDArray[np.float64],
        region: str,
        share: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> pd.DataFrame:
        means = weighted_mean(values, weights)  # (1 + r, method)
        control = np.isin(self.names, self.controls)
        known = np.isfinite(share)
        low, high = interval_of_weightings(means, self.confidence)
        table = pd.DataFrame(
            {
                "score": score,
                "region": region,
                "method": list(self.names),
                "control": control,
                "value": means[0],
                "low": low,
                "high": high,
                "chance": 0.5 if score == "auroc" else (float(np.mean(share[known])) if known.any() else np.nan),
                "n_ecgs": np.isfinite(values).sum(axis=0),
                "n_undefined": int(known.sum()) - np.isfinite(values).sum(axis=0),
            }
        )
        if control.any() and not control.all() and len(means) > 1:
            found = compare_with_best_control(
                means[0, ~control], means[0, control], means[1:, ~control], means[1:, control], self.confidence
            )
            for column, compared in found._asdict().items():
                name = {"difference": "", "low": "_low", "high": "_high"}.get(column)
                table.loc[~control, column if name is None else f"difference_to_best_control{name}"] = compared
            better = table["difference_to_best_control"] > 0
            table["beats_controls"] = better & (table["p_holm"] < 1 - self.confidence)
        return table

    def _draw(self, results: AuditResults, table: pd.DataFrame, region: str) -> None:
        own = table[table["region"] == region]
        panels = [
            ScorePanel("", label, rows := own[own["score"] == score], float(rows["chance"].iloc[0]))
            for score, label in _LABELS.items()
        ]
        words = _REGION_WORDS.get(region, f"{region} wave" if region != "QRS" else "QRS complex")
        count = int(np.isfinite(self.share[:, self.regions.index(region)]).sum())
        caption = (
            f"How much of each map lies in the {words}, which covers {panels[0].chance:.1%} of the points on average; "
            f"unsmoothed |map| of all leads. Means over the {count} test ECGs whose {words} is known; bars: "
            f"{self.confidence:.0%} intervals, patients resampled. Hollow, italic: controls, which know nothing of the "
            "network."
        )
        figure = scores_figure(panels, f"Localisation of the {words}: {self.what}", caption)
        results.figure(f"localization/{region}", figure, caption)
