"""Localisation: does the map mark the evidence better than maps that know nothing of network or patient?"""

import numpy as np

from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.effect import Effect
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.paired_scores import PairedScores, scores_of_others

_EVIDENCE = ("causal", "core")
"""Evidence by counterfactual twins; by the textbook, where a source knows no other."""


def comparisons(runs: TargetRuns) -> list[Comparison]:
    """AUROC of |map| against the evidence: own map less each control's, patients paired.

    Over the ECGs with the diagnosis whose evidence is known, causal evidence where a run knows it, else the textbook's.

    Args:
        runs: Of one target.

    Returns:
        For each method, and each control without a network as if it were one: against every (other) control without a
        network, and against its own map of another patient. Empty where no evidence is known.
    """
    scores = _scores(runs)
    return [] if scores is None else scores.comparisons("localization")


def mean_map_effects(runs: TargetRuns) -> dict[str, Effect]:
    """Method -> AUROC of its own map less that of the mean map of the other patients: "one map for all would do"."""
    scores = _scores(runs)
    return {} if scores is None else scores.mean_map_effects()


def _scores(runs: TargetRuns) -> PairedScores | None:
    store, others = "localization/auroc", "localization/controls/auroc"
    if not runs.has(store) or not runs.has("localization/share"):
        return None
    known = [region for region in _EVIDENCE if region in runs.coordinate(store, "region")]
    if not known:
        return None
    place = runs.coordinate(store, "region").index(known[0])
    evident = np.isfinite(runs.read("localization/share")[:, :, place]).all(axis=0)
    return PairedScores(
        runs=runs,
        names=runs.coordinate(store, "method"),
        own=runs.read(store)[:, :, place],
        of_others={name: values[:, :, place] for name, values in scores_of_others(runs, others).items()},
        counts=evident & runs.has_it,
    )
