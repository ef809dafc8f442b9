"""The tables of randomised networks."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from recomputed.compare import SETTING, Recipe
from recomputed.effects import Effect, over_draws
from recomputed.perturbation_tables import auroc
from recomputed.stores import Array, RunFiles
from recomputed.tables import CONTROLS, mean, median, patient_means

RANDOM = "cascade/random_networks"


def _cascade(run: RunFiles) -> Iterator[dict]:
    for folder, statistic in product(_cascades(run), ("pearson", "spearman")):
        store = run.store(f"cascade/{folder}/{statistic}")
        layers, direction = store.settings["layers"], folder.removesuffix("_smooth")
        chosen = np.isfinite(store.values).any(axis=(1, 2, 3, 4))
        values, patients = mean(store.values[chosen], axis=1), run.examples["patient_id"][chosen].to_numpy()
        depths, methods = store.coords["depth"], store.coords["method"]
        for (s, sign), (m, method), (d, depth) in product(
            enumerate(store.coords["sign"]), enumerate(methods), enumerate(depths)
        ):
            own, ceiling = values[:, s, m, d], np.nan
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
                "batchnorm": store.settings["batchnorm"],
                "layer": _layer(layers, direction, depth),
                "similarity": float(mean(own)),
                "n_ecgs": int(np.isfinite(own).sum()),
                "n_patients": len(set(patients[np.isfinite(own)])),
                "n_undefined": int(np.isnan(own).sum()),
                "ceiling": ceiling,
            }


def _network(run: RunFiles) -> Iterator[dict]:
    for direction in (name for name in _cascades(run) if not name.endswith("_smooth")):
        store = run.store(f"cascade/{direction}_logits")
        chosen = np.isfinite(store.values).any(axis=(1, 2))
        for d, depth in enumerate(store.coords["depth"]):
            logits = store.values[chosen, :, d]
            logits = logits[:, np.isfinite(logits).any(axis=0)]  # repeats that randomised so many layers
            each = [auroc(one, run.label[chosen]) for one in logits.T]
            layer = _layer(store.settings["layers"], direction, depth)
            yield {"direction": direction, "depth": depth, "layer": layer, "auroc": float(np.mean(each))}


def _cascades(run: RunFiles) -> list[str]:
    names = [f"{d}{s}" for d in ("from_output", "from_input", "independent") for s in ("", "_smooth")]
    return [name for name in names if run.has(f"cascade/{name}/pearson")]


def _layer(layers: list[str], direction: str, depth: int) -> str:
    """The last layer that a depth has made random."""
    if depth == 0:
        return ""
    return layers[depth - 1] if direction == "from_input" else layers[len(layers) - depth]


def random_networks(runs: list[RunFiles], rows: list[np.ndarray]) -> Iterator[dict]:
    """One row a kind of network, quantity and method, over one network or several.

    Args:
        runs: Of one target.
        rows: Of each run in the order of the first one's ECGs.
    """
    policies = sorted({path.name for run in runs for path in (run.path / RANDOM).glob("*")})
    folders = {policy: f"{RANDOM}/{policy}" for policy in policies} | {"permuted_labels": "cascade/permuted_labels"}
    tables: dict[tuple[str, str], Array] = {}
    methods: list[str] = []
    for kind, quantity in product(folders, ("partial", "magnitude", "signed", "between")):
        name = f"{folders[kind]}/{quantity}"
        if all(run.has(name) for run in runs):
            stores = [run.store(name) for run in runs]
            methods = stores[0].coords["method"]
            tables[kind, quantity] = _same_draws([one.values[r] for one, r in zip(stores, rows, strict=True)])
    measured = np.any([np.isfinite(table).any(axis=(0, 2, 3)) for table in tables.values()], axis=0)
    if all(run.has("similarity/controls/pearson") for run in runs):
        tables["", "other_ecg"] = _of_another_ecg(runs, rows, methods)
    patients = runs[0].examples["patient_id"].to_numpy()[measured]
    for (kind, quantity), table in tables.items():
        magnitude = tables.get((kind, "magnitude"), table)
        for m, method in enumerate(methods):
            draws = _draws(magnitude[..., m][:, measured]) - (quantity == "between")
            row = {"batchnorm": kind, "quantity": quantity, "method": method, "control": method in CONTROLS}
            yield row | _one(table[..., m][:, measured], patients, draws)


def _one(values: Array, patients: np.ndarray, draws: int) -> dict:
    """Of (network, ecg, draw)."""
    effect: Effect = over_draws(values, patients)
    low, high = effect.interval()
    of_draws = [mean(patient_means(one, patients).to_numpy()) for one in values]
    spread = [one[np.isfinite(one)].var(ddof=1) for one in of_draws if np.isfinite(one).sum() > 1]
    return {
        "mean": effect.estimate,
        "low": low,
        "high": high,
        "sd_draws": float(np.sqrt(np.mean(spread))) if spread else np.nan,
        "mean_abs": float(mean(np.abs(values).ravel())),
        "n_networks": len(values),
        "n_draws": max(draws, 0),
        "n_ecgs": int(np.isfinite(values).any(axis=2).all(axis=0).sum()),
        "n_patients": effect.n_patients,
        "n_undefined": int(values.shape[0] * values.shape[1] * max(draws, 0) - np.isfinite(values).sum()),
    }


def _draws(magnitude: Array) -> int:
    there = np.flatnonzero(np.isfinite(magnitude).any(axis=(0, 1)))
    return int(there[-1]) + 1 if len(there) else 0


def _same_draws(tables: list[Array]) -> Array:
    most = max(table.shape[1] for table in tables)
    return np.stack([np.pad(t, ((0, 0), (0, most - t.shape[1]), (0, 0)), constant_values=np.nan) for t in tables])


def _of_another_ecg(runs: list[RunFiles], rows: list[np.ndarray], methods: list[str]) -> Array:
    """(network, ecg, 1, method) by magnitude."""
    found = []
    for run, own in zip(runs, rows, strict=True):
        store = run.store("similarity/controls/pearson")
        sign, control = store.coords["sign"].index("absolute"), store.coords["control"].index("other_ecg")
        places = [store.coords["method"].index(method) for method in methods]
        found.append(store.values[own][:, sign, :, control][:, None, places])
    return np.stack(found)


def _random_of_run(run: RunFiles) -> Iterator[dict]:
    return random_networks([run], [np.arange(len(run.examples))])


RECIPES = {
    "cascade": Recipe(_cascade, ("direction", "smooth", "statistic", "sign", "method", "depth")),
    "cascade_network": Recipe(_network, ("direction", "depth")),
    # closed forms, not bootstraps
    "random_networks": Recipe(_random_of_run, ("batchnorm", "quantity", "method"), {"seconds": SETTING}),
}
