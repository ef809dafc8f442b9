"""What a study has in the place of each of the paper's numbers."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import numpy as np
import pandas as pd

from ecg_lightning.ecg import TARGETS
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import NO_NUMBER, number
from ecg_lightning.report.own_curves import (
    after_perturbation,
    first_steps,
    kept_at_the_end,
    noise_words,
    perturbation_settings,
)
from ecg_lightning.runs.performance import performance_table
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.runs.study_runs import StudyRuns

FAMILIES: Final = {
    "sensitivity": ("saliency", "smoothgrad", "gradient_x_input"),
    "activation": ("guided_backprop", "gradcam", "guided_gradcam"),
    "contribution": (
        "shapley_sampling", "deeplift", "integrated_gradients", "ig_smoothgrad", "gradient_shap", "deeplift_shap",
    ),
}  # fmt: skip
"""Of the paper's methods ("Cross-method similarity")."""

_NAMED_IN_3B: Final = ("guided_gradcam", "smoothgrad")


def own_number(runs: StudyRuns, key: str) -> str:
    """What this study has in the place of one of the paper's numbers; a dash for nothing."""
    kind, *rest = key.split(":")
    readers: Mapping[str, Callable[[StudyRuns, list[str]], str]] = {
        "total": _total,
        "prevalence": _prevalence,
        "networks": _networks,
        "auroc": lambda runs, _: _lowest(runs, "auroc"),
        "auprc": lambda runs, _: _lowest(runs, "auprc"),
        "similarity": _similarity,
        "families": _families,
        "gradient_x_input": _gradient_x_input,
        "spearman": _spearman,
        "consistency": _consistency,
        "cascade": lambda runs, rest: first_steps(runs) if rest[0] == "first" else kept_at_the_end(runs),
        "noise": lambda runs, _: noise_words(perturbation_settings(runs)),
        "perturbation": lambda runs, rest: after_perturbation(runs, rest[0]),
        "maps": _maps,
    }
    return readers[kind](runs, rest)


def _networks(runs: StudyRuns, _: list[str]) -> str:
    grid = f"{len(runs.targets)} x {len(runs.seeds)}"
    return f"{len(runs)} ({grid})" if len(runs) == len(runs.targets) * len(runs.seeds) else f"{len(runs)} (of {grid})"


def _total(runs: StudyRuns, rest: list[str]) -> str:
    population = runs.population
    if population.empty:
        return NO_NUMBER
    patients = population.drop_duplicates("patient_id")
    if rest[0] == "female":
        sex = patients["sex"][patients["sex"].isin(["female", "male"])]
        return f"{(sex == 'female').mean():.1%}".replace("%", " %") if len(sex) else "unknown"
    if rest[0] == "age":
        return f"{population['age'].mean():.1f} years" if population["age"].notna().any() else "unknown"
    return f"{len(population if rest[0] == 'ecgs' else patients):,}"


def _prevalence(runs: StudyRuns, rest: list[str]) -> str:
    if runs.population.empty:
        return NO_NUMBER
    shares = runs.population[list(TARGETS)].astype("Float64").mean().dropna()
    if shares.empty:
        return NO_NUMBER
    name = str(shares.idxmax() if rest[0] == "max" else shares.idxmin())
    return f"{100 * float(shares[name]):.1f} % ({class_name(name)})"


def _lowest(runs: StudyRuns, metric: str) -> str:
    table = performance_table(runs)
    if table.empty or not table[metric].notna().any():
        return NO_NUMBER
    means = table.groupby("target")[metric].mean()
    return f"{means.min():.2f} ({class_name(means.idxmin())})"


def _pairs(runs: StudyRuns, statistic: str = "pearson") -> pd.DataFrame:
    """Pairs of methods over all classes, with sign; without controls."""
    table = runs.study_table("similarity_by_class")
    if table.empty:
        return table
    if "map" in table:
        table = table[table["map"] == "own"]
    chosen = table[(table["target"] == ALL_TARGETS) & (table["statistic"] == statistic) & (table["sign"] == "native")]
    own = [not any(method_style(str(name)).control for name in pair)
           for pair in zip(chosen["method"], chosen["other_method"], strict=True)]  # fmt: skip
    return chosen[own].dropna(subset=["mean"])


def _among(pairs: pd.DataFrame, first: Iterable[str], second: Iterable[str]) -> pd.DataFrame:
    """Pairs of one method of each group, whichever stands first."""
    one, other = set(first), set(second)
    there = pairs["method"].isin(one) & pairs["other_method"].isin(other)
    back = pairs["method"].isin(other) & pairs["other_method"].isin(one)
    return pairs[there | back]


