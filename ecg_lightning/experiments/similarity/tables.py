"""What a run says about the similarity of its maps: a table of pairs, heat maps, and what is undefined."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.functional.ecg_means import EcgMeans, mean_over_ecgs
from ecg_lightning.functional.similarity import SCOPES, SIGNS, Scope, Sign, Statistic, disattenuated
from ecg_lightning.storage.store import RowStore

BESIDE: Final = (
    "\nAt the right: each map with the same method's map of another patient of the same predicted class, and with the "
    "mean of the maps of all other patients."
)
"""What captions say of the columns of :func:`columns_of`."""

Pairs = tuple[NDArray[np.intp], NDArray[np.intp]]


def similarity_table(
    stores: Mapping[Statistic, RowStore],
    run: AuditedRun,
    reliability: Mapping[str, NDArray[np.float64]] | None,
) -> pd.DataFrame:
    """One row for each statistic, scope, sign and pair of methods or controls; each pair once.

    Args:
        stores: Statistic -> (n, scope, sign, method, method).
        run: The run.
        reliability: Stochastic method -> (n,) of its maps; names that are not there have no noise. None where the maps
            were compared with another smoothing than that of the reliabilities.

    Returns:
        ``statistic, scope, sign, method, other_method``; over ECGs ``correlation_mean``, its interval
        ``correlation_low`` and ``correlation_high`` of ``confidence``, ``correlation_sd``; ``n_ecgs`` with a similarity
        and ``n_undefined`` without; ``disattenuated_median``, of Pearson's correlation over the ECG in native sign,
        which is what reliabilities are of, and NaN elsewhere.
    """
    pairs = np.triu_indices(len(run.names), 1)
    asked = {"n_resamples": run.n_resamples, "seed": run.seed}
    parts = []
    done = {statistic: np.flatnonzero(store.done) for statistic, store in stores.items()}
    read = {statistic: store.read(done[statistic]) for statistic, store in stores.items()}
    for statistic, (i, scope), (j, sign) in product(stores, enumerate(SCOPES), enumerate(SIGNS)):
        rows = done[statistic]
        values = read[statistic][:, i, j][:, *pairs].astype(np.float64)  # (row, pair)
        means = mean_over_ecgs(values, run.patient_ids[rows], confidence=run.confidence, **asked)
        part = _columns(means, run.names, pairs, len(rows))
        part.insert(0, "sign", sign)
        part.insert(0, "scope", scope)
        part.insert(0, "statistic", statistic)
        part["confidence"] = run.confidence
        part["disattenuated_median"] = np.nan
        if reliability is not None and (statistic, scope, sign) == ("pearson", "ecg", "native"):
            part["disattenuated_median"] = _disattenuated(values, run.names, pairs, reliability, rows)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def select(table: pd.DataFrame, statistic: Statistic, scope: Scope, sign: Sign) -> pd.DataFrame:
    """The pairs of one statistic, scope and sign; see :func:`similarity_table`."""
    return table[(table["statistic"] == statistic) & (table["scope"] == scope) & (table["sign"] == sign)]


def matrix_of(pairs: pd.DataFrame, column: str, names: Sequence[str], diagonal: float = 1.0) -> NDArray[np.float64]:
    """A column of :func:`select`'s pairs as a symmetric matrix (name, name)."""
    matrix = np.full((len(names), len(names)), diagonal)
    place = {name: index for index, name in enumerate(names)}
    i, j = (pairs[side].map(place).to_numpy(dtype=np.intp) for side in ("method", "other_method"))
    matrix[i, j] = matrix[j, i] = pairs[column]
    return matrix


