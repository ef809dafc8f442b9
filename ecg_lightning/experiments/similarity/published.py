"""What the paper says of the similarity of methods, and what a study has in its place."""

from collections.abc import Iterable
from functools import partial
from typing import Final

import pandas as pd

from ecg_lightning.experiments.published import Published
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import NO_NUMBER, number
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


def _pairs(runs: StudyRuns, statistic: str = "pearson") -> pd.DataFrame:
    """Pairs of methods over all classes, with sign; without controls."""
    table = runs.study_table("similarity_by_class")
    if table.empty:
        return pd.DataFrame(columns=["method", "other_method", "mean", "sd"])
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


def _of_pair(runs: StudyRuns, one: str, other: str) -> str:
    """Mean similarity of two methods, and its standard deviation over ECGs and networks."""
    pair = _among(_pairs(runs), [one], [other])
    return f"{number(pair['mean'].iloc[0])} ± {number(pair['sd'].iloc[0])}" if len(pair) else NO_NUMBER


def _extreme(runs: StudyRuns, family: str, which: str) -> str:
    """The least or the most similar pair of a family."""
    inside = _among(_pairs(runs), FAMILIES[family], FAMILIES[family])
    if family == "activation":
        inside = inside.drop(_among(inside, ["guided_backprop"], ["guided_gradcam"]).index)
    if inside.empty:
        return NO_NUMBER
    row = inside.iloc[int(inside["mean"].argmin() if which == "min" else inside["mean"].argmax())]
    names = " and ".join(method_style(str(row[side])).label for side in ("method", "other_method"))
    return f"{number(row['mean'])} ({names})"


def _families(runs: StudyRuns) -> str:
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


def _gradient_x_input(runs: StudyRuns) -> str:
    pairs = _pairs(runs)
    if pairs.empty:
        return NO_NUMBER
    groups = (FAMILIES["sensitivity"][:2], FAMILIES["contribution"])
    found = [_among(pairs, ["gradient_x_input"], group)["mean"] for group in groups]
    return "; ".join(number(means.mean()) if len(means) else NO_NUMBER for means in found)


def _spearman(runs: StudyRuns) -> str:
    keys = ["method", "other_method"]
    pearson, spearman = (_pairs(runs, statistic) for statistic in ("pearson", "spearman"))
    if pearson.empty or spearman.empty:
        return NO_NUMBER
    both = pearson[[*keys, "mean"]].merge(spearman[[*keys, "mean"]], on=keys)
    differ = (both["mean_x"] - both["mean_y"]).abs()
    return f"differ by {number(differ.mean())} on average, at most {number(differ.max())}"


PUBLISHED: Final = (
    Published(
        "similarity:ig_smoothgrad:gradient_shap",
        "similarity of IG + SmoothGrad and GradientSHAP",
        "0.96",
        "Figure 3A",
        partial(_of_pair, one="ig_smoothgrad", other="gradient_shap"),
    ),
    Published(
        "similarity:guided_backprop:guided_gradcam",
        "similarity of guided backprop and guided Grad-CAM",
        "0.37",
        "Figure 3A",
        partial(_of_pair, one="guided_backprop", other="guided_gradcam"),
    ),
    Published(
        "similarity:contribution:min",
        "lowest similarity among the baseline-dependent methods",
        "0.34 (DeepLIFT-SHAP)",
        "Results",
        partial(_extreme, family="contribution", which="min"),
    ),
    Published(
        "similarity:activation:max",
        "similarity among activation-based methods, guided backprop and guided Grad-CAM apart",
        "below 0.10",
        "Results",
        partial(_extreme, family="activation", which="max"),
    ),
    Published(
        "families",
        "similarity within and across families",
        "partial clustering; uniformly low across",
        "Results",
        _families,
    ),
    Published(
        "similarity:sensitivity:max",
        "most alike among the sensitivity-based methods",
        "Saliency and SmoothGrad",
        "Results",
        partial(_extreme, family="sensitivity", which="max"),
    ),
    Published(
        "gradient_x_input",
        "gradient x input with Saliency and SmoothGrad; with the baseline-dependent methods",
        "not correlated; moderate",
        "Results",
        _gradient_x_input,
    ),
    Published("spearman", "similarities by Spearman's correlation", "similar results", "Figure S2", _spearman),
)
