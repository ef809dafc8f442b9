"""Faithfulness: does the map foretell how the logit moves, better than maps that know nothing of network or patient?"""

import numpy as np

from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.effect import Effect
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.paired_scores import PairedScores, scores_of_others


def comparisons(runs: TargetRuns) -> list[Comparison]:
    """Infidelity, of which less is better: the control's less the method's, patients with the diagnosis paired.

    Args:
        runs: Of one target.

    Returns:
        As for :func:`.localization.checks.comparisons`; empty where infidelity was not measured.
    """
    scores = _scores(runs)
    return [] if scores is None else scores.comparisons("faithfulness")


def mean_map_effects(runs: TargetRuns) -> dict[str, Effect]:
    """Method -> infidelity of the mean map of the other patients less that of its own map."""
    scores = _scores(runs)
    return {} if scores is None else scores.mean_map_effects()


def _scores(runs: TargetRuns) -> PairedScores | None:
    store = "scores/infidelity"
    if not runs.has(store) or any(run.row_store(store).spec.unit != "1" for run in runs.runs.values()):
        return None  # of a version that did not relate it to the change, so that single ECGs decided
    own = runs.read(store)
    return PairedScores(
        runs=runs,
        names=runs.coordinate(store, "method"),
        own=-own,
        of_others={name: -values for name, values in scores_of_others(runs, "scores/controls/infidelity").items()},
        counts=np.isfinite(own).any(axis=2).all(axis=0) & runs.has_it,
    )
