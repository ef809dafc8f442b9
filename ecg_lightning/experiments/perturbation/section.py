"""Experiment 4: AUROC, or R2, as what maps call relevant is perturbed (paper, Figure 4B), in points and in blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from ecg_lightning.data.targets import known_info
from ecg_lightning.experiments.perturbation.figures import AXIS, curve_panels, on_one_scale
from ecg_lightning.experiments.perturbation.kinds import PAPER_KIND, VERDICT_KIND
from ecg_lightning.experiments.perturbation.study_tables import (
    deciding_kind,
    perturbation_areas,
    perturbation_kinds,
    perturbation_means,
    perturbation_tables,
)
from ecg_lightning.experiments.perturbation.words import (
    MAP_WORDS,
    METRIC_WORDS,
    kind_sentence,
    kind_title,
)
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.curves import curves_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Paragraph, Picture, ReportFiles, Section, TableBlock, number
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.study_runs import StudyRuns, records

_TITLE: Final = "Experiment 4: perturbation of what maps call relevant"
_DISTANCE: Final = (
    "of perturbed beats to those of the training set under a Gaussian of their principal components, where the median "
    "of untouched test ECGs is 1. Above it beats have shapes that real ones do not have, far below it they are flatter "
    "than real ones."
)
_CLASSES: Final = "With the diagnosis: only these ECGs perturbed, the others as they are."
_CHANGE: Final = (
    "Mean change: of the prediction, over the steps, most relevant first, in standard deviations of the predictions."
)
_KNOWN_KINDS: Final = {kind.name: kind for kind in (PAPER_KIND, VERDICT_KIND)}

_FIGURES: Final = {"auroc": "Figure 4B", "r2": "Figure 4B for measurements"}
_SHORT: Final = {"auprc": "AUPRC", "probability": "mean probability", "change": "mean change of the prediction"}

_MIN_SEEDS_FOR_INTERVAL: Final = 5
"""From here on a study speaks of networks like these; fewer are these networks (design, "Whose networks?")."""


def perturbation_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """AUROC as what a method calls relevant is perturbed."""
    tables, summary = (perturbation_tables(runs, name) for name in ("perturbation", "perturbation_summary"))
    if tables.empty:
        return Section(
            "perturbation", _TITLE, [Paragraph("No run has measured it (PerturbationCurves was left out).", "note")]
        )
    means = perturbation_means(tables)
    saved = files.table("perturbation_all", means)
    draw = _Pictures(runs, files, means)
    kinds = list(dict.fromkeys(means["kind"]))
    blocks: list[Block] = [Paragraph(_introduction(kinds)), Paragraph(_patients(runs), "note")]
    measured = set(means["metric"])
    metrics = [metric for metric in ("auroc", "r2") if metric in measured]
    if PAPER_KIND.name in kinds:
        blocks += [draw.picture(metric, PAPER_KIND.name, [("own", metric)], _FIGURES[metric]) for metric in metrics]
    blocks += _blocks(kinds, draw)
    blocks += [_areas(files, perturbation_areas(means, summary, deciding_kind(means)))]
    blocks.append(Paragraph(f"Numbers: {', '.join(saved)}.", "note"))
    first = PAPER_KIND.name if PAPER_KIND.name in kinds else kinds[0]
    others = [metric for metric in ("auprc", "probability", "change") if metric in measured]
    details: dict[str, list[Block]] = {
        f"By {' and by '.join(_SHORT[metric] for metric in others)}": [
            draw.picture(metric, first, [("own", metric)], f"Figure 4B by {METRIC_WORDS[metric]}") for metric in others
        ],
        "Units, replacements and noise": [_kinds(files, perturbation_kinds(means, summary))],
    }
    return Section("perturbation", _TITLE, blocks, details)


def _introduction(kinds: Sequence[str]) -> str:
    if VERDICT_KIND.name not in kinds:
        return (
            "Each step replaces what a map calls most, or least, relevant. Blocks of 50 ms were not measured in these "
            "runs, so that there is no verdict: where single points are ranked, AUROC falls the faster the coarser a "
            "map is, whatever it knows of the network."
        )
    return (
        "Each step replaces what a map calls most, or least, relevant. Verdicts rest on blocks of 50 ms, which all "
        "maps are averaged over before they are ranked: where single points are ranked, as in the paper's figure, "
        "AUROC falls the faster the coarser a map is, whatever it knows of the network."
    )


def _patients(runs: StudyRuns) -> str:
    """How many patients each diagnosis is decided by."""
    parts = []
    for target, seeds in runs.finished.items():
        examples = next(iter(seeds.values())).examples
        labelled = examples[examples["label"].notna()]
        info = known_info(target)
        having = labelled[info.present(labelled["label"])]
        patients, count = (part["patient_id"].nunique() for part in (labelled, having))
        with_it = f" ({count} {info.having_it})" if info.kind == "binary" else ""
        parts.append(f"{class_name(target)} of {patients} patients{with_it}")
    return f"Test ECGs: {'; '.join(parts)}."


def _blocks(kinds: Sequence[str], draw: "_Pictures") -> list[Block]:
    """The verdict's kind: own maps beside those of other patients, and both classes apart."""
    if VERDICT_KIND.name not in kinds:
        return []
    of_kind = draw.means[draw.means["kind"] == VERDICT_KIND.name]
    maps, metrics = [name for name in MAP_WORDS if name in set(of_kind["map"])], set(of_kind["metric"])
    found: list[Block] = []
    if "auroc" in metrics:
        classes = [("own", "auroc_positives"), ("own", "auroc_negatives")]
        own = [(name, "auroc") for name in maps]
        found.append(draw.picture("blocks", VERDICT_KIND.name, own, "Figure 4B in blocks of 50 ms"))
        found.append(draw.picture("classes", VERDICT_KIND.name, classes, "Figure 4B in blocks, by class"))
    if "change" in metrics:
        own, label = [(name, "change") for name in maps], "Change of predicted measurements, in blocks of 50 ms"
        found.append(draw.picture("blocks_change", VERDICT_KIND.name, own, label))
    return found


