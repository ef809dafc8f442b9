"""What random networks leave of the maps: the verdict by diagnosis, and what stands beside it."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from ecg_lightning.experiments.randomization.checks import comparisons
from ecg_lightning.experiments.randomization.draws import POLICY
from ecg_lightning.experiments.randomization.left_over_figure import LeftOverPanel, left_over_figure, left_over_rows
from ecg_lightning.experiments.randomization.random_network_table import OTHER_ECG, PERMUTED, table_of_runs
from ecg_lightning.plotting.class_words import class_name, class_short
from ecg_lightning.plotting.method_style import method_place, method_style
from ecg_lightning.plotting.page_blocks import (
    Block,
    Cell,
    Items,
    Paragraph,
    Picture,
    ReportFiles,
    TableBlock,
    number,
    with_interval,
)
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.signal_format import usual_smoothing
from ecg_lightning.runs.study_runs import StudyRuns, records
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.verdicts.checks import margins_of
from ecg_lightning.verdicts.decide import decide
from ecg_lightning.verdicts.words import sentence, state_word

_BESIDE: Final = "kept"
_KINDS: Final[Mapping[str, str]] = {"passes": "good", "fails": "bad", "cannot_tell": "none", "not_measured": "none"}

_COLUMNS: Final[Mapping[str, tuple[str, str, str]]] = {
    "given |ECG| and |slope| (decides)": (POLICY, "partial", "mean"),
    "by magnitude": (POLICY, "magnitude", "mean"),
    "with sign": (POLICY, "signed", "mean"),
    "with sign, mean of |r|": (POLICY, "signed", "mean_abs"),
    "BatchNorms kept, by magnitude": (_BESIDE, "magnitude", "mean"),
    "BatchNorms kept, with sign (the paper's reading)": (_BESIDE, "signed", "mean"),
    "another ECG's map": ("", OTHER_ECG, "mean"),
    "two random networks": (POLICY, "between", "mean"),
    "trained on permuted labels, given |ECG| and |slope|": (PERMUTED, "partial", "mean"),
    "SD over draws": (POLICY, "partial", "sd_draws"),
}
"""Heading -> kind of network, quantity and column of the table."""

NOT_MEASURED: Final = (
    "Whether maps need the weights was not measured: no run has random networks with BatchNorms reset and "
    "recalibrated. A test by this version measures it."
)


def random_networks_blocks(runs: StudyRuns, files: ReportFiles) -> tuple[list[Block], dict[str, list[Block]]]:
    """The blocks of the section, and those that open at a touch."""
    targets = [TargetRuns.of(target, seeds) for target, seeds in runs.finished.items()]
    verdicts = decide([one for target in targets for one in comparisons(target)], runs.intervals.confidence)
    parts = [table_of_runs(target, runs.intervals.confidence).assign(target=target.target) for target in targets]
    table = pd.concat([part for part in parts if len(part)] or [pd.DataFrame()], ignore_index=True)
    if verdicts.empty or table.empty:
        return [Paragraph(NOT_MEASURED, "note")], {}
    saved = files.table("random_networks", table)
    blocks: list[Block] = [
        Paragraph(_question(table, verdicts)),
        Items(_counts(verdicts)),
        _verdict_table(verdicts, saved),
        _picture(runs, files, table),
    ]
    details: dict[str, list[Block]] = {
        f"Every comparison, {class_name(str(target))}": [_numbers(part, str(target), saved)]
        for target, part in table.groupby("target", sort=False)
    }
    return blocks, details


def _limits() -> tuple[float, float]:
    found = {one.score: abs(one.margin_pass) for one in margins_of("randomization", "needs_the_weights")}
    return found["partial"], found["magnitude"]


def _question(table: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    bound, raw = _limits()
    draws = _range(_basis(table)["n_draws"])
    return (
        f"Every layer of the networks is drawn anew ({draws} draws), BatchNorms are reset and recalibrated on training "
        "ECGs, and the maps of these random networks are correlated with those of the trained one, by magnitude. Most "
        "maps are large where the ECG is large or steep, whatever the weights: what decides is the correlation that is "
        f"left given |ECG| and |slope|. A method passes where it lies between {number(-bound)} and {number(bound)} and "
        f"the correlation without that correction is under {raw:g}, and fails where one of the two is surely missed. "
        f"Noise passes as well, so that a pass alone is no praise. {_patients(verdicts)}."
    )


def _counts(verdicts: pd.DataFrame) -> list[str]:
    """Of each diagnosis, which methods pass, which fail, and of which it can't be told."""
    own = verdicts[~verdicts["control"]]
    sentences = []
    for target, part in own.groupby("target", sort=False):
        said = []
        for state, one, more in (
            ("passes", "passes", "pass"),
            ("fails", "fails", "fail"),
            ("cannot_tell", "can't be told", "can't be told"),
        ):
            names = [method_style(str(name)).label for name in part.loc[part["state"] == state, "method"]]
            verb = one if len(names) == 1 else more
            said.append(f"{len(names)} {verb}" + (f" ({', '.join(names)})" if names else ""))
        sentences.append(f"{class_name(str(target))}, of {len(part)} methods: {'; '.join(said)}.")
    return sentences


