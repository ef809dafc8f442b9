"""Experiment 1: how alike the maps of different methods are (paper, Figure 3A, S1 and S2)."""

from functools import partial
from itertools import product
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.experiments.similarity.figures import similarity_figure
from ecg_lightning.experiments.similarity.smoothing_words import smoothing_of
from ecg_lightning.functional.similarity import SIGNS, STATISTICS, Sign, Statistic, compared_words
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Paragraph, Picture, ReportFiles, Section
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.run_means import means_over_runs
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.runs.study_runs import StudyRuns

_SCOPE: Final = 0  # the ECG
_OTHERS: Final = ("other_ecg", "mean_map")
"""What stands in for a patient's own maps."""

_LABELS: Final[dict[tuple[Statistic, Sign], str]] = {
    ("pearson", "native"): "Figure 3A",
    ("spearman", "native"): "Figure S2, all classes",
    ("pearson", "absolute"): "Figure 3A by magnitude",
    ("spearman", "absolute"): "Figure S2 by magnitude",
}


def similarity_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Heat maps over all classes, and one a class."""
    title = "Experiment 1: similarity between methods"
    having = runs.with_store("similarity/pearson")
    if not having:
        return Section(
            "similarity", title, [Paragraph("No run has measured it (MethodSimilarity was left out).", "note")]
        )
    names = _names(having)
    table, of_others = _means(runs, having, names), _of_others(runs, names)
    files_of_table = files.table("similarity_by_class", table)
    if not of_others.empty:
        files_of_table = [*files_of_table, *files.table("similarity_controls_by_class", of_others)]
    draw = partial(_picture, runs, files, table, of_others, names)
    whole = [draw(ALL_TARGETS, statistic, sign) for statistic, sign in _LABELS]
    extremes = _extremes(table)
    blocks: list[Block] = [whole[0], Paragraph(extremes), Paragraph(f"Numbers: {', '.join(files_of_table)}.", "note")]
    details: dict[str, list[Block]] = {
        "By magnitude, and by Spearman's correlation (Figure S2)": list(whole[1:]),
        "Each class (Figure S1)": [draw(target, "pearson", "native") for target in having],
        "Each class by Spearman's correlation (Figure S2)": [draw(target, "spearman", "native") for target in having],
    }
    return Section("similarity", title, blocks, details)


def _names(having: dict[str, dict[int, Run]]) -> list[str]:
    """Methods and controls of the first run that measured it; another run's others are NaN."""
    first = next(iter(next(iter(having.values())).values()))
    return [str(name) for name in first.row_store("similarity/pearson").spec.coords["method"]]


