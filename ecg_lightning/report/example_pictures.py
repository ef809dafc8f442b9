"""The pictures show a true positive, a false positive and a false negative, with a map and the evidence."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.ecg import MEDIAN_BEAT
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.maps import map_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Gallery, Paragraph, Picture, ReportFiles
from ecg_lightning.plotting.paper import PaperScale
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.report.claims import explaining
from ecg_lightning.report.judged_runs import JudgedRuns
from ecg_lightning.report.typical_ecgs import (
    TypicalEcg,
    evidence_cache,
    evidence_of,
    rule,
    said_of,
    test_beat,
    typical_ecgs,
)
from ecg_lightning.runs.run import Run

_COLUMNS: Final = 2
_SCALE: Final = PaperScale(mm_per_millivolt=5.0)
"""Half of the usual gain, so that three ECGs beside each other stay on one screen; the sheet says so."""


def shown_run(runs: JudgedRuns) -> Run | None:
    """Choose the network of the pictures: the first seed of the diagnosis with most outcomes, the first of equals."""
    firsts = [next(iter(seeds.values())) for seeds in runs.finished.values()]
    able = [run for run in firsts if run.paths.metrics.is_file() and run.maps]
    return max(able, key=lambda run: sum(ecg is not None for ecg in typical_ecgs(run).values()), default=None)


def shown_method(verdicts: pd.DataFrame, run: Run, methods: list[str]) -> tuple[str, str] | None:
    """Choose the method of the pictures, and why: the first that counts as an explanation, else the first."""
    there = [name for name in methods if f"maps/{name}" in run.stores]
    if not there:
        return None
    explanations = explaining(verdicts[verdicts["target"] == run.target])
    sound = [name for name in there if name in set(explanations["method"])]
    if sound:
        return sound[0], "the first method, in the paper's order, whose maps count as an explanation here"
    return there[0], "the first method in the paper's order; no method's maps count as an explanation here"


def example_blocks(runs: JudgedRuns, files: ReportFiles) -> list[Block]:
    """Draw the three pictures, or say why there are none."""
    run = shown_run(runs)
    chosen = shown_method(runs.verdicts, run, runs.methods) if run is not None else None
    if run is None or chosen is None:
        return [Paragraph("No run has metrics and maps, so no ECG can be shown.", "note")]
    if test_beat(run, 0) is None:
        return [Paragraph("The study keeps no ECGs (test_beats.npy), so none can be shown.", "note")]
    if run.row_store(f"maps/{chosen[0]}").spec.shape[1:] != MEDIAN_BEAT.shape:
        return [Paragraph("Only median beats are shown here; recordings are in the runs' own figures.", "note")]
    ecgs, cache = typical_ecgs(run), evidence_cache(run)
    pictures = [
        _picture(files, run, chosen[0], outcome, (ecg, runs.ecg(run, ecg.row)), evidence_of(cache, run, ecg.ecg_id))
        for outcome, ecg in ecgs.items()
        if ecg is not None
    ]
    absent = [outcome for outcome, ecg in ecgs.items() if ecg is None]
    caption = (
        f"{class_name(run.target)}, network of seed {run.seed}. Map: {method_style(chosen[0]).label}, {chosen[1]}. "
        + rule(run)
        + (f" This network has no {' and no '.join(absent)}." if absent else "")
        + (
            " Dashes: the evidence, where the beat differs from that of the same heart without the diagnosis."
            if cache is not None
            else " The cache of these ECGs is not at hand, so their evidence is not drawn."
        )
    )
    return [Gallery(pictures, caption, "Right and wrong answers")] if pictures else [Paragraph(caption, "note")]


def _beat(run: Run, row: int) -> NDArray[np.float64]:
    beat = test_beat(run, row)
    return beat if beat is not None else np.zeros(MEDIAN_BEAT.shape)


def _picture(
    files: ReportFiles,
    run: Run,
    method: str,
    outcome: str,
    named: tuple[TypicalEcg, str],
    evidence: NDArray[np.bool_] | None,
) -> Picture:
    ecg, name = named
    beat = _beat(run, ecg.row)
    store = run.row_store(f"maps/{method}")
    relevance = np.asarray(store.read(np.array([ecg.row]))[0], dtype=np.float64)
    caption = said_of(run, ecg, name, outcome)

    def draw(caption: str) -> CaptionedFigure:
        return map_figure(
            beat,
            relevance,
            method=method_style(method).label,
            signed=bool((relevance < 0).any()),
            subtitle=caption or None,
            unit=store.spec.unit,
            evidence=evidence,
            scale=_SCALE,
            columns=_COLUMNS,
        )

    return files.picture(f"first_screen/{outcome.replace(' ', '_')}", draw, outcome.capitalize(), caption, wide=False)