@dataclass(frozen=True)
class _Pictures:
    """Draws curves of a study.

    Attributes:
        runs: The study.
        files: Where figures are kept.
        means: Of ``perturbation_means``.
    """

    runs: StudyRuns
    files: ReportFiles
    means: pd.DataFrame

    def picture(self, name: str, kind: str, rows: Sequence[tuple[str, str]], label: str) -> Picture:
        """A row of panels for each (map, metric), a panel an order."""
        table = self.means[self.means["kind"] == kind]
        chosen = [table[(table["map"] == of_map) & (table["metric"] == metric)] for of_map, metric in rows]
        names_map = len({one for one, _ in rows}) > 1
        panels = [
            panel
            for (of_map, metric), part in zip(rows, chosen, strict=True)
            for panel in curve_panels(part, of_map, metric, names_map=names_map)
        ]
        caption = self._caption(kind, chosen[0])

        columns = len(panels) // len(rows)

        def draw(caption: str) -> CaptionedFigure:
            return curves_figure(on_one_scale(panels), AXIS, "Perturbation", caption, columns)

        return self.files.picture(f"perturbation/{name}", draw, label, caption)

    def _caption(self, kind: str, table: pd.DataFrame) -> str:
        bands = {
            "patients": f"bands: {self.runs.intervals.confidence:.0%} interval of this network, patients resampled",
            "seeds": f"bands: range over seeds{self._few()}, no interval over patients",
            "none": "one seed, no bands",
        }[str(table["interval"].iloc[0])]
        done = kind_sentence(_KNOWN_KINDS[kind]) if kind in _KNOWN_KINDS else f"Kind {kind}."
        networks = _networks(int(table["n_networks"].iloc[0]))
        return (
            f"{done} Mean over seeds, then over classes ({networks}); {bands}. Grey, broken: controls, which know "
            "nothing of the network."
        )

    def _few(self) -> str:
        few = len(self.runs.seeds) < _MIN_SEEDS_FOR_INTERVAL
        return f", of which there are {len(self.runs.seeds)}, too few for an interval" if few else ""


def _areas(files: ReportFiles, table: pd.DataFrame) -> TableBlock:
    """AUROC or R2 at the end, area over the curve, and ABPC by the own map and by maps of others."""
    heads = {
        "auroc_at_end": "AUROC at the end",
        "r2_at_end": "R2 at the end",
        "area_over_curve": "Area over the curve",
        "abpc": "ABPC",
        "abpc_positives": "ABPC, with the diagnosis",
        "mean_change": "Mean change of the prediction (SD)",
        "abpc_other_ecg": "ABPC by another patient's map",
        "abpc_mean_map": "ABPC by the mean map",
        "distance_at_end": "Distance to real beats",
    }
    shown = {name: head for name, head in heads.items() if name in table and table[name].notna().any()}
    binary = "auroc_at_end" in table
    rows = []
    for row in records(table):
        label = method_style(str(row["method"])).label
        name = f"{label} (control)" if row["control"] else label
        rows.append(
            [name, *(number(row[column], 2 if column in ("auroc_at_end", "r2_at_end") else 3) for column in shown)]
        )
    kind = str(table["kind"].iloc[0])
    words = kind_title(_KNOWN_KINDS[kind]) if kind in _KNOWN_KINDS else kind
    return TableBlock(
        head=("Method", *shown.values()),
        rows=rows,
        caption=f"Means over {_networks(int(table['n_networks'].max()))}, of {'AUROC' if binary else 'R2'} ({words}). "
        "Area over the curve: mean fall, most relevant first. ABPC: area between the curves of least and most relevant "
        f"first; above 0 means that what the map calls relevant matters more. {_CLASSES if binary else _CHANGE} "
        f"Distance: at the last step, most relevant first; {_DISTANCE} Whether a difference is more than chance is "
        "told by the verdicts.",
        label="Perturbation in numbers",
        files=files.table("perturbation_areas", table),
    )


def _networks(count: int) -> str:
    return f"{count} network{'' if count == 1 else 's'}"


def _kinds(files: ReportFiles, table: pd.DataFrame) -> TableBlock:
    """What unit, replacement and noise do to the methods' order."""
    rows = [
        [
            str(row["kind"]).replace("_", " "),
            f"{row['fraction']:.0%}",
            number(row["abpc_methods"], 3),
            number(row["abpc_controls"], 3),
            number(row["rank_correlation"]),
            ", ".join(method_style(name).label for name in str(row["steepest"]).split(", ")),
            number(row["distance_at_end"]),
        ]
        for row in records(table)
    ]
    return TableBlock(
        head=("Kind", "Perturbed", "Methods", "Controls", "Rank correlation", "First three", "Distance"),
        rows=rows,
        caption="Unit, replacement and noise of what was measured. Methods, controls: mean ABPC over methods and over "
        "controls without a network. Rank correlation: of the methods' ABPC with that of the kind that verdicts rest "
        "on. "
        f"Distance: at the last step, most relevant first, mean over methods; {_DISTANCE} More kinds are measured by "
        "the argument kinds of PerturbationCurves.",
        label="Units, replacements and noise",
        files=files.table("perturbation_kinds", table),
    )