def _values(
    run: Run, statistic: Statistic, sign: Sign, names: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """(n, pair) of one run, and its patients."""
    store = run.row_store(f"similarity/{statistic}")
    own = [str(name) for name in store.spec.coords["method"]]
    values = np.asarray(store.array[:, _SCOPE, SIGNS.index(sign)], dtype=np.float64)
    values[~store.done] = np.nan
    if own != names:
        place = [own.index(name) if name in own else -1 for name in names]
        padded = np.pad(values, ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)  # -1: a column of NaN
        values = padded[:, place][:, :, place]
    first, second = np.triu_indices(len(names), 1)
    return values[:, first, second], run.examples["patient_id"].to_numpy()


def _means(runs: StudyRuns, having: dict[str, dict[int, Run]], names: list[str]) -> pd.DataFrame:
    """One row a pair of methods, in every target and over all, by every statistic and sign."""
    found = {
        (statistic, sign): means_over_runs(
            having, partial(_values, statistic=statistic, sign=sign, names=names), runs.intervals
        )
        for statistic in STATISTICS
        for sign in SIGNS
    }
    networks = {target: len(seeds) for target, seeds in having.items()}
    networks[ALL_TARGETS] = sum(networks.values())
    first, second = np.triu_indices(len(names), 1)
    parts = [
        pd.DataFrame(
            {
                "target": target,
                "statistic": statistic,
                "sign": sign,
                "method": np.array(names)[first],
                "other_method": np.array(names)[second],
                "mean": means[target].mean,
                "low": means[target].low,
                "high": means[target].high,
                "sd": means[target].sd,
                "n_values": means[target].n_values,
                "n_networks": count,
            }
        )
        for target, count in networks.items()
        for (statistic, sign), means in found.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _of_others(runs: StudyRuns, names: list[str]) -> pd.DataFrame:
    """One row a method and map that stands in for its own, in every target and over all; empty in older studies."""
    having = runs.with_store("similarity/controls/pearson")
    parts = []
    for statistic, (place, sign) in product(STATISTICS, enumerate(SIGNS)) if having else ():
        store = f"similarity/controls/{statistic}"

        def values(run: Run, store: str = store, place: int = place) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
            found = run.store(store).sel({"sign": SIGNS[place]}).reindex({"method": names, "control": _OTHERS})
            known = found.where(found["done"]).transpose("row", "method", "control").to_numpy()
            return known.astype(np.float64).reshape(len(known), -1), run.examples["patient_id"].to_numpy()

        for target, means in means_over_runs(having, values, runs.intervals).items():
            parts.append(
                pd.DataFrame(
                    {
                        "target": target,
                        "statistic": statistic,
                        "sign": sign,
                        "method": np.repeat(names, len(_OTHERS)),
                        "map": np.tile(_OTHERS, len(names)),
                        "mean": means.mean,
                        "low": means.low,
                        "high": means.high,
                        "sd": means.sd,
                        "n_values": means.n_values,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _columns(
    of_others: pd.DataFrame, names: list[str], target: str, statistic: Statistic, sign: Sign
) -> dict[str, NDArray[np.float64]]:
    """What stands in for a map -> (name,) mean similarity with the own one."""
    if of_others.empty:
        return {}
    chosen = {"target": target, "statistic": statistic, "sign": sign}
    own = of_others[np.all([of_others[name] == value for name, value in chosen.items()], axis=0)]
    columns = own.pivot(index="method", columns="map", values="mean").reindex(names)
    return {name: np.clip(columns[name].to_numpy(), -1, 1) for name in _OTHERS if columns[name].notna().any()}


def _picture(
    runs: StudyRuns,
    files: ReportFiles,
    table: pd.DataFrame,
    of_others: pd.DataFrame,
    names: list[str],
    target: str,
    statistic: Statistic,
    sign: Sign,
) -> Picture:
    chosen = table[(table["target"] == target) & (table["statistic"] == statistic) & (table["sign"] == sign)]
    matrix = np.full((len(names), len(names)), np.nan)
    np.fill_diagonal(matrix, 1.0)
    first, second = np.triu_indices(len(names), 1)
    matrix[first, second] = matrix[second, first] = chosen["mean"]
    beside = _columns(of_others, names, target, statistic, sign)
    what = "all classes" if target == ALL_TARGETS else class_name(target)
    caption = _caption(runs, chosen, target, statistic, sign, bool(beside))

    def draw(caption: str) -> CaptionedFigure:
        return similarity_figure(
            np.clip(matrix, -1, 1),
            names,
            quantity=f"{statistic.capitalize()} correlation",
            title=f"Similarity between methods: {what}",
            caption=caption,
            beside=beside,
        )

    label = (
        _LABELS[statistic, sign] if target == ALL_TARGETS else "Figure S1" if statistic == "pearson" else "Figure S2"
    )
    return files.picture(f"similarity/{target}_{statistic}_{sign}", draw, label, caption)


def _caption(runs: StudyRuns, chosen: pd.DataFrame, target: str, statistic: Statistic, sign: Sign, beside: bool) -> str:
    half = float(((chosen["high"] - chosen["low"]) / 2).max())
    widest = f"; the widest {runs.intervals.confidence:.0%} interval (patients resampled) is ±{half:.2f}"
    others = (
        " At the right: each map with the same method's map of another patient of the same predicted class (of a "
        "measurement, with the nearest prediction), and with the mean of the maps of all other patients."
    )
    return (
        f"{statistic.capitalize()} correlation over all points of an ECG, of {compared_words(sign)}, "
        f"{smoothing_of(next(iter(runs)))}. Mean over ECGs, then over seeds"
        f"{', then over classes' if target == ALL_TARGETS else ''} ({int(chosen['n_networks'].iloc[0])} networks)"
        f"{widest if half >= 0 else ''}. Italics: controls, which know nothing of the network."
        f"{others if beside else ''}"
    )


def _extremes(table: pd.DataFrame) -> str:
    """The most and the least alike pair of methods, in words."""
    own = table[(table["target"] == ALL_TARGETS) & (table["statistic"] == "pearson") & (table["sign"] == "native")]
    own = own[
        [
            not (method_style(a).control or method_style(b).control)
            for a, b in zip(own["method"], own["other_method"], strict=True)
        ]
    ]
    own = own.dropna(subset=["mean"]).sort_values("mean")
    if own.empty:
        return "No pair of methods has a defined similarity."

    def words(row: "pd.Series[float]") -> str:
        pair = " and ".join(method_style(str(row[side])).label for side in ("method", "other_method"))
        return f"{pair} ({row['mean']:.2f} ± {row['sd']:.2f})"

    return (
        f"Most alike: {words(own.iloc[-1])}. Least alike: {words(own.iloc[0])}. Mean over all pairs of methods: "
        f"{own['mean'].mean():.2f}. ± is the standard deviation over all ECGs and networks."
    )
