"""Localisation of known evidence: how much of each map lies where it should."""

from typing import Final

import pandas as pd

from ecg_lightning.data.targets import known_info
from ecg_lightning.experiments.localization.measure import COARSEST_MS
from ecg_lightning.experiments.localization.schemas import LOCALIZATION_SCORES
from ecg_lightning.experiments.score_rows import over_seeds
from ecg_lightning.plotting.bars import MARKS, ScorePanel, scores_figure
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Paragraph, Picture, ReportFiles, Section
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.study_runs import StudyRuns

_SCORES: Final = {
    "auroc": "AUROC of |map|",
    "relevance_mass": "share of |map| inside",
    "relevance_rank_accuracy": "rank accuracy",
    "pointing_game": "maximum inside (share of ECGs)",
}
_REGIONS: Final = {"causal": "the causal evidence", "core": "the textbook evidence"}


def localization_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """How much of each map lies where the evidence is known to be."""
    title = "Localisation of known evidence"
    tables = runs.tables(LOCALIZATION_SCORES)
    if not tables.empty:  # runs of an older version have their own maps only
        tables["map"] = tables["map"].fillna("own") if "map" in tables else "own"
    known = tables[tables["value"].notna()] if not tables.empty else tables
    if known.empty:
        return Section(
            "localisation",
            title,
            [Paragraph("These ECGs carry no evidence masks (simulated and LUDB ECGs do), so nothing is known of where "
                       "the maps should be.", "note")],
        )  # fmt: skip
    saved = files.table("localization_all", tables)
    blocks: list[Block] = [
        Paragraph(
            "Simulated ECGs carry a mask of the points that make the diagnosis (causal evidence: where the beat "
            "differs from that of its twin, the same heart without the diagnosis, or with another value of a "
            "measurement; grafting these points into the twin's beat carries the diagnosis over); LUDB carries waves "
            "that a cardiologist has marked."
        )
    ]
    regions = [region for region in ("causal", "core") if (known["region"] == region).any()]
    blocks += [_picture(runs, files, known, region, _REGIONS[region]) for region in regions[:1]]
    details: dict[str, list[Block]] = {
        "Other regions": [
            _picture(runs, files, known, region, _REGIONS.get(region, f"the {region} region"))
            for region in dict.fromkeys(known["region"])
            if region not in regions[:1]
        ]
    }
    blocks.append(Paragraph(f"{_left_out(runs, known)}Numbers: {', '.join(saved)}.", "note"))
    return Section("localisation", title, blocks, {key: value for key, value in details.items() if value})


def _left_out(runs: StudyRuns, known: pd.DataFrame) -> str:
    """Name methods without a score, and why, in sentences; empty where there is none."""
    names = [method_style(name).label for name in runs.methods if name not in set(known["method"])]
    why = f"maps of one value for more than {COARSEST_MS:g} ms can't say where a wave is"
    return f"Left out: {', '.join(names)}; {why}. " if names else ""


def _picture(runs: StudyRuns, files: ReportFiles, known: pd.DataFrame, region: str, words: str) -> Picture:
    own = known[known["region"] == region]
    targets = "; ".join(_counted(runs, own, str(target)) for target in dict.fromkeys(own["target"]))
    panels = []
    for score, label in _SCORES.items():
        part = own[own["score"] == score]
        chance = part.groupby(["method", "map", "seed"], sort=False)["chance"].mean().mean()
        panels.append(ScorePanel("", label, over_seeds(part), float(chance)))
    caption = (
        f"How much of each unsmoothed |map| lies in {words}; mean over ECGs, then classes ({targets}), then seeds; "
        f"bars: range of the seeds, of own maps. {MARKS} Broken line: chance."
    )

    def draw(caption: str) -> CaptionedFigure:
        return scores_figure(panels, f"Localisation of {words}", caption)

    return files.picture(f"localisation/{region}", draw, f"Localisation of {words}", caption)


def _counted(runs: StudyRuns, own: pd.DataFrame, target: str) -> str:
    """Such as ``First-degree AV block: 24 ECGs, 24 patients have the diagnosis``."""
    examples = next(iter(runs.finished[target].values())).examples
    info = known_info(target)
    patients = examples[info.present(examples["label"])]["patient_id"].nunique()
    return (
        f"{class_name(target)}: up to {int(own[own['target'] == target]['n_ecgs'].max()):,} ECGs with known evidence, "
        f"{patients:,} test patients {info.having_it}"
    )
