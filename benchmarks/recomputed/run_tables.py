"""The tables of one run, from its stores: similarity, localization, scores, maps; others have files of their own."""

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import pandas as pd

from recomputed import cascade_tables, perturbation_tables
from recomputed.compare import BOOTSTRAPPED, SETTING, Finding, Recipe, compare
from recomputed.preconditions import RECIPE as PRECONDITIONS
from recomputed.preconditions import completeness
from recomputed.stores import Array, RunFiles
from recomputed.tables import CONTROLS, described, mean, median, own_and_others, sd
from recomputed.verdicts import RECIPE as VERDICTS


def run_findings(run: RunFiles) -> Iterator[Finding]:
    """What comes of every table that the run has."""
    for path in sorted((run.path / "tables").glob("*.parquet")):
        recipe = _RECIPES.get(path.stem)
        if recipe is None:
            yield Finding(path.stem, wrong=["no recipe recomputes this table"])
        elif recipe.make is None:
            yield Finding(path.stem, left_out={"all": recipe.why})
        else:
            again = pd.DataFrame(list(recipe.make(run)))
            yield compare(path.stem, pd.read_parquet(path), again, recipe.keys, BOOTSTRAPPED | recipe.left_out)


def _similarity(run: RunFiles) -> Iterator[dict]:
    reliability = {name: run.store(f"reliability/{name}").values for name in run.names("reliability")}
    for statistic in run.names("similarity"):
        store = run.store(f"similarity/{statistic}")
        names = store.coords["method"]
        for (i, scope), (j, sign) in product(enumerate(store.coords["scope"]), enumerate(store.coords["sign"])):
            for a, b in combinations(range(len(names)), 2):
                values = store.values[store.done, i, j, a, b]
                row = {"statistic": statistic, "scope": scope, "sign": sign, "method": names[a]}
                row |= {"other_method": names[b], "correlation_mean": float(mean(values)), "correlation_sd": sd(values)}
                row |= {"n_ecgs": int(np.isfinite(values).sum()), "n_undefined": int(np.isnan(values).sum())}
                row["disattenuated_median"] = np.nan
                if (statistic, scope, sign) == ("pearson", "ecg", "native") and store.settings["window"] == 31:
                    one, other = (reliability.get(names[k], np.ones(len(store.done)))[store.done] for k in (a, b))
                    with np.errstate(invalid="ignore", divide="ignore"):
                        clean = np.where(one * other > 0, values / np.sqrt(one * other), np.nan)
                    row["disattenuated_median"] = median(clean)
                yield row


def _similarity_of_others(run: RunFiles) -> Iterator[dict]:
    for statistic in run.names("similarity/controls"):
        store = run.store(f"similarity/controls/{statistic}")
        for (s, sign), (m, method), (c, control) in product(
            *(enumerate(store.coords[dim]) for dim in ("sign", "method", "control"))
        ):
            own = store.values[:, s, m, c]
            row = {"statistic": statistic, "sign": sign, "method": method, "map": control}
            row |= {"control": method in CONTROLS} | described(own, run.examples)
            yield row | {"n_undefined": len(own) - row["n_ecgs"]}


def _localization(run: RunFiles) -> Iterator[dict]:
    share = run.store("localization/share")
    for score in (name for name in run.names("localization") if name != "share"):
        own = run.store(f"localization/{score}").values
        for kind, store, values in own_and_others(run, "localization", score):
            counted = np.where(np.isfinite(own), values, np.nan)
            for (r, region), (m, method) in product(
                enumerate(share.coords["region"]), enumerate(store.coords["method"])
            ):
                row = {"score": score, "region": region, "method": method, "map": kind, "control": method in CONTROLS}
                row |= described(counted[:, r, m], run.examples)
                row["chance"] = 0.5 if score == "auroc" else float(mean(share.values[:, r]))
                row["n_undefined"] = int(np.isfinite(share.values[:, r]).sum()) - row["n_ecgs"]
                yield row


def _scores(run: RunFiles) -> Iterator[dict]:
    for name in run.names("scores"):
        store = run.store(f"scores/{name}")
        if store.dims != ["row", "method"]:
            continue  # the logit's changes, no score of a map
        own = store.values
        for kind, store, values in own_and_others(run, "scores", name):
            measured = np.isfinite(own).any(axis=1)
            counted = np.where(np.isfinite(own), values, np.nan)[measured]
            for m, method in enumerate(store.coords["method"]):
                row = {"score": name, "method": method, "map": kind, "control": method in CONTROLS}
                row |= described(counted[:, m], run.examples[measured]) | {"median": median(counted[:, m])}
                # max-sensitivity is measured for some methods only
                asked = name != "max_sensitivity" or row["n_ecgs"] > 0
                yield row | {"n_undefined": len(counted) - row["n_ecgs"] if asked else 0}


def _maps(run: RunFiles) -> Iterator[dict]:
    for method in run.names("maps"):
        store = run.store(f"maps/{method}")
        maps = store.values[store.done].reshape(int(store.done.sum()), -1)
        finite = np.isfinite(maps).all(axis=1)
        constant = int((np.ptp(maps[finite], axis=1) == 0).sum())
        row = {"method": method, "done": len(maps), "not_finite": int((~finite).sum()), "constant": constant}
        noise: Array = np.empty(0)
        if run.has(f"reliability/{method}"):
            reliability = run.store(f"reliability/{method}")
            noise = reliability.values[reliability.done]
        known, wished = noise[np.isfinite(noise)], store.settings.get("target_correlation")
        with np.errstate(invalid="ignore"):
            row["unreliable"] = 0 if wished is None else int((~(np.sqrt(noise) >= wished)).sum())
        row["target_correlation"] = np.nan if wished is None else wished
        row["reliability_median"] = median(noise)
        row["reliability_lowest_decile"] = float(np.percentile(known, 10)) if len(known) else np.nan
        yield row


def _background_dependence(run: RunFiles) -> Iterator[dict]:
    for method in run.names("reliability_over_backgrounds"):
        values = run.store(f"reliability_over_backgrounds/{method}").values
        known = values[np.isfinite(values)]
        decile = float(np.percentile(known, 10)) if len(known) else np.nan
        yield {"method": method, "median": median(values), "lowest_decile": decile, "n_ecgs": len(known)}


_PASSES = dict.fromkeys(("unit", "signed", "uses_backgrounds", "forwards", "gradients"), SETTING)
_RECIPES = {
    "similarity": Recipe(_similarity, ("statistic", "scope", "sign", "method", "other_method")),
    "similarity_controls": Recipe(_similarity_of_others, ("statistic", "sign", "method", "map")),
    "localization": Recipe(_localization, ("score", "region", "method", "map")),
    "scores": Recipe(_scores, ("score", "method", "map")),
    "maps": Recipe(_maps, ("method",), _PASSES),
    "background_dependence": Recipe(_background_dependence, ("method",), {"n_backgrounds": SETTING}),
    "completeness": Recipe(completeness, ("method",)),
    "lint": Recipe(None, (), why="of the network's layers, not of a store"),
    "verdicts": VERDICTS,
    "preconditions": PRECONDITIONS,
    **cascade_tables.RECIPES,
    **perturbation_tables.RECIPES,
}
