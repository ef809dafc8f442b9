"""Two claims of every map: is it better than one without the network, and than one without the patient?"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.effect import Effect, mean_effect, patient_means
from ecg_lightning.verdicts.checks import margins_of
from ecg_lightning.verdicts.comparison import Comparison

Values = NDArray[np.float64]
EVERY_MAP_IS_CONSTANT: Final = "every map is constant or not finite"


@dataclass(frozen=True)
class PairedMaps(ABC):
    """What was measured by every ECG's own maps, and by what stood in for them.

    An ECG counts in a difference where both are known, so that a method whose map of some ECGs is zero is compared with
    the controls on the same ECGs.

    Attributes:
        runs: Whose they are.
        names: Methods, then controls without a network.
        own: (seed, ecg, name, ...).
        of_others: Control without the patient -> (seed, ecg, name, ...); empty where they were not measured.
    """

    runs: TargetRuns
    names: Sequence[str]
    own: Values
    of_others: dict[str, Values]

    @abstractmethod
    def difference(self, own: Values, other: Values) -> Effect:
        """Return by how much one map, (seed, ecg, ...), is better than another."""

    @abstractmethod
    def measured(self, compared: Comparison, own: Values, other: Values) -> Comparison:
        """Add to a comparison what counts in it, and why it is undefined."""

    def comparisons(self, check: str) -> list[Comparison]:
        """Compare every name with each control without a network, and with its own map of another patient.

        A control is compared with itself too: it does not exceed itself, and so never passes as using a network.

        Args:
            check: Name of the check whose margins decide.
        """
        found = []
        for place in range(len(self.names)):
            for number, against in enumerate(self.names):
                if against in CONTROLS:
                    other = self.own[:, :, number]
                    found.append(self._comparison(check, "uses_the_network", place, against, other))
            if "other_ecg" in self.of_others:
                other = self.of_others["other_ecg"][:, :, place]
                found.append(self._comparison(check, "is_about_this_patient", place, "other_ecg", other))
        return found

    def mean_map_effects(self) -> dict[str, Effect]:
        """Name -> what is measured, less that of the mean over the other patients; empty where there is none of it."""
        if "mean_map" not in self.of_others:
            return {}
        mean = self.of_others["mean_map"]
        return {name: self.difference(self.own[:, :, k], mean[:, :, k]) for k, name in enumerate(self.names)}

    def _comparison(self, check: str, claim: str, place: int, against: str, other: Values) -> Comparison:
        name, own = self.names[place], self.own[:, :, place]
        (margin,) = margins_of(check, claim, self.runs.target_info.kind)
        effect = self.difference(own, other)
        compared = Comparison(self.runs.target, name, name in CONTROLS, against, margin, effect)
        return self.measured(compared, own, other)


@dataclass(frozen=True)
class PairedScores(PairedMaps):
    """One score of every ECG and map, (seed, ecg, name); more is better.

    Attributes:
        counts: (ecg,) the ECGs that the scores are about.
    """

    counts: NDArray[np.bool_]

    def difference(self, own: Values, other: Values) -> Effect:
        """Return the mean difference over patients and seeds."""
        return self._mean(own - other)

    def measured(self, compared: Comparison, own: Values, other: Values) -> Comparison:
        """Add the mean score and the ECGs that have both scores in every seed."""
        n_patients = int(compared.effect.n_patients)
        return replace(
            compared,
            value=float(self._mean(np.where(np.isnan(other), np.nan, own)).estimate),
            n_positive=n_patients,
            n_ecgs=int(np.isfinite((own - other)[:, self.counts]).all(axis=0).sum()),
            undefined="" if n_patients else self._why(own, compared.against),
        )

    def _mean(self, values: Values) -> Effect:
        means, _ = patient_means(values[:, self.counts].T, self.runs.patient_ids[self.counts])
        return mean_effect(means)

    def _why(self, own: Values, against: str) -> str:
        if not self.counts.any():
            return f"no ECG {self.runs.target_info.having_it} is known"
        if not np.isfinite(own[:, self.counts]).any():
            return EVERY_MAP_IS_CONSTANT
        return without_pair(against, "has a score of", self.runs.target_info)


def without_pair(against: str, lacking: str, target: TargetInfo) -> str:
    """Say that no ECG has what two maps have to be compared by."""
    if against == "other_ecg":
        alike = "the same predicted class" if target.kind == "binary" else "a prediction"
        return f"no ECG has another patient with {alike}"
    return f"no ECG {lacking} both this map and {against}"


def scores_of_others(runs: TargetRuns, store: str, along: int = -1) -> dict[str, NDArray[np.float64]]:
    """Read each control's scores (seed, ecg, ...) from a store with a dimension ``control``.

    Args:
        runs: Of one target.
        store: Its name.
        along: Which dimension it is; the last one by default.

    Empty where a run lacks the store or its rows: an older run, controls that were not requested, or a test that was
    cut short.
    """
    if not runs.has(store) or not all(run.row_store(store).done.any() for run in runs.runs.values()):
        return {}
    values = np.moveaxis(runs.read(store), along, -1)
    return {name: values[..., place] for place, name in enumerate(runs.coordinate(store, "control"))}
