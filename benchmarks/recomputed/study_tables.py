"""The tables of a study over its seeds and targets, from the stores of its comparison and of its runs."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from recomputed import maps as measures
from recomputed.cascade_tables import RANDOM, random_networks
from recomputed.compare import Finding, Recipe, compare
from recomputed.effects import Effect, pair_ratio
from recomputed.preconditions import RECIPE as PRECONDITIONS
from recomputed.preconditions import preconditions
from recomputed.seeds import noise_of, raw_ratio
from recomputed.stores import Array, RunFiles, Store, joined, store_names
from recomputed.tables import mean, median
from recomputed.verdicts import RECIPE, verdicts

Runs = dict[str, list[RunFiles]]

_MEANS = (
    *("mean", "mean_over_ecgs", "mean_fisher_z", "mean_matched", "floor", "above_floor", "corrected_above_floor"),
    "mean_disattenuated",
)


def study_findings(study: Path, runs: Runs) -> Iterator[Finding]:
    """What comes of every table of ``compare``, and of the verdicts over seeds and targets."""
    for name, recipe in _RECIPES.items():
        path = study / "tables" / f"{name}.parquet"
        if path.is_file():
            again = pd.DataFrame(list(recipe.make(study, runs)))  # type: ignore[misc]
            yield compare(name, pd.read_parquet(path), again, recipe.keys, recipe.left_out)
    others = sorted(path.stem for path in (study / "tables").glob("*.parquet") if path.stem not in _RECIPES)
    if others:
        yield Finding("other tables", left_out=dict.fromkeys(others, "the report's, made of the tables above"))
    several = _several(runs)
    if several and (study / "comparison").is_dir():
        yield _sample(study, several)


def _several(runs: Runs) -> Runs:
    return {target: own for target, own in runs.items() if len(own) > 1}


def _stores(study: Path, target: str, kind: str = "self_consistency") -> dict[str, Store]:
    folder = study / "comparison" / target / kind
    return {name: Store.open(folder / name) for name in store_names(folder)}


def _consistency(study: Path, runs: Runs) -> Iterator[dict]:
    rows = []
    for target, own in _several(runs).items():
        partners = pd.read_parquet(study / "comparison" / target / "partners.parquet")
        floors = _stores(study, target, "self_consistency_floor")
        for method, store in _stores(study, target).items():
            for s, statistic in enumerate(store.coords["statistic"]):
                for k, sign in enumerate(store.coords["sign"]):
                    row = {"target": target, "method": method, "statistic": statistic, "sign": sign}
                    values, floor = store.values[:, s, k], floors[method].values[:, s, k]
                    row |= _described(values, floor, own, partners)
                    rows.append(row | (_native(values, floor, own, method, statistic) if sign == "native" else {}))
    yield from rows
    yield from _over_targets(pd.DataFrame(rows))


def _described(values: Array, floor: Array, runs: list[RunFiles], partners: pd.DataFrame) -> dict:
    """Of (ecg, pair)."""
    effect = raw_ratio(values, runs)
    low, high, kind = _interval(effect, len(runs))
    agreed = partners.pivot(index="row", columns="pair", values="agreed").to_numpy()
    partner = partners.pivot(index="row", columns="pair", values="partner_row").to_numpy()
    counted = runs[0].examples[np.isfinite(values).any(axis=1)]
    z = np.arctanh(np.clip(values, -0.999999, 0.999999))
    pairs = mean(values)
    return {
        "mean": effect.estimate,
        "low": low,
        "high": high,
        "interval": kind,
        "mean_over_ecgs": float(mean(mean(values, axis=1))),
        "mean_fisher_z": float(np.tanh(raw_ratio(z, runs).estimate)),
        "sd": float(np.nanstd(values)) if np.isfinite(values).any() else np.nan,
        "lowest_pair": float(pairs.min()),
        "highest_pair": float(pairs.max()),
        "mean_matched": raw_ratio(np.where(agreed >= 0, values, np.nan), runs).estimate,
        "floor": raw_ratio(floor, runs).estimate,
        "above_floor": raw_ratio(values - floor, runs).estimate,
        "n_ecgs": len(counted),
        "n_patients": counted["patient_id"].nunique(),
        "n_patients_with": counted["patient_id"][counted["label"] == 1].nunique(),
        "n_seeds": len(runs),
        "n_pairs": values.shape[1],
        "n_undefined": int(np.isnan(values).sum()),
        "n_disagreeing": int((agreed < 0).sum()),
        "n_without_partner": int(((agreed >= 0) & (partner < 0)).sum()),
    }


def _native(values: Array, floor: Array, runs: list[RunFiles], method: str, statistic: str) -> dict:
    if statistic == "spearman":
        return {"kendall_w": (1 + (len(runs) - 1) * raw_ratio(values, runs).estimate) / len(runs)}
    noise, patients = noise_of(runs, method, values.shape[1]), runs[0].examples["patient_id"].to_numpy()
    above = pair_ratio(values - floor, noise, patients, len(runs))
    low, high, _ = _interval(above, len(runs))
    reliability = np.nan
    if all(run.has(f"reliability/{method}") for run in runs):
        stores = [run.store(f"reliability/{method}").values[rows] for run, rows in zip(runs, joined(runs), strict=True)]
        reliability = median(np.stack(stores))
    return {
        "corrected_above_floor": above.estimate,
        "corrected_low": low,
        "corrected_high": high,
        "mean_disattenuated": pair_ratio(values, noise, patients, len(runs)).estimate,
        "reliability": reliability,
    }


def _interval(effect: Effect, seeds: int) -> tuple[float, float, str]:
    if seeds < 3:
        return np.nan, np.nan, "none: two seeds"
    if effect.n_patients < 20:
        return np.nan, np.nan, "none: fewer than 20 patients"
    low, high = effect.interval()
    return low, high, "t over patients and seeds" if np.isfinite(low) else "none: undefined"


def _over_targets(table: pd.DataFrame) -> Iterator[dict]:
    for (method, statistic, sign), own in table.groupby(["method", "statistic", "sign"]):
        row = {"target": "all", "method": method, "statistic": statistic, "sign": sign}
        row |= {name: own[name].mean() for name in _MEANS if name in own}
        row |= {
            "sd": own["mean"].std(ddof=0),
            "n_targets": int(own["mean"].count()),
            "interval": "none: several classes",
        }
        if len(own) == 1:
            single = ("low", "high", "corrected_low", "corrected_high", "interval")
            row |= {name: own[name].iloc[0] for name in single if name in own}
        yield row


def _agreement(_: Path, runs: Runs) -> Iterator[dict]:
    for target, own in _several(runs).items():
        logits = [run.store("logits").values[rows] for run, rows in zip(own, joined(own), strict=True)]
        for a, b in combinations(range(len(own)), 2):
            known = np.isfinite(logits[a]) & np.isfinite(logits[b])
            x, y = logits[a][known], logits[b][known]
            row = {"target": target, "seed": own[a].seed, "other_seed": own[b].seed, "n_ecgs": int(known.sum())}
            yield row | {"pearson": pearsonr(x, y).statistic, "spearman": spearmanr(x, y).statistic}


def _ranks(study: Path, runs: Runs) -> Iterator[dict]:
    table = pd.DataFrame(list(_consistency(study, runs)))
    own = table[(table["statistic"] == "pearson") & (table["sign"] == "native") & (table["target"] != "all")]
    ranked = own.pivot(index="method", columns="target", values="mean").rank(ascending=False)
    for method, ranks in ranked.iterrows():
        row = {"mean_rank": ranks.mean(), "best_rank": ranks.min(), "worst_rank": ranks.max()}
        yield {"method": method, **ranks.to_dict(), **row}


def _random(_: Path, runs: Runs) -> Iterator[dict]:
    for target, own in runs.items():
        having = [k for k, run in enumerate(own) if run.has(f"{RANDOM}/reset_recalibrated/partial")]
        rows = joined(own)
        if having:
            for row in random_networks([own[k] for k in having], [rows[k] for k in having]):
                yield {"target": target} | row


_RECIPES = {
    "self_consistency": Recipe(_consistency, ("target", "method", "statistic", "sign")),
    "network_agreement": Recipe(_agreement, ("target", "seed", "other_seed")),
    "method_ranks": Recipe(_ranks, ("method",)),
    "random_networks": Recipe(_random, ("target", "batchnorm", "quantity", "method")),
    "preconditions": Recipe(
        lambda _, runs: [row for own in runs.values() for row in preconditions(own)],
        ("target", "method", "precondition"),
        PRECONDITIONS.left_out,
    ),
    "verdicts": Recipe(lambda study, runs: verdicts(runs, study), RECIPE.keys, RECIPE.left_out),
}


def _sample(study: Path, runs: Runs, ecgs: int = 2) -> Finding:
    """Self-consistency and its floor of some ECGs, from the maps themselves."""
    found = []
    for target, own in runs.items():
        rows = joined(own)
        partners = pd.read_parquet(study / "comparison" / target / "partners.parquet").set_index(["row", "pair"])
        for kind in ("self_consistency", "self_consistency_floor"):
            for method, store in _stores(study, target, kind).items():
                for ecg in range(0, len(rows[0]), max(1, len(rows[0]) // ecgs)):
                    for p, (a, b) in enumerate(combinations(range(len(own)), 2)):
                        pair = store.coords["pair"][p]
                        other = ecg if kind == "self_consistency" else int(partners.loc[(ecg, pair), "partner_row"])
                        pairs = [(ecg, other)] if other == ecg else [(ecg, other), (other, ecg)]
                        for s, statistic in enumerate(store.coords["statistic"]):
                            for k, sign in enumerate(store.coords["sign"]):
                                key = (target, kind, method, ecg, pair, statistic, sign)
                                again = (
                                    np.nan if other < 0 else _floor(own, rows, method, (a, b), pairs, statistic, sign)
                                )
                                found.append((*key, store.values[ecg, s, k, p], again))
    keys = ["target", "kind", "method", "ecg", "pair", "statistic", "sign"]
    frame = pd.DataFrame(found, columns=[*keys, "value", "again"])
    again = frame.drop(columns="value").rename(columns={"again": "value"})
    return compare("self-consistency of maps", frame.drop(columns="again"), again, keys, {})


def _floor(
    runs: list[RunFiles], rows: list, method: str, seeds: tuple[int, int], pairs: list, statistic: str, sign: str
) -> float:
    """Mean over the pairs (ECG of one seed, ECG of the other)."""
    values = []
    for first, second in pairs:
        one, other = (
            runs[seed].store_row(f"maps/{method}", int(rows[seed][ecg]))
            for seed, ecg in zip(seeds, (first, second), strict=True)
        )
        values.append(measures.similarity(one, other, statistic, "ecg", sign))
    return float(np.mean(values))