def _similarity(runs: StudyRuns, rest: list[str]) -> str:
    pairs = _pairs(runs)
    if pairs.empty:
        return NO_NUMBER
    if rest[0] not in FAMILIES:
        pair = _among(pairs, rest[:1], rest[1:])
        return f"{number(pair['mean'].iloc[0])} ± {number(pair['sd'].iloc[0])}" if len(pair) else NO_NUMBER
    inside = _among(pairs, FAMILIES[rest[0]], FAMILIES[rest[0]])
    if rest[0] == "activation":
        inside = inside.drop(_among(inside, ["guided_backprop"], ["guided_gradcam"]).index)
    if inside.empty:
        return NO_NUMBER
    row = inside.iloc[int(inside["mean"].argmin() if rest[1] == "min" else inside["mean"].argmax())]
    names = " and ".join(method_style(str(row[side])).label for side in ("method", "other_method"))
    return f"{number(row['mean'])} ({names})"


def _families(runs: StudyRuns, _: list[str]) -> str:
    pairs = _pairs(runs)
    if pairs.empty:
        return NO_NUMBER
    family = {name: kind for kind, names in FAMILIES.items() for name in names}
    known = pairs[pairs["method"].isin(family) & pairs["other_method"].isin(family)]
    same = known["method"].map(family) == known["other_method"].map(family)
    within, across = known[same]["mean"], known[~same]["mean"]
    if within.empty or across.empty:
        return NO_NUMBER
    return f"mean {number(within.mean())} within, {number(across.mean())} across (at most {number(across.max())})"


def _gradient_x_input(runs: StudyRuns, _: list[str]) -> str:
    pairs = _pairs(runs)
    if pairs.empty:
        return NO_NUMBER
    groups = (FAMILIES["sensitivity"][:2], FAMILIES["contribution"])
    found = [_among(pairs, ["gradient_x_input"], group)["mean"] for group in groups]
    return "; ".join(number(means.mean()) if len(means) else NO_NUMBER for means in found)


def _spearman(runs: StudyRuns, _: list[str]) -> str:
    keys = ["method", "other_method"]
    pearson, spearman = (_pairs(runs, statistic) for statistic in ("pearson", "spearman"))
    if pearson.empty or spearman.empty:
        return NO_NUMBER
    both = pearson[[*keys, "mean"]].merge(spearman[[*keys, "mean"]], on=keys)
    differ = (both["mean_x"] - both["mean_y"]).abs()
    return f"differ by {number(differ.mean())} on average, at most {number(differ.max())}"


def _consistency(runs: StudyRuns, rest: list[str]) -> str:
    table = runs.study_table("self_consistency")
    if table.empty:
        return NO_NUMBER
    own = table[(table["statistic"] == "pearson") & (table["sign"] == "native")].dropna(subset=["mean"])
    classes = own[own["target"] != ALL_TARGETS]
    of_methods = classes.groupby("method", sort=False)["mean"].mean()
    if of_methods.empty:
        return NO_NUMBER
    if rest[0] == "class":
        means = classes.groupby("target")["mean"].mean()
        place = int(means.argmin() if rest[1] == "min" else means.argmax())
        return f"{number(means.iloc[place])} ({class_name(means.index[place])})"
    if rest[0] == "most":
        most = of_methods.drop(list(_NAMED_IN_3B), errors="ignore")
        return f"{number(most.min())} to {number(most.max())}" if len(most) else NO_NUMBER
    if rest[0] == "sd":
        sds = classes.groupby("method", sort=False)[["mean", "sd", "n_ecgs", "n_pairs"]].apply(pooled_sd)
        return f"{number(sds.max())} ({method_style(str(sds.idxmax())).label})"
    if rest[0] == "all" or rest[0] in TARGETS:
        target = None if rest[0] == "all" else rest[0]
        means = classes["mean"] if target is None else classes[classes["target"] == target]["mean"]
        # the paper's figure is read as the spread of the means, not that over ECGs
        return f"{number(means.mean())} ± {number(means.std())}" if len(means) else NO_NUMBER
    chosen_rows = classes[classes["method"] == rest[0]]
    return f"{number(of_methods[rest[0]])} ± {number(pooled_sd(chosen_rows))}" if len(chosen_rows) else NO_NUMBER


def pooled_sd(rows: pd.DataFrame) -> float:
    """Standard deviation over all ECGs and pairs of several rows together, from their means and standard deviations.

    Args:
        rows: ``mean, sd, n_ecgs, n_pairs``, one row a diagnosis.
    """
    counts = (rows["n_ecgs"] * rows["n_pairs"]).to_numpy(dtype=float)
    means, sds = rows["mean"].to_numpy(dtype=float), rows["sd"].to_numpy(dtype=float)
    mean = np.average(means, weights=counts)
    return float(np.sqrt(np.average(sds**2 + (means - mean) ** 2, weights=counts)))


def _maps(runs: StudyRuns, _: list[str]) -> str:
    table = runs.tables("maps")
    if not table.empty:
        return f"{int(table['done'].sum()):,}"
    return f"{sum(len(run.examples) * len(run.maps) for run in runs):,}"
