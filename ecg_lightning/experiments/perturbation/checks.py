"""Perturbation: does the network fall faster by the map than by maps that know nothing of network or patient?"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.data.targets import known_info
from ecg_lightning.experiments.perturbation.kinds import VERDICT_KIND
from ecg_lightning.experiments.perturbation.scores import mean_height, prediction_deviation, relative_change
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.auroc_area import auroc_effect
from ecg_lightning.statistics.effect import Effect
from ecg_lightning.verdicts.comparison import Comparison
from ecg_lightning.verdicts.paired_scores import (
    EVERY_MAP_IS_CONSTANT,
    PairedMaps,
    PairedScores,
    scores_of_others,
    without_pair,
)

Logits = NDArray[np.float64]

_FOLDER: Final = f"perturbation/{VERDICT_KIND.name}"


def comparisons(runs: TargetRuns) -> list[Comparison]:
    """Area between the curves of AUROC (ABPC) in 50-ms blocks: own map less each control's, the ECGs paired.

    An ECG counts in a difference where both maps rank it in every seed, so that a method whose map of some ECGs is zero
    is compared with the controls on the same ECGs.

    Of a measurement it is the mean magnitude of the prediction's change, the most relevant blocks first, in standard
    deviations of the predictions; the ECGs need no label.

    Args:
        runs: Of one target.

    Returns:
        For each method, and each control without a network as if it were one: against every control without a
        network, itself included (so that it never passes), and against its own map of another patient. Empty where the
        blocks were not measured.
    """
    curves = _measured(runs)
    return [] if curves is None else curves.comparisons("perturbation")


def mean_map_effects(runs: TargetRuns) -> dict[str, Effect]:
    """Method -> ABPC of its own map less that of the mean map of the other patients: "one map for all would do"."""
    curves = _measured(runs)
    return {} if curves is None else curves.mean_map_effects()


def _measured(runs: TargetRuns) -> PairedMaps | None:
    return _curves_of(runs) if runs.target_info.kind == "binary" else _changes_of(runs)


def _changes_of(runs: TargetRuns) -> PairedScores | None:
    """How far perturbing what is most relevant moves the prediction of a measurement, on average over the steps."""
    store, of_others = f"{_FOLDER}/morf", f"{_FOLDER}/controls/morf"
    if not runs.has(store):
        return None
    outputs = runs.read(store)
    steps = np.arange(outputs.shape[-1])
    deviation = prediction_deviation(outputs)
    own = mean_height(relative_change(outputs, deviation), steps)
    others = {
        name: mean_height(relative_change(values, deviation), steps)
        for name, values in scores_of_others(runs, of_others, along=-2).items()
    }
    counts = np.asarray(np.isfinite(own).any(axis=2).all(axis=0), dtype=np.bool_)
    return PairedScores(runs, runs.coordinate(store, "method"), own, others, counts)


@dataclass(frozen=True)
class _Curves(PairedMaps):
    """Logits of every map, (seed, ecg, name, term): the steps of the one order, then those of the other.

    Attributes:
        weights: (term,) of the AUROCs whose sum is ABPC.
    """

    weights: NDArray[np.float64]

    def difference(self, own: Logits, other: Logits) -> Effect:
        """ABPC of one map less that of another."""
        logits, weights = np.concatenate([own, other], axis=2), np.concatenate([self.weights, -self.weights])
        return auroc_effect(logits, weights, self.runs.label, self.runs.patient_ids)

    def measured(self, compared: Comparison, own: Logits, other: Logits) -> Comparison:
        """Add the map's own ABPC on the ECGs that both maps rank, and these ECGs' patients by class."""
        label, patients = self.runs.label, self.runs.patient_ids
        ranked = _ranked(own)
        counts = ranked & _ranked(other) & np.isfinite(label)
        value = auroc_effect(np.where(counts[:, None], own, np.nan), self.weights, label, patients).estimate
        n_positive, n_negative = (len(np.unique(patients[counts & (label == kind)])) for kind in (1, 0))
        return replace(
            compared,
            value=float(value),
            n_positive=n_positive,
            n_negative=n_negative,
            n_ecgs=int(counts.sum()),
            needs_negatives=True,
            undefined="" if np.isfinite(compared.effect.estimate) else _why(ranked, counts, compared),
        )


def _why(ranked: NDArray[np.bool_], counts: NDArray[np.bool_], compared: Comparison) -> str:
    if not ranked.any():
        return EVERY_MAP_IS_CONSTANT
    if counts.any():
        return "the ECGs that both maps rank are all of one class, so there is no AUROC"
    return without_pair(compared.against, "is ranked by", known_info(compared.target))


def _curves_of(runs: TargetRuns) -> _Curves | None:
    orders, others = ([f"{_FOLDER}/{folder}{order}" for order in ("morf", "lerf")] for folder in ("", "controls/"))
    if not all(map(runs.has, orders)):
        return None
    of_others = {}
    if all(map(runs.has, others)):
        morf, lerf = (scores_of_others(runs, one, along=-2) for one in others)
        of_others = {control: _both_orders(values, lerf[control]) for control, values in morf.items()}
    return _Curves(
        runs=runs,
        names=runs.coordinate(orders[0], "method"),
        own=_both_orders(*map(runs.read, orders)),
        of_others=of_others,
        weights=abpc_weights(len(runs.coordinate(orders[0], "step"))),
    )


def abpc_weights(steps: int) -> NDArray[np.float64]:
    """Weights of the AUROCs of MoRF's steps but the first, then of LeRF's, whose sum is the area between the curves.

    Trapezoid rule over evenly spaced fractions, divided by their range. Step 0 is the untouched ECG in both orders and
    goes out of the difference.

    Args:
        steps: Of a curve, step 0 included.
    """
    weights = np.ones(steps - 1)
    weights[-1] = 0.5
    weights /= steps - 1
    return np.concatenate([-weights, weights])


def _both_orders(morf: Logits, lerf: Logits) -> Logits:
    """(..., step) each -> (..., term): all steps but the untouched one, of MoRF, then of LeRF."""
    return np.concatenate([morf[..., 1:], lerf[..., 1:]], axis=-1)


def _ranked(logits: Logits) -> NDArray[np.bool_]:
    """(ecg,) which ECGs a map ranks in every seed."""
    return np.asarray(np.isfinite(logits).all(axis=(0, 2)), dtype=np.bool_)