def columns_of(
    of_others: pd.DataFrame, statistic: Statistic, sign: Sign, names: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """What stands in for a map -> (name,) mean similarity with the own one; nothing where none was measured."""
    if of_others.empty:
        return {}
    chosen = of_others[(of_others["statistic"] == statistic) & (of_others["sign"] == sign)]
    columns = chosen.pivot(index="method", columns="map", values="value").reindex(list(names))
    return {str(name): columns[name].to_numpy(dtype=np.float64) for name in dict.fromkeys(chosen["map"])}


def warning_of(stores: Mapping[Statistic, RowStore], table: pd.DataFrame, names: Sequence[str]) -> str | None:
    """What a person must know of similarities that are not defined; None where all are."""
    undefined = int(table["n_undefined"].sum())
    if not undefined:
        return None
    total = undefined + int(table["n_ecgs"].sum())
    causes = []
    for index, name in enumerate(names):
        alone = [np.isnan(store.array[..., index, index][store.done]).any(axis=(1, 2)) for store in stores.values()]
        if count := int(np.any(alone, axis=0).sum()):
            causes.append(f"{name} in {count} of {len(alone[0])} ECGs")
    cause = f"a map is constant or not finite ({', '.join(causes)})" if causes else "no lead varies in both maps"
    return (
        f"{undefined:,} of {total:,} similarities are undefined, because {cause}: they are NaN, and left out of means"
    )


def caption(pairs: pd.DataFrame, points: str, smoothing: str, patients: int, with_it: str) -> str:
    """What stands under a heat map.

    Args:
        pairs: Of one statistic, scope and sign; see :func:`select`.
        points: What was correlated.
        smoothing: How maps were smoothed: "smoothed by ..." or "without smoothing".
        patients: Number of patients whose ECGs they are.
        with_it: How many of them have the diagnosis, or a value: "12 of them with the diagnosis".
    """
    one = pairs.iloc[0]
    compared = {"native": f"maps {smoothing}, with their sign", "absolute": f"magnitudes of maps {smoothing}"}
    half = float(((pairs["correlation_high"] - pairs["correlation_low"]) / 2).max())
    lines = [
        f"{one['statistic'].capitalize()} correlation over {points}, of {compared[one['sign']]}. Mean over "
        f"{one['n_ecgs'] + one['n_undefined']:,} test ECGs of {patients:,} patients, "
        f"{with_it}"
        + (
            f"; the widest {100 * one['confidence']:g} % interval (patients resampled) is ±{half:.2f}."
            if np.isfinite(half)
            else "."
        ),
        "Apart and in italics: controls, which know nothing of the network.",
    ]
    if pairs["n_undefined"].any():
        lines.append(_gaps(pairs))
    return "\n".join(lines)


def _gaps(pairs: pd.DataFrame) -> str:
    """What marks in the cells mean."""
    some = pairs.loc[(pairs["n_undefined"] > 0) & (pairs["n_ecgs"] > 0), "n_ecgs"]
    marks = (
        [f"*: undefined for some ECGs, which are left out, so that {some.min():,} or more count"] if len(some) else []
    )
    if (pairs["n_ecgs"] == 0).any():
        marks.append("dash: undefined for every ECG")
    return f"{'; '.join(marks)}. No similarity is defined where a map is constant or not finite."


def _columns(means: EcgMeans, names: Sequence[str], pairs: Pairs, rows: int) -> pd.DataFrame:
    first, second = ([names[index] for index in side] for side in pairs)
    return pd.DataFrame(
        {
            "method": first,
            "other_method": second,
            "correlation_mean": means.mean,
            "correlation_low": means.low,
            "correlation_high": means.high,
            "correlation_sd": means.sd,
            "n_ecgs": means.defined,
            "n_undefined": rows - means.defined,
        }
    )


def _disattenuated(
    values: NDArray[np.float64],  # (row, pair)
    names: Sequence[str],
    pairs: Pairs,
    reliability: Mapping[str, NDArray[np.float64]],
    rows: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Median over ECGs of the similarity without the maps' noise, (pair,)."""
    known = [reliability[name][rows] if name in reliability else np.ones(len(rows)) for name in names]
    first, second = (np.stack([known[index] for index in side], axis=1) for side in pairs)
    corrected = pd.DataFrame(disattenuated(values, first, second))
    return corrected.median(axis=0).to_numpy(dtype=np.float64)  # without NaN, and NaN where all are
