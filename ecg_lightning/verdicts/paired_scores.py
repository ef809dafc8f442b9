"""Two claims from one score an ECG and map: is it better than without the network, and than without the patient?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.effect import Effect, mean_effect, patient_means
from ecg_lightning.verdicts.checks import margins_of
from ecg_lightning.verdicts.comparison import Comparison


@dataclass(frozen=True)
class PairedScores:
    """Scores of every ECG's own maps, and of what stood in for them; more is better.

    An ECG counts in a difference where both of its scores are known, so that a method whose map of some ECGs is zero is
    compared with the controls on the same ECGs.

    Attributes:
        runs: Runs that the scores are of.
        names: Methods, then controls without a network.
        own: (seed, ecg, name).
        of_others: Control without the patient -> (seed, ecg, name); empty where they were not measured.
        counts: (ecg,) the ECGs that the scores are about.
    """

    runs: TargetRuns
    names: Sequence[str]
    own: NDArray[np.float64]
    of_others: dict[str, NDArray[np.float64]]
    counts: NDArray[np.bool_]

    def comparisons(self, check: str) -> list[Comparison]:
        """Compare every name with each control without a network, and with its own map of another patient.

        A control is compared with itself too: it does not exceed itself, and so never passes as using a network.

        Args:
            check: Name of the check whose margins decide.
        """
        found = []
        for place in range(len(self.names)):
            for against in self.names:
                if against in CONTROLS:
                    other = self.own[:, :, self.names.index(against)]
                    found.append(self._comparison(check, "uses_the_network", place, against, other))
            if "other_ecg" in self.of_others:
                other = self.of_others["other_ecg"][:, :, place]
                found.append(self._comparison(check, "is_about_this_patient", place, "other_ecg", other))
        return found

    def mean_map_effects(self) -> dict[str, Effect]:
        """Name -> its score less that of the mean over the other patients; empty where that was not measured."""
        if "mean_map" not in self.of_others:
            return {}
        mean = self.of_others["mean_map"]
        return {name: self._effect(self.own[:, :, k] - mean[:, :, k])[0] for k, name in enumerate(self.names)}

    def _comparison(self, check: str, claim: str, place: int, against: str, other: NDArray[np.float64]) -> Comparison:
        name, own = self.names[place], self.own[:, :, place]
        effect, n_ecgs = self._effect(own - other)
        value = self._effect(np.where(np.isnan(other), np.nan, own))[0].estimate
        (margin,) = margins_of(check, claim)
        return Comparison(
            target=self.runs.target,
            method=name,
            control=name in CONTROLS,
            against=against,
            margin=margin,
            effect=effect,
            value=float(value),
            n_positive=int(effect.n_patients),
            n_ecgs=n_ecgs,
            undefined="" if effect.n_patients else self._why(own, against),
        )

    def _effect(self, values: NDArray[np.float64]) -> tuple[Effect, int]:
        """Mean over patients and seeds of (seed, ecg) values, and the ECGs that have one in every seed."""
        counted = values[:, self.counts].T
        means, _ = patient_means(counted, self.runs.patient_ids[self.counts])
        return mean_effect(means), int(np.isfinite(counted).all(axis=1).sum())

    def _why(self, own: NDArray[np.float64], against: str) -> str:
        if not self.counts.any():
            return "no ECG with the diagnosis is known"
        if not np.isfinite(own[:, self.counts]).any():
            return "every map is constant or not finite"
        if against == "other_ecg":
            return "no ECG has another patient with the same predicted class"
        return f"no ECG has a score of both this map and {against}"


def scores_of_others(runs: TargetRuns, store: str) -> dict[str, NDArray[np.float64]]:
    """Read each control's scores (seed, ecg, ...) from a store whose last dimension is ``control``.

    Empty where a run lacks the store or its rows: an older run, controls that were not requested, or a test that was
    cut short.
    """
    if not runs.has(store) or not all(run.row_store(store).done.any() for run in runs.runs.values()):
        return {}
    values = runs.read(store)
    return {name: values[..., place] for place, name in enumerate(runs.coordinate(store, "control"))}
