"""The tables of one run, from its stores."""

from collections.abc import Iterator
from itertools import combinations, product

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from recomputed.compare import BOOTSTRAP, SETTING, Finding, compare
from recomputed.stores import Array, RunFiles, Store

CONTROLS = ("random", "smoothed_random", "absolute_input", "absolute_slope")
OF_OTHERS = ("other_ecg", "mean_map")
_BOOTSTRAPPED = {
    "low": BOOTSTRAP,
    "high": BOOTSTRAP,
    "*_low": BOOTSTRAP,
    "*_high": BOOTSTRAP,
    "p": BOOTSTRAP,
    "p_holm": BOOTSTRAP,
    "beats_controls": BOOTSTRAP,
    "confidence": SETTING,
}


def run_findings(run: RunFiles) -> Iterator[Finding]:
    """What comes of every table that the run has."""
    for name, (make, keys, left_out) in _TABLES.items():
        if (run.path / "tables" / f"{name}.parquet").is_file():
            again = pd.DataFrame(list(make(run)))
            yield compare(name, run.table(name), again, keys, _BOOTSTRAPPED | left_out)


def mean(values: Array, axis: int = 0) -> Array:
    """Without NaN; NaN where there is nothing else."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=axis) / known.sum(axis=axis)


def sd(values: Array) -> Array:
    """Over the first axis, n - 1."""
    count = np.isfinite(values).sum(axis=0)
    squares = np.nansum((values - mean(values)) ** 2, axis=0)
    return np.sqrt(np.where(count > 1, squares, np.nan) / np.maximum(count - 1, 1))


def median(values: Array) -> float:
    """Without NaN."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


def areas(logit: Array, label: Array) -> tuple[float, float]:
    """AUROC and average precision of the ECGs with logit and label."""
    known = np.isfinite(logit) & np.isfinite(label)
    if len(np.unique(label[known])) < 2:
        return np.nan, np.nan
    return float(roc_auc_score(label[known], logit[known])), float(average_precision_score(label[known], logit[known]))


def own_and_controls(run: RunFiles, folder: str, name: str) -> Iterator[tuple[str, Store, Array]]:
    """Of ``<folder>/<name>`` and of ``<folder>/controls/<name>``: map, store, values without ``control``."""
    own = run.store(f"{folder}/{name}")
    yield "own", own, own.values
    if run.has(f"{folder}/controls/{name}"):
        others = run.store(f"{folder}/controls/{name}")
        axis = 1 + list(others.coords).index("control")
        for place, control in enumerate(others.coords["control"]):
            yield control, others, np.take(others.values, place, axis=axis)


# --- similarity --------------------------------------------------------------------------------------------------


def _similarity(run: RunFiles) -> Iterator[dict]:
    reliability = {name: run.store(f"reliability/{name}").values for name in run.names("reliability")}
    for statistic in ("pearson", "spearman"):
        store = run.store(f"similarity/{statistic}")
        names = store.coords["method"]
        for (i, scope), (j, sign) in product(enumerate(store.coords["scope"]), enumerate(store.coords["sign"])):
            for a, b in combinations(range(len(names)), 2):
                values = store.values[store.done, i, j, a, b]
                row = {
                    "statistic": statistic,
                    "scope": scope,
                    "sign": sign,
                    "method": names[a],
                    "other_method": names[b],
                }
                row |= _described(values, "correlation") | {"disattenuated_median": np.nan}
                if (statistic, scope, sign) == ("pearson", "ecg", "native"):
                    noise = [reliability.get(names[k], np.ones(len(store.done)))[store.done] for k in (a, b)]
                    with np.errstate(invalid="ignore", divide="ignore"):
                        product_ = noise[0] * noise[1]
                        row["disattenuated_median"] = median(np.where(product_ > 0, values / np.sqrt(product_), np.nan))
                yield row


def _described(values: Array, name: str) -> dict:
    defined = int(np.isfinite(values).sum())
    return {
        f"{name}_mean": float(mean(values)),
        f"{name}_sd": float(sd(values)),
        "n_ecgs": defined,
        "n_undefined": len(values) - defined,
    }


# --- localization, scores ----------------------------------------------------------------------------------------


