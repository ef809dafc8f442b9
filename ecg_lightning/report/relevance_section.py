"""This module shows where relevance lies: class-mean maps, and the share of each lead and wave."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.regions import WINDOWS_MS
from ecg_lightning.data.targets import known_info
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.overview import maps_overview
from ecg_lightning.plotting.page_blocks import PHONE_REM, Block, Paragraph, Picture, ReportFiles, Section, TableBlock
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.report.class_relevance import ClassEcgs, class_relevance
from ecg_lightning.runs.study_runs import StudyRuns

_LEADS_ON_A_PHONE: Final = 8
"""Leads that a picture of the usual width holds beside each other."""

_WORDS: Final = {"lead": "Share of |map| in each lead", "wave": "Share of |map| in each part of the beat"}


def relevance_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Draw mean maps of the ECGs with each diagnosis, and report which share of |map| lies where."""
    tables, pictures, even = [], [], []
    firsts = {target: ClassEcgs(next(iter(seeds.values()))) for target, seeds in runs.finished.items()}
    for target, ecgs in firsts.items():
        mean, shares = class_relevance(ecgs.run, runs.methods)
        tables.append(shares.assign(target=target))
        if mean:
            pictures.append(_picture(files, target, ecgs, mean))
            even.append(ecgs.even_parts())
    table = pd.concat(tables, ignore_index=True)
    saved = files.table("relevance_by_lead_and_wave", table)
    blocks: list[Block] = [
        Paragraph(
            "Means over the maps of the test ECGs with each diagnosis, each ECG's map first divided by the sum of its "
            "magnitudes so that every ECG counts the same. One network a class (the first seed)."
        ),
        *_words_on_beats(list(firsts.values())),
        *_share_tables(table, even, all(ecgs.are_beats for ecgs in firsts.values()), saved),
    ]
    details: dict[str, list[Block]] = {"Class-mean maps": list(pictures)} if pictures else {}
    return Section("relevance", "Where relevance lies", blocks, details)


def _words_on_beats(classes: list[ClassEcgs]) -> list[Block]:
    """Say how recordings, in which one sample is another moment of every heart cycle, come to a mean over beats."""
    if all(ecgs.are_beats for ecgs in classes):
        return []
    if all(ecgs.have_beats for ecgs in classes):
        beat = next(ecgs for ecgs in classes if not ecgs.are_beats).beat_format
        before, behind = -beat.milliseconds(np.array([0, beat.samples]))
        words = (
            "Recordings are averaged over their own beats first: over the windows from "
            f"{before:.0f} ms before each R peak to {-behind:.0f} ms behind it that lie in the recording whole."
        )
    else:
        words = (
            "These recordings were tested by a version that did not keep their R peaks, so nothing is averaged over "
            "beats here; test again to see the parts of the beat and the class-mean maps."
        )
    return [Paragraph(words, "note")]


def _share_tables(table: pd.DataFrame, even: list[dict[str, float]], are_beats: bool, saved: list[str]) -> list[Block]:
    blocks: list[Block] = []
    for kind, part in table.groupby("kind", sort=False):
        mean = part.groupby(["method", "place"], sort=False)["share"].mean().unstack(sort=False)
        head = [str(region) for region in mean.columns]
        rows = [
            [method_style(str(method)).label, *(f"{share:.0%}" for share in row)]
            for method, row in zip(mean.index, mean.to_numpy(), strict=True)
        ]
        of_waves = {name: float(np.mean([of_class[name] for of_class in even])) for name in even[0]} if even else {}
        rows.append(["even spread", *(f"{of_waves.get(name, 1 / len(head)):.0%}" for name in head)])
        caption = (
            "Mean over the ECGs with the diagnosis (of a measurement, over all), then over classes. Last row: a map "
            "that is the same everywhere."
        )
        blocks.append(
            TableBlock(
                head=("Method", *head),
                rows=rows,
                caption=caption + (_window_words(are_beats) if kind == "wave" else ""),
                label=_WORDS[str(kind)],
                files=saved,
            )
        )
    return blocks


def _window_words(are_beats: bool) -> str:
    known = {name: ends for name, ends in WINDOWS_MS.items() if ends[0] == ends[0]}
    listed = ", ".join(f"{name} {low:.0f} to {high:.0f} ms" for name, (low, high) in known.items())
    return f" Windows from {'the QRS fiducial' if are_beats else 'the R peak of each beat'}: {listed}."


def _picture(files: ReportFiles, target: str, ecgs: ClassEcgs, maps: Mapping[str, NDArray[np.float64]]) -> Picture:
    """The mean maps on the mean beat of the same ECGs."""
    name = class_name(target)
    signed = {method_style(method).label: bool((mean < 0).any()) for method, mean in maps.items()}
    shown = ecgs.run.examples.iloc[ecgs.rows]
    trace = ecgs.trace()
    beat = np.zeros(ecgs.beat_format.shape) if trace is None else trace
    binary = known_info(target).kind == "binary"
    having, title = ("with", f"Class-mean maps: {name}") if binary else ("with a value of", f"Mean maps: {name}")
    averaged = "" if ecgs.are_beats else ", averaged over its beats"
    caption = (
        f"Mean map of the {len(shown)} test ECGs {having} {name}, of {shown['patient_id'].nunique()} patients, by the "
        f"network of seed {ecgs.run.seed}: each ECG's map divided by the sum of its magnitudes{averaged} (no unit; 1 "
        "is an even spread). Each row has colour limits of its own. "
        + ("Trace: their mean beat." if beat.any() else "The study keeps no beats, so the trace is flat.")
    )
    even = int(np.prod(ecgs.signal_format.shape))  # times a share: 1 is as much as an even spread
    scaled = {method_style(method).label: mean * even for method, mean in maps.items()}

    def draw(caption: str) -> CaptionedFigure:
        return maps_overview(
            beat,
            scaled,
            signed=signed,
            title=title,
            subtitle=caption or None,
            signal_format=ecgs.beat_format,
        )

    phone = round(PHONE_REM * max(len(ecgs.signal_format.leads) / _LEADS_ON_A_PHONE, 1))
    return files.picture(f"relevance/{target}", draw, title, caption, phone_rem=phone)
