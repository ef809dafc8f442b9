"""The tables of a study over its seeds and targets, from the stores of its comparison and of its runs."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import pearsonr, spearmanr

from recomputed import maps as measures
from recomputed.compare import BOOTSTRAP, Finding, compare
from recomputed.run_tables import mean, median
from recomputed.stores import Array, RunFiles, Store

Runs = dict[str, list[RunFiles]]


def study_findings(study: Path, runs: Runs) -> Iterator[Finding]:
    """What comes of every table of ``compare`` and of the verdicts."""
    several = {target: own for target, own in runs.items() if len(own) > 1}
    for name, make, keys, left_out in (
        ("self_consistency", _consistency, ("target", "method", "statistic", "sign"), _CONSISTENCY),
        ("network_agreement", _agreement, ("target", "seed", "other_seed"), {}),
        ("method_ranks", _ranks, ("method",), {}),
    ):
        path = study / "tables" / f"{name}.parquet"
        if path.is_file():
            again = pd.DataFrame(list(make(study, several)))
            yield compare(name, pd.read_parquet(path), again, keys, left_out)
    if several and (study / "comparison").is_dir():
        yield _sample(study, several)


_CONSISTENCY = {"low": BOOTSTRAP, "high": BOOTSTRAP, "seed_low": BOOTSTRAP, "seed_high": BOOTSTRAP}


def joined(runs: list[RunFiles]) -> list[np.ndarray]:
    """Rows of each run in the order of the first one's ECGs."""
    ids = runs[0].examples["ecg_id"]
    return [run.examples.set_index("ecg_id").loc[ids, "row"].to_numpy() for run in runs]


def _stores(study: Path, target: str) -> dict[str, Store]:
    folder = study / "comparison" / target / "self_consistency"
    return {one.parent.name: Store.open(one.parent) for one in sorted(folder.glob("*/manifest.json"))}


def _consistency(study: Path, runs: Runs) -> Iterator[dict]:
    rows = []
    for target, own in runs.items():
        for method, store in _stores(study, target).items():
            for s, statistic in enumerate(store.coords["statistic"]):
                for k, sign in enumerate(store.coords["sign"]):
                    row = {"target": target, "method": method, "statistic": statistic, "sign": sign}
                    rows.append(row | _one(store.values[:, s, k], own, method, statistic, sign))
    yield from rows
    for (method, statistic, sign), own in pd.DataFrame(rows).groupby(["method", "statistic", "sign"]):
        values = own["mean"].dropna()
        yield {
            "target": "all",
            "method": method,
            "statistic": statistic,
            "sign": sign,
            "mean": values.mean(),
            "sd": values.std(ddof=0),
            "n_targets": len(runs),
        }


def _one(values: Array, runs: list[RunFiles], method: str, statistic: str, sign: str) -> dict:
    """Of (ecg, pair)."""
    each, known = mean(values, axis=1), values[np.isfinite(values)]
    row = {
        "mean": float(mean(each)),
        "sd": float(np.std(known)) if len(known) else np.nan,
        "seed_interval": "range" if len(runs) < 5 else "bootstrap",
        "n_ecgs": int(np.isfinite(each).sum()),
        "n_patients": runs[0].examples["patient_id"].nunique(),
        "n_seeds": len(runs),
        "n_pairs": values.shape[1],
        "n_undefined": int(np.isnan(values).sum()),
        "kendall_w": np.nan,
        "reliability": np.nan,
        "mean_disattenuated": np.nan,
    }
    if sign != "native" or not len(known):
        return row
    if statistic == "spearman":
        row["kendall_w"] = (1 + (len(runs) - 1) * known.mean()) / len(runs)
    elif not all(run.has(f"reliability/{method}") for run in runs):
        row["mean_disattenuated"] = known.mean()
    else:
        stores = [run.store(f"reliability/{method}") for run in runs]
        noise = np.stack([store.values[rows] for store, rows in zip(stores, joined(runs), strict=True)])
        row["reliability"] = median(noise)
        with np.errstate(invalid="ignore", divide="ignore"):
            pairs = list(combinations(range(len(runs)), 2))
            clean = np.stack([values[:, p] / np.sqrt(noise[a] * noise[b]) for p, (a, b) in enumerate(pairs)])
        row["mean_disattenuated"] = clean[np.isfinite(clean)].mean()
    return row


def _agreement(_: Path, runs: Runs) -> Iterator[dict]:
    for target, own in runs.items():
        logits = [run.store("logits").values[rows] for run, rows in zip(own, joined(own), strict=True)]
        for a, b in combinations(range(len(own)), 2):
            known = np.isfinite(logits[a]) & np.isfinite(logits[b])
            x, y = logits[a][known], logits[b][known]
            yield {
                "target": target,
                "seed": own[a].seed,
                "other_seed": own[b].seed,
                "pearson": pearsonr(x, y).statistic,
                "spearman": spearmanr(x, y).statistic,
                "n_ecgs": int(known.sum()),
            }


def _ranks(study: Path, runs: Runs) -> Iterator[dict]:
    table = pd.DataFrame(list(_consistency(study, runs)))
    own = table[(table["statistic"] == "pearson") & (table["sign"] == "native") & (table["target"] != "all")]
    ranked = own.pivot(index="method", columns="target", values="mean").rank(ascending=False)
    for method, ranks in ranked.iterrows():
        yield {
            "method": method,
            **ranks.to_dict(),
            "mean_rank": ranks.mean(),
            "best_rank": ranks.min(),
            "worst_rank": ranks.max(),
        }


def _sample(study: Path, runs: Runs, ecgs: int = 2) -> Finding:
    """Self-consistency of some ECGs from the maps themselves."""
    found = []
    for target, own in runs.items():
        rows = joined(own)
        for method, store in _stores(study, target).items():
            window = store.settings["smoothing"]["window"]
            for ecg in range(0, len(rows[0]), max(1, len(rows[0]) // ecgs)):
                maps = [run.store_row(f"maps/{method}", int(r[ecg])) for run, r in zip(own, rows, strict=True)]
                for p, (a, b) in enumerate(combinations(range(len(own)), 2)):
                    for s, statistic in enumerate(store.coords["statistic"]):
                        for k, sign in enumerate(store.coords["sign"]):
                            again = measures.similarity(maps[a], maps[b], statistic, "ecg", sign, window)
                            key = (target, method, ecg, p, statistic, sign)
                            found.append((*key, store.values[ecg, s, k, p], again))
    keys = ["target", "method", "ecg", "pair", "statistic", "sign"]
    frame = pd.DataFrame(found, columns=[*keys, "value", "again"])
    again = frame.drop(columns="value").rename(columns={"again": "value"})
    return compare("self-consistency of maps", frame.drop(columns="again"), again, keys, {})
