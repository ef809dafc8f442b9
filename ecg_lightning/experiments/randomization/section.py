"""Experiment 3: similarity to the trained network's maps as layers are randomised (paper, Figures 4A and S5)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ecg_lightning.experiments.randomization.figures import AXIS, cascade_panels, network_score, network_words
from ecg_lightning.experiments.randomization.random_networks_blocks import random_networks_blocks
from ecg_lightning.experiments.randomization.schemas import CASCADE, CASCADE_NETWORK
from ecg_lightning.functional.similarity import compared_words
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.curves import curves_figure
from ecg_lightning.plotting.method_style import method_place, method_style
from ecg_lightning.plotting.page_blocks import Paragraph, Picture, ReportFiles, Section, TableBlock, number
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.signal_format import usual_smoothing
from ecg_lightning.runs.study_runs import StudyRuns
from ecg_lightning.statistics.draws import known_mean


def cascade_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """What random networks leave of the maps, and the progressive cascade of the paper."""
    title = "Experiment 3: randomisation of the network's weights"
    tables, networks = runs.tables(CASCADE), runs.tables(CASCADE_NETWORK)
    if tables.empty:
        return Section(
            "cascade", title, [Paragraph("No run has measured it (RandomizationCascade was left out).", "note")]
        )
    blocks, details = random_networks_blocks(runs, files)
    table, network = cascade_means(tables), _mean_of(networks, ["direction", "depth"], network_score(networks))
    where = ", ".join(
        f"{class_name(target)} (seeds {', '.join(map(str, sorted(part['seed'].unique())))})"
        for target, part in tables.groupby("target", sort=False)
    )
    saved = files.table("cascade_all", table)
    norms = _norms(tables)
    picture = _CascadePictures(runs, files, table, network, where, norms).picture
    blocks += [
        picture("pearson", "native", "Figure 4A"),
        Paragraph(_left_at_the_end(table, norms)),
        Paragraph(f"Networks: {where}. Numbers: {', '.join(saved)}.", "note"),
    ]
    details |= {
        "By Spearman's correlation (Figure S5)": [picture("spearman", "native", "Figure S5")],
        "By magnitude": [
            picture("pearson", "absolute", "Figure 4A by magnitude"),
            picture("spearman", "absolute", "Figure S5 by magnitude"),
        ],
    }
    forms = _other_forms(runs, table)
    if forms is not None:
        details["The smooth and the efficient test"] = [forms]
    return Section("cascade", title, blocks, details)


def cascade_means(tables: pd.DataFrame) -> pd.DataFrame:
    """Over the networks that have a cascade: the mean of their means, and the range of the networks.

    Returns:
        ``direction, smooth, statistic, sign, method, depth, layer, similarity, low, high, n_networks``, and of the
        first network ``n_ecgs, n_patients``; with one network ``low`` and ``high`` are its interval over patients, with
        more the least and the greatest of them.
    """
    keys = ["direction", "smooth", "statistic", "sign", "method", "depth"]
    means = _mean_of(tables, keys, "similarity")
    counted = [name for name in ("n_ecgs", "n_patients") if name in tables]
    rest = tables.groupby(keys, sort=False)[["layer", "complete", "ceiling", *counted]].first().reset_index()
    return means.merge(rest, on=keys)


def _mean_of(tables: pd.DataFrame, keys: list[str], value: str) -> pd.DataFrame:
    """Seeds first, then targets; the network's own interval where there is one network only."""
    n_networks = tables[["target", "seed"]].drop_duplicates().shape[0]
    of_targets = tables.groupby([*keys, "target"], sort=False)[value].mean().reset_index()
    found = of_targets.groupby(keys, sort=False)[value].mean().reset_index()
    if n_networks == 1:
        found = found.merge(tables[[*keys, "low", "high"]], on=keys)
    else:
        span = tables.groupby(keys, sort=False)[value].agg(low="min", high="max").reset_index()
        found = found.merge(span, on=keys)
    found["n_networks"] = n_networks
    return found