def _localization(run: RunFiles) -> Iterator[dict]:
    share = run.store("localization/share")
    regions = share.coords["region"]
    for score in ("relevance_mass", "relevance_rank_accuracy", "pointing_game", "auroc"):
        for kind, store, values in own_and_controls(run, "localization", score):
            for (r, region), (m, method) in product(enumerate(regions), enumerate(store.coords["method"])):
                own, known = values[:, r, m], np.isfinite(share.values[:, r])
                defined = int(np.isfinite(own).sum())
                yield {
                    "score": score,
                    "region": region,
                    "method": method,
                    "map": kind,
                    "control": method in CONTROLS,
                    "value": float(mean(own)),
                    "chance": 0.5 if score == "auroc" else float(mean(share.values[:, r])),
                    "n_ecgs": defined,
                    "n_undefined": int(known.sum()) - defined,
                }


def _with_difference(table: list[dict], over: tuple[str, ...], column: str) -> Iterator[dict]:
    """Add how far a method is above the best control of its group; NaN for controls."""
    frame = pd.DataFrame(table)
    best = frame[frame["control"]].groupby(list(over))[column].max()
    for row in table:
        key = tuple(row[name] for name in over)
        difference = row[column] - best.get(key if len(key) > 1 else key[0], np.nan)
        yield row | {"difference_to_best_control": np.nan if row["control"] else difference}


def _scores(run: RunFiles) -> Iterator[dict]:
    for name in run.names("scores"):
        for kind, store, values in own_and_controls(run, "scores", name):
            measured = np.isfinite(values).any(axis=1)
            for m, method in enumerate(store.coords["method"]):
                own = values[measured, m]
                defined = int(np.isfinite(own).sum())
                # max-sensitivity is measured for some methods only
                asked = name != "max_sensitivity" or defined > 0
                yield {
                    "score": name,
                    "method": method,
                    "map": kind,
                    "control": method in CONTROLS,
                    "value": float(mean(own)),
                    "median": median(own),
                    "n_ecgs": defined,
                    "n_undefined": len(own) - defined if asked else 0,
                }


# --- cascade -----------------------------------------------------------------------------------------------------


def _cascade(run: RunFiles) -> Iterator[dict]:
    for folder, statistic in product(run_cascades(run), ("pearson", "spearman")):
        store = run.store(f"cascade/{folder}/{statistic}")
        layers, direction = store.settings["layers"], folder.removesuffix("_smooth")
        chosen = np.isfinite(store.values).any(axis=(1, 2, 3, 4))
        values = mean(store.values[chosen], axis=1)  # (ecg, sign, method, depth)
        depths, methods = store.coords["depth"], store.coords["method"]
        for (s, sign), (m, method), (d, depth) in product(
            enumerate(store.coords["sign"]), enumerate(methods), enumerate(depths)
        ):
            defined = int(np.isfinite(values[:, s, m, d]).sum())
            ceiling = np.nan
            if (statistic, sign) == ("pearson", "native") and run.has(f"reliability/{method}"):
                ceiling = median(run.store(f"reliability/{method}").values[chosen])
            yield {
                "direction": direction,
                "smooth": folder != direction,
                "statistic": statistic,
                "sign": sign,
                "method": method,
                "control": method in CONTROLS,
                "depth": depth,
                "complete": direction != "independent" and depths[-1] == len(layers),
                "layer": layer_name(layers, direction, depth),
                "similarity": float(mean(values[:, s, m, d])),
                "n_ecgs": defined,
                "n_undefined": int(chosen.sum()) - defined,
                "ceiling": ceiling,
            }


def _cascade_network(run: RunFiles) -> Iterator[dict]:
    for direction in (name for name in run_cascades(run) if not name.endswith("_smooth")):
        store = run.store(f"cascade/{direction}_logits")
        chosen = np.isfinite(store.values).any(axis=(1, 2))
        for d, depth in enumerate(store.coords["depth"]):
            own = store.values[chosen, :, d]
            own = own[np.isfinite(own).all(axis=1)], run.label[chosen][np.isfinite(own).all(axis=1)]
            each = [areas(own[0][:, repeat], own[1])[0] for repeat in range(own[0].shape[1])]
            layer = layer_name(store.settings["layers"], direction, depth)
            yield {"direction": direction, "depth": depth, "layer": layer, "auroc": float(np.mean(each))}


def run_cascades(run: RunFiles) -> list[str]:
    """``from_output``, ``from_output_smooth`` ..., those that there are."""
    names = [f"{d}{s}" for d in ("from_output", "from_input", "independent") for s in ("", "_smooth")]
    return [name for name in names if run.has(f"cascade/{name}/pearson")]


