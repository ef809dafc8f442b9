"""Whether one map for all patients would do as well as each patient's own: a sentence, and no verdict."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np

from ecg_lightning.experiments.faithfulness import checks as faithfulness
from ecg_lightning.experiments.localization import checks as localization
from ecg_lightning.experiments.perturbation import checks as perturbation
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.report.claims import CHECKS
from ecg_lightning.report.scorecard_words import signed
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.effect import Effect

_EFFECTS: Final[Mapping[str, Callable[[TargetRuns], dict[str, Effect]]]] = {
    "localization": localization.mean_map_effects,
    "perturbation": perturbation.mean_map_effects,
    "faithfulness": faithfulness.mean_map_effects,
}
"""Check -> the score of each method's own maps less that of the mean over the other patients."""


def one_map_for_all(runs: TargetRuns) -> Iterator[str]:
    """One sentence a check, where the runs measured the mean map of the other patients.

    Args:
        runs: Of one diagnosis.
    """
    for check, effects_of in _EFFECTS.items():
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
