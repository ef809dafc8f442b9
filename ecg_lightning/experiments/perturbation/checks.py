"""Perturbation: does the network fall faster by the map than by maps that know nothing of network or patient?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.experiments.perturbation.kinds import VERDICT_KIND
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.auroc_area import auroc_effect
from ecg_lightning.statistics.effect import Effect
from ecg_lightning.verdicts.checks import margins_of
from ecg_lightning.verdicts.comparison import Comparison

Logits = NDArray[np.float64]

_CHECK: Final = "perturbation"
_FOLDER: Final = f"perturbation/{VERDICT_KIND.name}"


def comparisons(runs: TargetRuns) -> list[Comparison]:
    """Area between the curves of AUROC (ABPC) in 50-ms blocks: own map less each control's, the ECGs paired.

    An ECG counts in a difference where both maps rank it in every seed, so that a method whose map of some ECGs is zero
    is compared with the controls on the same ECGs.

    Args:
        runs: Of one target.

    Returns:
        For each method, and each control without a network as if it were one: against every control without a
        network, itself included (so that it never passes), and against its own map of another patient. Empty where the
        blocks were not measured.
    """
    curves = _curves_of(runs)
    if curves is None:
        return []
    found = []
    for name, own in curves.own.items():
        others = {against: curves.own[against] for against in curves.own if against in CONTROLS}
        found += [curves.comparison("uses_the_network", name, own, *pair) for pair in others.items()]
        if "other_ecg" in curves.of_others:
            other = curves.of_others["other_ecg"][name]
            found.append(curves.comparison("is_about_this_patient", name, own, "other_ecg", other))
    return found


def mean_map_effects(runs: TargetRuns) -> dict[str, Effect]:
    """Method -> ABPC of its own map less that of the mean map of the other patients: "one map for all would do"."""
    curves = _curves_of(runs)
    if curves is None or "mean_map" not in curves.of_others:
        return {}
    return {name: curves.difference(own, curves.of_others["mean_map"][name]) for name, own in curves.own.items()}


@dataclass(frozen=True)
class _Curves:
    """Logits of every map.

    Attributes:
        runs: Whose they are.
        own: Name -> (seed, ecg, term): the steps of the one order, then those of the other.
        of_others: Control without the patient -> name -> (seed, ecg, term); empty where they were not measured.
        weights: (term,) of the AUROCs whose sum is ABPC.
    """

    runs: TargetRuns
    own: dict[str, Logits]
    of_others: dict[str, dict[str, Logits]]
    weights: NDArray[np.float64]

    def difference(self, own: Logits, other: Logits) -> Effect:
        """ABPC of one map less that of another."""
        logits, weights = np.concatenate([own, other], axis=2), np.concatenate([self.weights, -self.weights])
        return auroc_effect(logits, weights, self.runs.label, self.runs.patient_ids)

    def comparison(self, claim: str, name: str, own: Logits, against: str, other: Logits) -> Comparison:
        """One map against another."""
        effect = self.difference(own, other)
        label, patients = self.runs.label, self.runs.patient_ids
        ranked = _ranked(own)
        counts = ranked & _ranked(other) & np.isfinite(label)
        value = auroc_effect(np.where(counts[:, None], own, np.nan), self.weights, label, patients).estimate
        n_positive, n_negative = (len(np.unique(patients[counts & (label == kind)])) for kind in (1, 0))
        (margin,) = margins_of(_CHECK, claim)
        return Comparison(
            target=self.runs.target,
            method=name,
            control=name in CONTROLS,
            against=against,
            margin=margin,
            effect=effect,
            value=float(value),
            n_positive=n_positive,
            n_negative=n_negative,
            n_ecgs=int(counts.sum()),
            needs_negatives=True,
            undefined="" if np.isfinite(effect.estimate) else self._why(ranked, counts, against),
        )

    def _why(self, ranked: NDArray[np.bool_], counts: NDArray[np.bool_], against: str) -> str:
        if not ranked.any():
            return "every map is constant or not finite"
        if counts.any():
            return "the ECGs that both maps rank are all of one class, so there is no AUROC"
        if against == "other_ecg":
            return "no ECG has another patient with the same predicted class"
        return f"no ECG is ranked by both this map and {against}"


def _curves_of(runs: TargetRuns) -> _Curves | None:
    orders = (f"{_FOLDER}/morf", f"{_FOLDER}/lerf")
    if not all(map(runs.has, orders)):
        return None
    names = runs.coordinate(orders[0], "method")
    steps = len(runs.coordinate(orders[0], "step"))
    own = _both_orders(*map(runs.read, orders))
    others = (f"{_FOLDER}/controls/morf", f"{_FOLDER}/controls/lerf")
    of_others = {}
    if all(map(runs.has, others)):
        logits = _both_orders(*map(runs.read, others))  # (seed, ecg, method, control, term)
        for place, control in enumerate(runs.coordinate(others[0], "control")):
            of_others[control] = dict(_by_name(names, logits[:, :, :, place]))
    return _Curves(runs, dict(_by_name(names, own)), of_others, abpc_weights(steps))


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


def _by_name(names: tuple[str, ...], logits: Logits) -> Iterator[tuple[str, Logits]]:
    """Name -> (seed, ecg, term) of (seed, ecg, method, term)."""
    return ((name, logits[:, :, place]) for place, name in enumerate(names))
