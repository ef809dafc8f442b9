"""What the paper says of the agreement between seeds, and what a study has in its place."""

from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from ecg_lightning.experiments.published import Published
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import NO_NUMBER, number
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.runs.study_runs import StudyRuns

_NAMED_IN_3B: Final = ("guided_gradcam", "smoothgrad")


def _classes(runs: StudyRuns) -> pd.DataFrame:
    """Self-consistency by diagnosis and method, by Pearson's correlation of maps with their sign."""
    table = runs.study_table("self_consistency")
    if table.empty:
        return pd.DataFrame(columns=["target", "method", "mean", "sd", "n_ecgs", "n_pairs"])
    chosen = (table["statistic"] == "pearson") & (table["sign"] == "native") & (table["target"] != ALL_TARGETS)
    return table[chosen].dropna(subset=["mean"])


def _class_mean(runs: StudyRuns, which: str) -> str:
    """The lowest or the highest mean of a diagnosis."""
    means = _classes(runs).groupby("target")["mean"].mean()
    if means.empty:
        return NO_NUMBER
    place = int(means.argmin() if which == "min" else means.argmax())
    return f"{number(means.iloc[place])} ({class_name(means.index[place])})"


def _most_methods(runs: StudyRuns) -> str:
    """The range of the methods that the paper does not name."""
    of_methods = _classes(runs).groupby("method", sort=False)["mean"].mean()
    most = of_methods.drop(list(_NAMED_IN_3B), errors="ignore")
    return f"{number(most.min())} to {number(most.max())}" if len(most) else NO_NUMBER


def _greatest_sd(runs: StudyRuns) -> str:
    """The greatest standard deviation of a method over ECGs and pairs."""
    classes = _classes(runs)
    if classes.empty:
        return NO_NUMBER
    sds = classes.groupby("method", sort=False)[["mean", "sd", "n_ecgs", "n_pairs"]].apply(pooled_sd)
    return f"{number(sds.max())} ({method_style(str(sds.idxmax())).label})"


def _over_methods(runs: StudyRuns, target: str | None = None) -> str:
    """Mean over methods, and diagnoses unless one is named; the paper's spread is read as that of the means."""
    classes = _classes(runs)
    means = classes["mean"] if target is None else classes[classes["target"] == target]["mean"]
    return f"{number(means.mean())} ± {number(means.std())}" if len(means) else NO_NUMBER


def _of_method(runs: StudyRuns, method: str) -> str:
    """Mean and standard deviation of one method."""
    classes = _classes(runs)
    own = classes[classes["method"] == method]
    return f"{number(own['mean'].mean())} ± {number(pooled_sd(own))}" if len(own) else NO_NUMBER


def pooled_sd(rows: pd.DataFrame) -> float:
    """Standard deviation over all ECGs and pairs of several rows together, from their means and standard deviations.

    Args:
        rows: ``mean, sd, n_ecgs, n_pairs``, one row a diagnosis.
    """
    counts = (rows["n_ecgs"] * rows["n_pairs"]).to_numpy(dtype=float)
    means, sds = rows["mean"].to_numpy(dtype=float), rows["sd"].to_numpy(dtype=float)
    mean = np.average(means, weights=counts)
    return float(np.sqrt(np.average(sds**2 + (means - mean) ** 2, weights=counts)))


PUBLISHED: Final = (
    Published(
        "consistency:all", "self-consistency over all methods and classes", "0.52 ± 0.14", "Discussion", _over_methods
    ),
    Published(
        "consistency:most",
        "self-consistency of the methods other than guided Grad-CAM and SmoothGrad",
        "0.41 to 0.65",
        "Results",
        _most_methods,
    ),
    Published(
        "consistency:guided_gradcam",
        "self-consistency of guided Grad-CAM",
        "0.29 ± 0.28 (lowest)",
        "Results",
        partial(_of_method, method="guided_gradcam"),
    ),
    Published(
        "consistency:smoothgrad",
        "self-consistency of SmoothGrad",
        "0.82 ± 0.12 (highest)",
        "Results",
        partial(_of_method, method="smoothgrad"),
    ),
    Published(
        "consistency:sd",
        "greatest standard deviation of a method's self-consistency",
        "0.39 (Grad-CAM)",
        "Results",
        _greatest_sd,
    ),
    Published(
        "consistency:sinus_rhythm",
        "self-consistency over all methods, sinus rhythm",
        "0.57 ± 0.13",
        "Discussion",
        partial(_over_methods, target="sinus_rhythm"),
    ),
    Published(
        "consistency:class:min",
        "lowest class mean of self-consistency",
        "0.54 (low QRS voltage, LVH)",
        "Results",
        partial(_class_mean, which="min"),
    ),
    Published(
        "consistency:class:max",
        "highest class mean of self-consistency",
        "0.62 (first-degree AV block)",
        "Results",
        partial(_class_mean, which="max"),
    ),
)
