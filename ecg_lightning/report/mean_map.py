"""This module says whether one map for all patients would do as well as their own: a sentence, and no verdict."""

from collections.abc import Iterator

import numpy as np

from ecg_lightning.experiments.registry import EXPERIMENTS
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.claims import CHECKS
from ecg_lightning.report.scorecard_words import signed
from ecg_lightning.runs.target_runs import TargetRuns


def one_map_for_all(runs: TargetRuns) -> Iterator[str]:
    """Yield one sentence a check, where the runs measured the mean map of the other patients.

    Args:
        runs: Runs of one diagnosis.
    """
    for experiment in EXPERIMENTS:
        if experiment.mean_map_effects is None:
            continue
        check, effects_of = experiment.name, experiment.mean_map_effects
        effects = {name: effect for name, effect in effects_of(runs).items() if not method_style(name).control}
        known = {name: float(effect.estimate) for name, effect in effects.items() if np.isfinite(effect.estimate)}
        no_better = [name for name, effect in known.items() if effect <= 0]
        if no_better:
            named = ", ".join(f"{method_style(name).label} ({signed(known[name])})" for name in no_better)
            yield (
                f"{CHECKS[check]}: one map for all, the mean over the other patients, would do as well for {named}; in "
                "brackets what the own map has above it."
            )
        elif known:
            yield f"{CHECKS[check]}: own maps do better than one map for all, the mean over the other patients."
