"""What localisation says: means with intervals beside chance, of own maps and of what stands in for them."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.experiments.localization.measure import LocalizationScore
from ecg_lightning.experiments.run_results import RunResults
from ecg_lightning.experiments.score_rows import score_rows, where_own_is_known
from ecg_lightning.plotting.bars import MARKS, ScorePanel, scores_figure

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
        of_others: Score -> control without the patient -> (n, region, method); empty where none was measured.
        share: (n, region) of the points inside.
        regions: Which.
        run: The run.
        over_beats: Whether the maps are of recordings, averaged over their beats.
    """

    scores: Mapping[LocalizationScore, NDArray[np.float64]]
    of_others: Mapping[LocalizationScore, Mapping[str, NDArray[np.float64]]]
    share: NDArray[np.float64]
    regions: Sequence[str]
    run: AuditedRun
    over_beats: bool = False

    def write(self, results: RunResults) -> None:
        """Table, pictures and log."""
        table = self.table()
        results.table("localization", table)
        drawn = [region for place, region in enumerate(self.regions) if (self.share[:, place] >= 0).any()]
        for region in drawn:
            self._draw(results, table, region, summary=region == drawn[0])
        own = table[(table["score"] == "auroc") & (table["map"] == "own")]
        numbers = {
            f"localization/auroc/{row['region']}/{row['method']}": float(row["value"])
            for row in own.dropna(subset=["value"]).to_dict("records")
        }
        results.numbers(numbers)
        undefined = int(own["n_undefined"].sum())
        if undefined:
            warnings.warn(
                f"EvidenceLocalization: {undefined} scores are undefined, because a map is constant or not finite or "
                "a region is empty; "
                "they are NaN, and left out of means",
                stacklevel=2,
            )

    def table(self) -> pd.DataFrame:
        """One row a score, region, method and map, which is ``own`` or what stands in for it.

        ``score, region, method, control, map, chance, n_undefined``, and what
        :mod:`ecg_lightning.experiments.score_rows` gives. What stands in for a map counts where the own map has
        a score.
        """
        parts = []
        for score, values in self.scores.items():
            for index, region in enumerate(self.regions):
                own, share = values[:, index], self.share[:, index]
                maps: dict[str, NDArray[np.float64]] = {"own": own}
                maps |= {name: where_own_is_known(own, of[:, index]) for name, of in self.of_others[score].items()}
                for name, found in maps.items():
                    part = score_rows(found, self.run)
                    undefined = int(np.isfinite(share).sum()) - part["n_ecgs"]
                    chance = _chance(score, share)
                    part = part.assign(score=score, region=region, map=name, chance=chance, n_undefined=undefined)
                    parts.append(part)
        table = pd.concat(parts, ignore_index=True)
        table["control"] = table["method"].isin(self.run.controls)
        first = ["score", "region", "method", "control", "map"]
        return table[[*first, *(column for column in table if column not in first)]]

    def _draw(self, results: RunResults, table: pd.DataFrame, region: str, *, summary: bool) -> None:
        own = table[table["region"] == region]
        panels = [
            ScorePanel("", label, rows := own[own["score"] == score], float(rows["chance"].iloc[0]))
            for score, label in _LABELS.items()
        ]
        words = _REGION_WORDS.get(region, f"{region} wave" if region != "QRS" else "QRS complex")
        known = np.isfinite(self.share[:, self.regions.index(region)])
        positive = known & self.run.has_it
        patients, of_positives = (self.run.examples["patient_id"][rows].nunique() for rows in (known, positive))
        caption = (
            f"How much of each map lies in the {words}, which covers {panels[0].chance:.1%} of the points on average; "
            f"unsmoothed |map| of all leads{', averaged over the beats first' * self.over_beats}. Means "
            f"over the {known.sum()} test ECGs whose {words} is known, of "
            f"{patients} patients, {of_positives} of them {self.run.target_info.having_it}; bars: "
            f"{self.run.confidence:.0%} intervals of the own maps, patients resampled{self._undefined(own)}. {MARKS}"
        )
        title = f"Localisation of the {words}: {self.run.what}"
        results.figure(
            f"localization/{region}", lambda: scores_figure(panels, title, caption), caption, summary=summary
        )

    def _undefined(self, table: pd.DataFrame) -> str:
        """How many resamples say nothing, in words; empty where all do."""
        worst = int(table["n_resamples_undefined"].max())
        return (
            f" (up to {worst} of {self.run.n_resamples} resamples hold no such ECG and are left out)" if worst else ""
        )


def _chance(score: LocalizationScore, share: NDArray[np.float64]) -> float:
    """What a map that points nowhere reaches, of the (n,) share of the points inside."""
    known = np.isfinite(share)
    if score == "auroc":
        return 0.5
    return float(np.mean(share[known])) if known.any() else np.nan