@dataclass(frozen=True)
class _CascadePictures:
    """The figures of the progressive cascade, which differ in the statistic and the sign only.

    Attributes:
        runs: The study.
        files: Where figures are saved.
        table: See :func:`cascade_means`.
        network: ``direction, depth, auroc, low, high`` of the networks, or ``r2`` in place of ``auroc``.
        where: The networks, in words.
        norms: What was done to BatchNorms, in words.
    """

    runs: StudyRuns
    files: ReportFiles
    table: pd.DataFrame
    network: pd.DataFrame
    where: str
    norms: str

    def picture(self, statistic: str, sign: str, label: str) -> Picture:
        """Draw the curves of one statistic and sign, and save them."""
        panels = cascade_panels(self.table, self.network, statistic, sign)

        def draw(caption: str) -> CaptionedFigure:
            return curves_figure(panels, AXIS, "Randomisation cascade", caption)

        return self.files.picture(f"cascade/{statistic}_{sign}", draw, label, self._caption(statistic, sign))

    def _caption(self, statistic: str, sign: str) -> str:
        count = int(self.table["n_networks"].iloc[0])
        bands = (
            f"bands: {self.runs.intervals.confidence:.0%} interval, patients resampled"
            if count == 1
            else "lines: mean over seeds and classes; bands: from the lowest to the highest of the "
            f"{count} networks, which is no interval"
        )
        return (
            f"{statistic.capitalize()} correlation of {compared_words(sign)} with those of the trained network, "
            f"{usual_smoothing(next(iter(self.runs)))}, over all points. x: how many layers have "
            f"random weights, a fresh draw each, BatchNorms {self.norms}. {_ecgs(self.table)}. {self.where}; {bands}. "
            f"Grey, broken: controls, which know nothing of the network. Below: the network's "
            f"{network_words(self.network)}."
        )


def _norms(tables: pd.DataFrame) -> str:
    """What was done to BatchNorms, in words; runs of an earlier version do not say."""
    known = tables["batchnorm"].dropna().unique().tolist() if "batchnorm" in tables else list[object]()
    return " or ".join(str(one).replace("_", " and ") for one in known) or "as the runs' settings say"


def _ecgs(table: pd.DataFrame) -> str:
    """How many ECGs and patients a network's mean is of."""
    most = int(table["n_ecgs"].max()) if "n_ecgs" in table else 0
    patients = table["n_patients"].max() if "n_patients" in table else float("nan")
    return f"{most} ECGs a network" + (f" of {int(patients)} patients" if pd.notna(patients) else "")


def _left_at_the_end(table: pd.DataFrame, norms: str) -> str:
    complete = table[
        table["complete"] & ~table["smooth"] & (table["statistic"] == "pearson") & (table["sign"] == "native")
    ]
    if complete.empty:
        return "No cascade randomises every layer, so there is no end point."
    last = complete[complete["depth"] == complete["depth"].max()].dropna(subset=["similarity"])
    last = last.groupby("method", sort=False)["similarity"].mean()
    own = last[[not method_style(str(name)).control for name in last.index]].sort_values(ascending=False)
    words = "; ".join(f"{method_style(str(name)).label} {number(float(value))}" for name, value in own.items())
    return (
        f"In the paper's reading (maps with their sign, BatchNorms {norms}) this similarity to the trained map is left "
        f"with every layer random: {words}. A map whose sign is the network's averages to 0 over random networks by "
        "symmetry, which is no evidence that it needs the weights."
    )


def _other_forms(runs: StudyRuns, table: pd.DataFrame) -> TableBlock | None:
    """Smooth and efficient MPRT by method, where they were measured."""
    rise = _entropy_rise(runs)
    end = table[table["complete"] & table["smooth"] & (table["statistic"] == "pearson")]
    end = end[end["depth"] == end["depth"].max()]
    smooth = {sign: end[end["sign"] == sign].groupby("method")["similarity"].mean() for sign in ("native", "absolute")}
    if rise.empty and end.empty:
        return None
    names = sorted({*rise.index, *end["method"]}, key=method_place)
    rows = [
        [method_style(name).label, *(number(one.get(name, float("nan"))) for one in (*smooth.values(), rise))]
        for name in names
    ]
    return TableBlock(
        ["method", "smooth test, with sign", "smooth test, by magnitude", "efficient test"],
        rows,
        "Smooth test: similarity to the trained map with every layer random, of maps averaged over noisy copies of the "
        "ECG. Efficient test: rise of the entropy of the map's histogram from the trained to the random network, as a "
        "share of the former; 0 where nothing changes. Mean over ECGs, then networks; a dash: not measured "
        "(Hedstroem et al. 2023).",
        "Smooth and efficient test",
    )


def _entropy_rise(runs: StudyRuns) -> pd.Series:
    """Method -> mean over ECGs, seeds, targets."""
    found = []
    for target, seeds in runs.with_store("scores/efficient_mprt").items():
        for run in seeds.values():
            store = run.row_store("scores/efficient_mprt")
            means = known_mean(np.asarray(store.array, dtype=float), axis=0)
            names = [str(name) for name in store.spec.coords["method"]]
            found.append(pd.DataFrame({"target": target, "method": names, "rise": means}))
    if not found:
        return pd.Series(dtype=float)
    return pd.concat(found).groupby(["method", "target"])["rise"].mean().groupby("method").mean()