def _patients(verdicts: pd.DataFrame) -> str:
    counts = (verdicts["n_patients"] + verdicts["n_patients_without"]).groupby(verdicts["target"], sort=False).max()
    each = ", ".join(f"{class_short(str(target))} {count}" for target, count in counts.items())
    return f"Patients, of any label: {each}"


def _basis(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["batchnorm"] == POLICY) & (table["quantity"] == "magnitude")]


def _range(counts: pd.Series) -> str:
    low, high = int(counts[counts > 0].min()), int(counts.max())
    return str(high) if low == high else f"{low} to {high}"


def _verdict_table(verdicts: pd.DataFrame, saved: Sequence[str]) -> TableBlock:
    targets = list(dict.fromkeys(verdicts["target"]))
    names = sorted(dict.fromkeys(verdicts["method"]), key=method_place)
    rows = verdicts.set_index(["method", "target"], drop=False)
    body: list[list[object]] = []
    for name in names:
        keys = [(name, target) for target in targets]
        cells = [_cell(rows.loc[key]) if key in rows.index else "\N{EN DASH}" for key in keys]
        body.append([method_style(name).label, *cells])
    return TableBlock(
        ["method", *(class_short(target) for target in targets)],
        body,
        "Does a map need the trained weights? In each cell the verdict, then the correlation that decides it with its "
        f"{verdicts['confidence'].iloc[0]:.0%} interval over patients and networks (patients and draws of a single "
        "network): that given |ECG| and |slope|, or that by magnitude where it is marked raw.",
        "Random networks: verdicts",
        saved,
    )


def _cell(row: pd.Series) -> Cell:
    raw = " raw" if row["score"] == "magnitude" else ""
    effect = with_interval(row["effect"], row["low"], row["high"]) + raw if np.isfinite(row["effect"]) else ""
    state = str(row["state"])
    return Cell(f"{state_word(state)} {effect}".strip(), _KINDS[state], sentence(row))


def _picture(runs: StudyRuns, files: ReportFiles, table: pd.DataFrame) -> Picture:
    panels = [
        LeftOverPanel(class_name(str(target)), left_over_rows(_ordered(part), POLICY, _BESIDE))
        for target, part in table.groupby("target", sort=False)
    ]
    networks = int(table["n_networks"].max())
    over = "networks and patients" if networks > 1 else "draws and patients of the one network"
    caption = (
        "Correlation of the trained networks' maps with those of networks whose weights are all random, "
        f"{usual_smoothing(next(iter(runs)))}, over all points of an ECG; mean over "
        f"{_range(_basis(table)['n_draws'])} draws, up to {int(table['n_patients'].max())} patients "
        f"and {networks} network{'s' if networks > 1 else ''} a diagnosis. "
        f"Lines: {runs.intervals.confidence:.0%} intervals over {over}. Bars show how much of a kind of map is the "
        "architecture and the ECG. Italic: controls, which know nothing of the network."
    )

    def draw(caption: str) -> CaptionedFigure:
        return left_over_figure(panels, *_limits(), "What is left of the maps in random networks", caption)

    return files.picture("cascade/random_networks", draw, "Random networks", caption)


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("method", key=lambda names: names.map(method_place), kind="stable")


def _numbers(table: pd.DataFrame, target: str, saved: Sequence[str]) -> TableBlock:
    """Each comparison of one diagnosis."""
    cells = {(row["batchnorm"], row["quantity"], row["method"]): row for row in records(table)}
    there = {(kind, quantity) for kind, quantity, _ in cells}
    columns = {head: key for head, key in _COLUMNS.items() if key[:2] in there}
    body: list[list[object]] = []
    for name in sorted(dict.fromkeys(table["method"]), key=method_place):
        texts: list[object] = [method_style(name).label]
        for kind, quantity, column in columns.values():
            row = cells[kind, quantity, name]
            interval = (row["low"], row["high"]) if column == "mean" and quantity == "partial" else (np.nan, np.nan)
            texts.append(with_interval(row[column], *interval))
        own = cells[POLICY, "partial", name] if (POLICY, "partial") in there else next(iter(cells.values()))
        body.append([*texts, str(own["n_draws"]), str(own["n_undefined"])])
    return TableBlock(
        ["method", *columns, "draws", "undefined"],
        body,
        f"{class_name(target)}: correlation with the trained network's map, every layer random. With sign, maps of a "
        "random network have a random sign as a whole, so that some means are 0 by symmetry; the mean of |r| is not. "
        "Undefined: values of constant maps, and of maps that are nothing but |ECG| and |slope|.",
        "Random networks",
        saved,
    )
