"""This module shows where relevance lies: class-mean maps, and the share of each lead and wave."""

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.regions import WINDOWS_MS, windows
from ecg_lightning.data.targets import known_info
from ecg_lightning.ecg import MEDIAN_BEAT, SignalFormat
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.overview import maps_overview
from ecg_lightning.plotting.page_blocks import Block, Paragraph, Picture, ReportFiles, Section, TableBlock
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.report.config_words import format_of_run
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.study_runs import StudyRuns

MAX_ECGS: Final = 512
"""ECGs of a class that a mean is made of, the first in row order: more would move it by less than the line's width."""

_BLOCK: Final = 64


def relevance_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Draw mean maps of the ECGs with each diagnosis, and report which share of |map| lies where."""
    tables, pictures = [], []
    for target, seeds in runs.finished.items():
        mean, shares = class_relevance(next(iter(seeds.values())), runs.methods)
        tables.append(shares.assign(target=target))
        if (picture := _picture(files, target, next(iter(seeds.values())), mean)) is not None:
            pictures.append(picture)
    table = pd.concat(tables, ignore_index=True)
    saved = files.table("relevance_by_lead_and_wave", table)
    blocks: list[Block] = [
        Paragraph(
            "Means over the maps of the test ECGs with each diagnosis, each ECG's map first divided by the sum of its "
            "magnitudes so that every ECG counts the same. One network a class (the first seed)."
        ),
        *_share_tables(table, saved),
    ]
    details: dict[str, list[Block]] = {"Class-mean maps": list(pictures)} if pictures else {}
    return Section("relevance", "Where relevance lies", blocks, details)


def class_relevance(run: Run, methods: list[str]) -> tuple[dict[str, NDArray[np.float64]], pd.DataFrame]:
    """Average maps over the ECGs with the diagnosis, and find the share of |map| by lead and window.

    Args:
        run: Run of one network.
        methods: Methods whose maps are read; those that the run lacks are left out.

    Returns:
        Method -> (lead, sample) mean of map / sum |map|; and ``method, kind, place, share, n_ecgs``, where ``kind`` is
        ``lead`` or ``wave``.
    """
    rows = _rows_with_it(run)
    means: dict[str, NDArray[np.float64]] = {}
    parts = []
    for method in methods:
        if f"maps/{method}" not in run.stores or not len(rows):
            continue
        mean, magnitude, count = _normalised_mean(run, method, rows)
        if count:
            means[method] = mean
            parts.append(_shares(method, magnitude, count, format_of_run(run)))
    empty = pd.DataFrame(columns=["method", "kind", "place", "share", "n_ecgs"])
    return means, pd.concat(parts, ignore_index=True) if parts else empty


def _rows_with_it(run: Run) -> NDArray[np.intp]:
    """Rows of the first ECGs with the diagnosis, or with a value of the measurement."""
    return np.flatnonzero(known_info(run.target).present(run.examples["label"]))[:MAX_ECGS]


def _normalised_mean(
    run: Run, method: str, rows: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    store = run.row_store(f"maps/{method}")
    signed, magnitude, count = np.zeros(store.spec.shape[1:]), np.zeros(store.spec.shape[1:]), 0
    for start in range(0, len(rows), _BLOCK):
        maps = np.asarray(store.read(rows[start : start + _BLOCK]), dtype=np.float64)
        total = np.abs(maps).sum(axis=(1, 2), keepdims=True)
        usable = (np.isfinite(total) & (total > 0)).ravel()
        share = maps[usable] / total[usable]
        signed += share.sum(axis=0)
        magnitude += np.abs(share).sum(axis=0)
        count += int(usable.sum())
    return signed / max(count, 1), magnitude / max(count, 1), count


def _shares(method: str, magnitude: NDArray[np.float64], count: int, of_ecgs: SignalFormat) -> pd.DataFrame:
    """By lead, and by part of the beat where all ECGs have their fiducial at one sample."""
    known = of_ecgs.leads
    leads = known if len(magnitude) == len(known) else tuple(str(lead) for lead in range(len(magnitude)))
    rows = [("lead", lead, float(share)) for lead, share in zip(leads, magnitude.sum(axis=1), strict=True)]
    if of_ecgs.fiducial is not None:
        parts = windows(replace(of_ecgs, samples=magnitude.shape[1]))
        rows += [("wave", wave, float(magnitude[:, inside].sum())) for wave, inside in parts.items()]
    table = pd.DataFrame(rows, columns=["kind", "place", "share"])
    table.insert(0, "method", method)
    return table.assign(n_ecgs=count)


def _share_tables(table: pd.DataFrame, saved: list[str]) -> list[Block]:
    blocks: list[Block] = []
    even = {"lead": {}, "wave": {name: float(inside.mean()) for name, inside in windows().items()}}
    words = {"lead": "Share of |map| in each lead", "wave": "Share of |map| in each part of the beat"}
    for kind, part in table.groupby("kind", sort=False):
        mean = part.groupby(["method", "place"], sort=False)["share"].mean().unstack(sort=False)
        head = [str(region) for region in mean.columns]
        rows = [
            [method_style(str(method)).label, *(f"{share:.0%}" for share in row)]
            for method, row in zip(mean.index, mean.to_numpy(), strict=True)
        ]
        shares = even[str(kind)] or dict.fromkeys(head, 1 / len(head))
        rows.append(["even spread", *(f"{shares[region]:.0%}" for region in head)])
        blocks.append(
            TableBlock(
                head=("Method", *head),
                rows=rows,
                caption="Mean over the ECGs with the diagnosis (of a measurement, over all), then over classes. Last "
                "row: a map that is the same everywhere."
                + (
                    " Windows from the QRS fiducial: "
                    + ", ".join(
                        f"{name} {low:.0f} to {high:.0f} ms" for name, (low, high) in WINDOWS_MS.items() if low == low
                    )
                    + "."
                    if kind == "wave"
                    else ""
                ),
                label=words[str(kind)],
                files=saved,
            )
        )
    return blocks


def _picture(files: ReportFiles, target: str, run: Run, maps: dict[str, NDArray[np.float64]]) -> Picture | None:
    """The mean maps on the mean beat of the same ECGs."""
    if not maps or next(iter(maps.values())).shape != MEDIAN_BEAT.shape:
        return None
    name = class_name(target)
    signed = {method_style(method).label: bool((mean < 0).any()) for method, mean in maps.items()}
    shown = run.examples.iloc[_rows_with_it(run)]
    having = "with" if known_info(run.target).kind == "binary" else "with a value of"
    beat = _mean_beat(run)
    caption = (
        f"Mean map of the {len(shown)} test ECGs {having} {name}, of {shown['patient_id'].nunique()} patients, by the "
        f"network of seed {run.seed}: each ECG's "
        "map divided by the sum of its magnitudes (no unit; 1 is an even spread). Each row has colour limits of its "
        "own. " + ("Trace: their mean beat." if beat.any() else "The study keeps no beats, so the trace is flat.")
    )
    scaled = {
        method_style(method).label: mean * mean.size for method, mean in maps.items()
    }  # 1: as much as an even spread

    def draw(caption: str) -> CaptionedFigure:
        return maps_overview(beat, scaled, signed=signed, title=f"Class-mean maps: {name}", subtitle=caption or None)

    return files.picture(f"relevance/{target}", draw, f"Class-mean maps: {name}", caption)


def _mean_beat(run: Run) -> NDArray[np.float64]:
    """(lead, sample) mV of the ECGs with the diagnosis; 0 where the study stores no beats."""
    rows = _rows_with_it(run)
    beats = run.test_beats
    if beats is None:
        return np.zeros(MEDIAN_BEAT.shape)
    mean: NDArray[np.float64] = np.asarray(beats[rows], dtype=np.float64).mean(axis=0)
    return mean
