"""Does a map need the network's weights? What is left of it in networks that are random (experiment 3)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.experiments.randomization.draws import BASIS, read_draws, runs_with
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.draws import effect_over_draws
from ecg_lightning.statistics.effect import Effect
from ecg_lightning.verdicts.checks import Margin, margins_of
from ecg_lightning.verdicts.comparison import Comparison

AGAINST: Final = "random network"


def comparisons(runs: TargetRuns) -> list[Comparison]:
    """Compare each method and control: partial correlation of magnitudes inside +-.2, and raw magnitude under .5.

    Both with every layer random. A random network says the same whatever the label, so patients of any label count.

    Args:
        runs: Of one target. With several networks, the draws of each are averaged; with one, its draws take the place
            of the networks in the interval.

    Returns:
        Three comparisons a method, of the runs that have the stores: a study may randomise some of its networks only.
        None where no run has them (an earlier version, or the audit was left out).
    """
    found: list[Comparison] = []
    having = runs_with(runs, f"{BASIS}/partial")
    if having is None:
        return []
    for margin in margins_of("randomization", "needs_the_weights"):
        store = f"{BASIS}/{margin.score}"
        values = read_draws(having, store)
        effects = effect_over_draws(values, runs.patient_ids)
        for place, method in enumerate(having.coordinate(store, "method")):
            found.append(_comparison(runs, margin, method, values[..., place], effects.at(place)))
    return found


def _comparison(
    runs: TargetRuns, margin: Margin, method: str, values: NDArray[np.float64], effect: Effect
) -> Comparison:
    """From (seed, ecg, draw) values."""
    counted = np.asarray(np.isfinite(values).any(axis=2).all(axis=0))  # (ecg,) that every network has a value of
    having, others = (len(set(runs.patient_ids[counted & some])) for some in (runs.has_it, runs.label == 0))
    return Comparison(
        target=runs.target,
        method=method,
        control=method in CONTROLS,
        against=AGAINST,
        margin=margin,
        effect=effect,
        value=float(effect.estimate),
        n_positive=having,
        n_negative=others,
        n_ecgs=int(counted.sum()),
        any_label=True,
        undefined=_why_undefined(margin, values, counted),
    )


def _why_undefined(margin: Margin, values: NDArray[np.float64], counted: NDArray[np.bool_]) -> str:
    if counted.any():
        one = values.shape[0] == 1 and np.isfinite(values).any(axis=(0, 1)).sum() == 1
        return "one draw of one network says nothing of another draw" if one else ""
    if margin.score == "partial":
        return "given |ECG| and |slope|, nothing is left of these maps"
    return "every map is constant or not finite"
