"""What each check compares, read from the stores of a target's runs."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recomputed import effects
from recomputed.effects import Effect
from recomputed.stores import Array, RunFiles, joined, read_runs
from recomputed.tables import CONTROLS

BASIS = "cascade/random_networks/reset_recalibrated"
BLOCKS = "perturbation/block50_interpolation_none"


@dataclass(frozen=True)
class Comparison:
    """A method's map beside something else.

    Attributes:
        of: Check, claim and score, as in the margins.
        method: Whose.
        against: What else.
        effect: Of the difference.
        value: The method's own mean score.
        n_with: Patients with the diagnosis that count.
        n_without: Patients without it.
        n_ecgs: ECGs.
        n_seeds: Networks.
        undefined: Whether there is nothing to test.
        needs_without: Whether patients without the diagnosis are needed too.
        any_label: Whether patients of any label count.
    """

    of: tuple[str, str, str]
    method: str
    against: str
    effect: Effect
    value: float
    n_with: int
    n_without: int
    n_ecgs: int
    n_seeds: int
    undefined: bool = False
    needs_without: bool = False
    any_label: bool = False

    @property
    def control(self) -> bool:
        """Whether the method is a control without a network."""
        return self.method in CONTROLS


def comparisons(runs: list[RunFiles]) -> Iterator[Comparison]:
    """Of every check that the runs have the stores of."""
    yield from _localization(runs)
    yield from _perturbation(runs)
    yield from _faithfulness(runs)
    yield from _randomization(runs)


def _others(runs: list[RunFiles], name: str) -> dict[str, Array]:
    """Control without the patient -> (seed, ecg, ...)."""
    if not all(run.has(name) for run in runs):
        return {}
    values, store = read_runs(runs, name)
    axis = 1 + store.dims.index("control")
    return {control: np.take(values, k, axis=axis) for k, control in enumerate(store.coords["control"])}


# --- one score an ECG --------------------------------------------------------------------------------------------


def _localization(runs: list[RunFiles]) -> Iterator[Comparison]:
    if not all(run.has("localization/auroc") for run in runs):
        return
    own, store = read_runs(runs, "localization/auroc")
    regions = store.coords["region"]
    region = next((regions.index(name) for name in ("causal", "core") if name in regions), None)
    if region is None:
        return
    evident = np.isfinite(read_runs(runs, "localization/share")[0][:, :, region]).all(axis=0)
    others = {name: v[:, :, region] for name, v in _others(runs, "localization/controls/auroc").items()}
    counts = evident & (runs[0].label == 1)
    yield from _paired(runs, ("localization", "auroc"), store.coords["method"], own[:, :, region], others, counts)


def _faithfulness(runs: list[RunFiles]) -> Iterator[Comparison]:
    name = "scores/infidelity"
    if not all(run.has(name) and run.unit(name) == "1" for run in runs):
        return
    own, store = read_runs(runs, name)
    others = {control: -values for control, values in _others(runs, "scores/controls/infidelity").items()}
    counts = np.isfinite(own).any(axis=2).all(axis=0) & (runs[0].label == 1)
    yield from _paired(runs, ("faithfulness", "infidelity"), store.coords["method"], -own, others, counts)


def _paired(
    runs: list[RunFiles],
    of: tuple[str, str],
    names: list[str],
    own: Array,
    others: dict[str, Array],
    counts: np.ndarray,
) -> Iterator[Comparison]:
    """Of (seed, ecg, name); more is better."""
    patients = runs[0].examples["patient_id"].to_numpy()[counts]
    for m, method in enumerate(names):
        pairs = [("uses_the_network", name, own[:, :, k]) for k, name in enumerate(names) if name in CONTROLS]
        if "other_ecg" in others:
            pairs.append(("is_about_this_patient", "other_ecg", others["other_ecg"][:, :, m]))
        for claim, against, other in pairs:
            difference = (own[:, :, m] - other)[:, counts]
            effect = effects.over_patients_and_seeds(difference, patients)
            mine = np.where(np.isnan(other), np.nan, own[:, :, m])[:, counts]
            yield Comparison(
                of=(of[0], claim, of[1]),
                method=method,
                against=against,
                effect=effect,
                value=effects.over_patients_and_seeds(mine, patients).estimate,
                n_with=effect.n_patients,
                n_without=0,
                n_ecgs=int(np.isfinite(difference).all(axis=0).sum()),
                n_seeds=len(runs),
                undefined=effect.n_patients == 0,
            )


# --- areas between curves of AUROC -------------------------------------------------------------------------------


def _perturbation(runs: list[RunFiles]) -> Iterator[Comparison]:
    if not all(run.has(f"{BLOCKS}/{order}") for run in runs for order in ("morf", "lerf")):
        return
    (morf, store), (lerf, _) = (read_runs(runs, f"{BLOCKS}/{order}") for order in ("morf", "lerf"))
    names, steps = store.coords["method"], len(store.coords["step"])
    # by the trapezoid rule; the untouched ECG stands in both orders and goes out
    weights = np.array([np.trapezoid(np.eye(steps)[k]) for k in range(1, steps)]) / (steps - 1)
    weights = np.concatenate([-weights, weights])
    of_others = [_others(runs, f"{BLOCKS}/controls/{order}") for order in ("morf", "lerf")]
    own = {name: np.concatenate([morf[:, :, m, 1:], lerf[:, :, m, 1:]], axis=2) for m, name in enumerate(names)}
    for m, method in enumerate(names):
        pairs = [("uses_the_network", name, own[name]) for name in names if name in CONTROLS]
        if "other_ecg" in of_others[0]:
            one, other = (values["other_ecg"][:, :, m, 1:] for values in of_others)
            pairs.append(("is_about_this_patient", "other_ecg", np.concatenate([one, other], axis=2)))
        for claim, against, logits in pairs:
            yield _area(runs, claim, method, against, own[method], logits, weights)


def _area(
    runs: list[RunFiles], claim: str, method: str, against: str, own: Array, other: Array, weights: Array
) -> Comparison:
    label, patients = runs[0].label, runs[0].examples["patient_id"].to_numpy()
    both = np.concatenate([own, other], axis=2)
    counts = np.isfinite(both).all(axis=(0, 2)) & np.isfinite(label)
    effect = effects.auroc_sum(both, np.concatenate([weights, -weights]), label, patients)
    mine = effects.auroc_sum(np.where(counts[None, :, None], own, np.nan), weights, label, patients)
    return Comparison(
        of=("perturbation", claim, "abpc"),
        method=method,
        against=against,
        effect=effect,
        value=mine.estimate,
        n_with=len(set(patients[counts & (label == 1)])),
        n_without=len(set(patients[counts & (label == 0)])),
        n_ecgs=int(counts.sum()),
        n_seeds=len(runs),
        undefined=not np.isfinite(effect.estimate),
        needs_without=True,
    )


# --- random networks ---------------------------------------------------------------------------------------------


def _randomization(runs: list[RunFiles]) -> Iterator[Comparison]:
    having = [k for k, run in enumerate(runs) if run.has(f"{BASIS}/partial")]
    if not having:
        return
    rows, patients, label = joined(runs), runs[0].examples["patient_id"].to_numpy(), runs[0].label
    for score in ("partial", "magnitude"):
        stores = [(runs[k].store(f"{BASIS}/{score}"), rows[k]) for k in having]
        most = max(store.values.shape[1] for store, _ in stores)
        for m, method in enumerate(stores[0][0].coords["method"]):
            values = np.full((len(stores), len(label), most), np.nan)
            for s, (store, own) in enumerate(stores):
                values[s, :, : store.values.shape[1]] = store.values[own][:, :, m]
            counted = np.isfinite(values).any(axis=2).all(axis=0)
            effect = effects.over_draws(values, patients)
            one_draw = len(stores) == 1 and np.isfinite(values).any(axis=(0, 1)).sum() == 1
            yield Comparison(
                of=("randomization", "needs_the_weights", score),
                method=method,
                against="random network",
                effect=effect,
                value=effect.estimate,
                n_with=len(set(patients[counted & (label == 1)])),
                n_without=len(set(patients[counted & (label == 0)])),
                n_ecgs=int(counted.sum()),
                n_seeds=len(stores),
                undefined=not counted.any() or one_draw,
                any_label=True,
            )