def layer_name(layers: list[str], direction: str, depth: int) -> str:
    """The last layer that a depth has made random."""
    if depth == 0:
        return ""
    return layers[depth - 1] if direction == "from_input" else layers[len(layers) - depth]


# --- perturbation ------------------------------------------------------------------------------------------------


def curves(run: RunFiles, order: str, kind: str = "") -> Iterator[dict]:
    """AUROC, average precision and mean probability of the ECGs with the diagnosis, step by step."""
    for which, store, values in own_and_controls(run, f"perturbation/{kind}".rstrip("/"), order):
        share = float(store.settings.get("fraction_per_step", 0.01))
        for (m, method), step in product(enumerate(store.coords["method"]), store.coords["step"]):
            logit = values[:, m, step]
            auroc, auprc = areas(logit, run.label)
            probability = float(mean(1 / (1 + np.exp(-logit[run.label == 1]))))
            for metric, value in (("auroc", auroc), ("auprc", auprc), ("probability", probability)):
                yield {
                    "order": order,
                    "method": method,
                    "map": which,
                    "control": method in CONTROLS,
                    "step": step,
                    "fraction": step * share,
                    "metric": metric,
                    "value": value,
                    "n_ecgs": int(np.isfinite(logit).sum()),
                }


def _perturbation(run: RunFiles) -> Iterator[dict]:
    for order in ("morf", "lerf"):
        if run.has(f"perturbation/{order}"):
            yield from curves(run, order)


def _perturbation_summary(run: RunFiles) -> Iterator[dict]:
    table = pd.DataFrame(list(_perturbation(run))).sort_values("step")
    rows = []
    for (method, metric), own in table.groupby(["method", "metric"]):
        height = {order: one.sort_values("step") for order, one in own.groupby("order")}
        heights = {
            order: float(np.trapezoid(one["value"], one["fraction"]) / np.ptp(one["fraction"]))
            for order, one in height.items()
        }
        rows.append(
            {
                "method": method,
                "metric": metric,
                "control": method in CONTROLS,
                "area_over_curve": float(height["morf"]["value"].iloc[0]) - heights["morf"],
                "abpc": heights["lerf"] - heights["morf"],
            }
        )
    yield from _with_difference(rows, ("metric",), "abpc")


# --- maps --------------------------------------------------------------------------------------------------------


def _maps(run: RunFiles) -> Iterator[dict]:
    for method in run.methods:
        store = run.store(f"maps/{method}")
        maps = store.values[store.done].reshape(int(store.done.sum()), -1)
        finite = np.isfinite(maps).all(axis=1)
        own = {"method": method, "done": len(maps), "not_finite": int((~finite).sum())}
        own["constant"] = int((np.ptp(maps[finite], axis=1) == 0).sum())
        noise = np.empty(0)
        if run.has(f"reliability/{method}"):
            reliability = run.store(f"reliability/{method}")
            noise = reliability.values[reliability.done]
        known = noise[np.isfinite(noise)]
        wished = store.settings.get("target_correlation")
        with np.errstate(invalid="ignore"):
            own["unreliable"] = 0 if wished is None else int((~(np.sqrt(noise) >= wished)).sum())
        own["target_correlation"] = np.nan if wished is None else wished
        own["reliability_median"] = median(noise)
        own["reliability_lowest_decile"] = float(np.percentile(known, 10)) if len(known) else np.nan
        yield own


_TABLES = {
    "similarity": (_similarity, ("statistic", "scope", "sign", "method", "other_method"), {}),
    "localization": (
        lambda run: _with_difference(list(_localization(run)), ("score", "region", "map"), "value"),
        ("score", "region", "method", "map"),
        {},
    ),
    "scores": (_scores, ("score", "method", "map"), {}),
    "cascade": (_cascade, ("direction", "smooth", "statistic", "sign", "method", "depth"), {}),
    "cascade_network": (_cascade_network, ("direction", "depth"), {}),
    "perturbation": (_perturbation, ("order", "method", "map", "step", "metric"), {}),
    "perturbation_summary": (_perturbation_summary, ("method", "metric"), {}),
    "maps": (_maps, ("method",), {"unit": SETTING, "signed": SETTING, "forwards": SETTING, "gradients": SETTING}),
}
