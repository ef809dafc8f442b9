"""What is left of the maps in random networks, in numbers: the same table for one run and for a study."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ecg_lightning.attribution.controls import CONTROLS
from ecg_lightning.experiments.randomization.draws import FOLDER, POLICY, read_draws, runs_with
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.statistics.draws import effect_over_draws, known_mean
from ecg_lightning.statistics.effect import patient_means

PERMUTED: Final = "permuted_labels"
"""Kind of the networks that were trained on permuted labels, beside BatchNorm policies of random ones."""

OTHER_ECG: Final = "other_ecg"
"""Quantity: similarity by magnitude of the map to the same network's map of another patient's ECG."""

QUANTITIES: Final = ("partial", "magnitude", "signed", "between")

_OTHER_MAP: Final = "similarity/controls/pearson"

Values = dict[tuple[str, str], NDArray[np.float64]]
"""(kind of network, quantity) -> (network, ecg, draw, method)."""


def random_network_table(
    values: Values, methods: Sequence[str], patient_ids: ArrayLike, confidence: float = 0.95
) -> pd.DataFrame:
    """Means over draws, patients and networks, with closed-form intervals.

    Args:
        values: Of ECGs that were measured.
        methods: Methods and controls.
        patient_ids: (ecg,).
        confidence: Confidence level of the intervals.

    Returns:
        ``batchnorm`` (kind of network; empty for ``other_ecg``), ``quantity``, ``method``, ``control``, ``mean``,
        ``low``, ``high`` (over networks and patients; over draws and patients for one network), ``sd_draws`` (of the
        draws' means in a network), ``mean_abs`` (of |r|, which no sign averages away), ``n_networks``, ``n_draws``,
        ``n_ecgs``, ``n_patients``, and ``n_undefined``: values that a constant map or one without a residual lacks.
    """
    patients = np.asarray(patient_ids)
    rows = (row for key, table in values.items() for row in _rows(key, table, values, methods, patients, confidence))
    return pd.DataFrame(list(rows))


def _rows(
    key: tuple[str, str],
    table: NDArray[np.float64],
    values: Values,
    methods: Sequence[str],
    patients: NDArray[np.generic],
    confidence: float,
) -> Iterator[dict[str, object]]:
    kind, quantity = key
    effects = effect_over_draws(table, patients)
    for place, method in enumerate(methods):
        own, effect = table[..., place], effects.at(place)
        low, high = effect.interval(confidence)
        draws = _draws(values.get((kind, "magnitude"), table)[..., place]) - (quantity == "between")
        known = np.isfinite(own)
        means, _ = patient_means(np.moveaxis(own, 0, 2), patients)  # (patient, draw, network)
        of_draws = known_mean(means, axis=0)  # (draw, network)
        yield {
            "batchnorm": kind,
            "quantity": quantity,
            "method": method,
            "control": method in CONTROLS,
            "mean": float(effect.estimate),
            "low": float(low),
            "high": float(high),
            "sd_draws": _sd(of_draws),
            "mean_abs": float(known_mean(np.abs(own).ravel(), axis=0)),
            "n_networks": len(own),
            "n_draws": max(draws, 0),
            "n_ecgs": int(known.any(axis=2).all(axis=0).sum()),
            "n_patients": int(effect.n_patients),
            "n_undefined": int(len(own) * own.shape[1] * max(draws, 0) - known.sum()),
        }


def _draws(magnitude: NDArray[np.float64]) -> int:
    """Draws whose maps were computed: dear methods have the first few only."""
    measured = np.flatnonzero(np.isfinite(magnitude).any(axis=(0, 1)))
    return int(measured[-1]) + 1 if len(measured) else 0


def _sd(of_draws: NDArray[np.float64]) -> float:
    """Standard deviation over draws in a network, (draw, network) -> root of the networks' mean variance."""
    counts = np.isfinite(of_draws).sum(axis=0)
    enough = of_draws[:, counts > 1]
    return float(np.sqrt(np.nanvar(enough, axis=0, ddof=1).mean())) if enough.size else float("nan")


def table_of_runs(runs: TargetRuns, confidence: float = 0.95) -> pd.DataFrame:
    """:func:`random_network_table` of the networks of one target; empty where none has the stores."""
    found: Values = {}
    methods: tuple[str, ...] = ()
    having: TargetRuns | None = None
    for kind, folder in _kinds(runs).items():
        of_kind = runs_with(runs, f"{folder}/{QUANTITIES[0]}")
        if of_kind is None or (having is not None and set(of_kind.runs) != set(having.runs)):
            continue  # a policy of some of the networks only says nothing of the others
        having = of_kind
        methods = having.coordinate(f"{folder}/{QUANTITIES[0]}", "method")
        found |= {(kind, quantity): read_draws(having, f"{folder}/{quantity}") for quantity in QUANTITIES}
    if having is None:
        return pd.DataFrame()
    measured = np.any([np.isfinite(table).any(axis=(0, 2, 3)) for table in found.values()], axis=0)
    if not measured.any():
        return pd.DataFrame()
    other = other_ecg_values(having, methods)
    if other is not None:
        found["", OTHER_ECG] = other
    chosen = {key: table[:, measured] for key, table in found.items()}
    return random_network_table(chosen, methods, runs.patient_ids[measured], confidence)


def _kinds(runs: TargetRuns) -> dict[str, str]:
    """Kind of network -> folder; the one that decides first."""
    policies = {path.name for run in runs.runs.values() for path in (run.path / FOLDER).glob("*") if path.is_dir()}
    ordered = sorted(policies, key=lambda policy: (policy != POLICY, policy))
    return {policy: f"{FOLDER}/{policy}" for policy in ordered} | {PERMUTED: f"cascade/{PERMUTED}"}


def other_ecg_values(runs: TargetRuns, methods: Sequence[str]) -> NDArray[np.float64] | None:
    """(seed, ecg, 1, method) similarity by magnitude to the map of another patient; None where it was not measured."""
    if not runs.has(_OTHER_MAP) or OTHER_ECG not in runs.coordinate(_OTHER_MAP, "control"):
        return None
    names, signs = runs.coordinate(_OTHER_MAP, "method"), runs.coordinate(_OTHER_MAP, "sign")
    table = runs.read(_OTHER_MAP)[:, :, signs.index("absolute")]  # (seed, ecg, method, control)
    own = table[..., runs.coordinate(_OTHER_MAP, "control").index(OTHER_ECG)]
    unknown = np.full(own.shape[:2], np.nan)
    columns = [own[..., names.index(method)] if method in names else unknown for method in methods]
    return np.stack(columns, axis=-1)[:, :, None]
