"""The pictures show a true positive, a false positive and a false negative, with a map and the evidence."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.cache import BeatCache
from ecg_lightning.data.label_columns import R_PEAKS
from ecg_lightning.data.targets import known_info
from ecg_lightning.ecg import SignalFormat
from ecg_lightning.plotting.cached_beats import has_evidence
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.maps import map_figure
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Gallery, Paragraph, Picture, ReportFiles
from ecg_lightning.plotting.paper import PaperScale
from ecg_lightning.plotting.recording_maps import most_relevant_beat, recording_map_figure
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
from ecg_lightning.runs.signal_format import format_of_run

_COLUMNS: Final = 2
_SCALE: Final = PaperScale(mm_per_millivolt=5.0)
"""Half of the usual gain, so that three ECGs beside each other stay on one screen; the sheet says so."""

_PAGE_REM: Final = 72
"""Width of a recording's page on a phone: its letters are small for its size."""

_OF_A_BEAT: Final = (
    " Of each recording the beat is shown in which most of its |map| lies, with colour limits of its own; the whole "
    "recordings stand below."
)


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


def example_blocks(runs: JudgedRuns, files: ReportFiles) -> tuple[list[Block], list[Picture]]:
    """Draw the three pictures, or say why there are none; and the whole recordings, where ECGs are recordings."""
    run = shown_run(runs)
    chosen = shown_method(runs.verdicts, run, runs.methods) if run is not None else None
    if run is None or chosen is None:
        return [Paragraph("No run has metrics and maps, so no ECG can be shown.", "note")], []
    if test_beat(run, 0) is None:
        return [Paragraph("The study keeps no ECGs (test_beats.npy), so none can be shown.", "note")], []
    ecgs, cache = typical_ecgs(run), evidence_cache(run)
    shown = [
        _Shown.of(run, chosen[0], outcome, ecg, runs.ecg(run, ecg.row), evidence_of(cache, run, ecg.ecg_id))
        for outcome, ecg in ecgs.items()
        if ecg is not None
    ]
    pictures = [picture for one in shown if (picture := one.beat(files)) is not None]
    pages = [one.page(files) for one in shown if one.is_recording]
    absent = [outcome for outcome, ecg in ecgs.items() if ecg is None]
    caption = (
        f"{class_name(run.target)}, network of seed {run.seed}. Map: {method_style(chosen[0]).label}, {chosen[1]}. "
        + rule(run)
        + (f" This network has no {' and no '.join(absent)}." if absent else "")
        + (_OF_A_BEAT if pages and pictures else "")
        + _evidence_words(cache, run)
    )
    label = "Right and wrong answers" if known_info(run.target).kind == "binary" else "Low and high predictions"
    shown_beats = Gallery(pictures, caption, label) if pictures else Paragraph(caption, "note")
    return [shown_beats], pages


def _evidence_words(cache: BeatCache | None, run: Run) -> str:
    if cache is None:
        return " The cache of these ECGs is not at hand, so their evidence is not drawn."
    if not has_evidence(cache, run.target):
        return " Where the evidence of these ECGs lies is not known, so none is outlined."
    return " Dashes: the evidence, where the beat differs from that of the same heart without the diagnosis."


@dataclass(frozen=True)
class _Shown:
    """One ECG that is shown with a map.

    Attributes:
        run: The network's.
        method: The map's.
        outcome: What it stands for, such as ``true positive``.
        words: What the ECG is, and what the network says of it.
        signal: (lead, sample) mV.
        relevance: (lead, sample) map.
        unit: Of the map.
        evidence: (lead, sample), where it is known.
        r_peaks: (beat,) samples of a recording's R peaks; empty where they are not known.
        signal_format: Leads, rate and samples.
    """

    run: Run
    method: str
    outcome: str
    words: str
    signal: NDArray[np.float64]
    relevance: NDArray[np.float64]
    unit: str
    evidence: NDArray[np.bool_] | None
    r_peaks: NDArray[np.integer]
    signal_format: SignalFormat

    @classmethod
    def of(
        cls, run: Run, method: str, outcome: str, ecg: TypicalEcg, name: str, evidence: NDArray[np.bool_] | None
    ) -> "_Shown":
        store, signal_format = run.row_store(f"maps/{method}"), format_of_run(run)
        relevance = np.asarray(store.read(np.array([ecg.row]))[0], dtype=np.float64)
        beat = test_beat(run, ecg.row)
        signal = beat if beat is not None else np.zeros(signal_format.shape)
        peaks = run.examples[R_PEAKS].iloc[ecg.row] if R_PEAKS in run.examples else []
        about = method, outcome, said_of(run, ecg, name, outcome), signal, relevance, store.spec.unit, evidence
        return cls(run, *about, np.asarray(peaks, dtype=np.intp), signal_format)

    @property
    def is_recording(self) -> bool:
        return self.signal_format.fiducial is None

    def beat(self, files: ReportFiles) -> Picture | None:
        """Draw a median beat, or that beat of a recording in which most of the map lies; None where none is known."""
        part, of_beat, where = slice(None), self.signal_format, ""
        if self.is_recording:
            found = most_relevant_beat({self.method: self.relevance}, self.signal_format, self.r_peaks)
            if found is None:
                return None
            part, of_beat = found
            peak = (part.start + (of_beat.fiducial or 0)) / of_beat.sampling_rate
            where = f" Shown: the beat at {peak:.2f} s."

        def draw(caption: str) -> CaptionedFigure:
            return map_figure(
                self.signal[:, part],
                self.relevance[:, part],
                method=method_style(self.method).label,
                signed=self._signed,
                subtitle=caption or None,
                unit=self.unit,
                evidence=None if self.evidence is None else self.evidence[:, part],
                scale=_SCALE,
                columns=_COLUMNS,
                signal_format=of_beat,
            )

        return files.picture(self._name, draw, self.outcome.capitalize(), self.words + where, wide=False)

    def page(self, files: ReportFiles) -> Picture:
        """Draw a recording as it is read."""

        def draw(caption: str) -> CaptionedFigure:
            return recording_map_figure(
                self.signal,
                self.relevance,
                self.signal_format,
                method=method_style(self.method).label,
                signed=self._signed,
                subtitle=caption or None,
                unit=self.unit,
                evidence=self.evidence,
            )

        label = f"{self.outcome.capitalize()}, the whole recording"
        return files.picture(f"{self._name}_recording", draw, label, self.words, phone_rem=_PAGE_REM)

    @property
    def _name(self) -> str:
        return f"first_screen/{self.outcome.replace(' ', '_')}"

    @property
    def _signed(self) -> bool:
        return bool((self.relevance < 0).any())
