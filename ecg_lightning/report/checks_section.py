"""What the paper lacks: localisation against evidence, the linter, reliability and cost of each method."""

from typing import Any, Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ecg_lightning.plotting.bars import MARKS, ScorePanel, scores_figure
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Cell, Paragraph, Picture, ReportFiles, Section, TableBlock, number
from ecg_lightning.runs.study_runs import StudyRuns, records
from ecg_lightning.verdicts.preconditions import LEAST_RELIABILITY

GRADIENT_FORWARDS: Final = 2.2
"""Cost of a gradient pass in forward passes (measured on the study's network)."""

_SCORES: Final = {
    "auroc": "AUROC of |map|",
    "relevance_mass": "share of |map| inside",
    "relevance_rank_accuracy": "rank accuracy",
    "pointing_game": "maximum inside (share of ECGs)",
}
_REGIONS: Final = {"causal": "the causal evidence", "core": "the textbook evidence"}


def localisation_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """How much of each map lies where the evidence is known to be."""
    title = "Localisation of known evidence"
    tables = runs.tables("localization")
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
            "differs from that of its twin, the same heart without the diagnosis; grafting these points into the "
            "twin's beat carries the diagnosis over); LUDB carries waves that a cardiologist has marked."
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
    blocks.append(Paragraph(f"Numbers: {', '.join(saved)}.", "note"))
    return Section("localisation", title, blocks, {key: value for key, value in details.items() if value})


def _picture(runs: StudyRuns, files: ReportFiles, known: pd.DataFrame, region: str, words: str) -> Picture:
    own = known[known["region"] == region]
    targets = "; ".join(_counted(runs, own, str(target)) for target in dict.fromkeys(own["target"]))
    panels = []
    for score, label in _SCORES.items():
        part = own[own["score"] == score]
        of_seed = part.groupby(["method", "map", "seed"], sort=False)[["value", "chance"]].mean().reset_index()
        spread = of_seed.groupby(["method", "map"], sort=False)["value"]
        span = spread.agg(value="mean", low="min", high="max").reset_index()
        if own["seed"].nunique() == 1:
            span[["low", "high"]] = np.nan
        panels.append(ScorePanel("", label, span, float(of_seed["chance"].mean())))
    caption = (
        f"How much of each unsmoothed |map| lies in {words}; mean over ECGs, then classes ({targets}), then seeds; "
        f"bars: range of the seeds, of own maps. {MARKS} Broken line: chance."
    )

    def draw(caption: str) -> Figure:
        return scores_figure(panels, f"Localisation of {words}", caption)

    return files.picture(f"localisation/{region}", draw, f"Localisation of {words}", caption)


def _counted(runs: StudyRuns, own: pd.DataFrame, target: str) -> str:
    """Such as ``First-degree AV block: 24 ECGs, 24 patients have the diagnosis``."""
    examples = next(iter(runs.finished[target].values())).examples
    patients = examples[examples["label"] == 1]["patient_id"].nunique()
    return (
        f"{class_name(target)}: up to {int(own[own['target'] == target]['n_ecgs'].max()):,} ECGs with known evidence, "
        f"{patients:,} test patients with the diagnosis"
    )


def methods_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Passes, reliability, unusable maps, and what the linter says of each method."""
    maps, lint = runs.tables("maps"), runs.tables("lint")
    table = methods_table(maps, lint, runs.tables("background_dependence"), runs.methods)
    rows = [
        [
            method_style(row["method"]).label,
            number(row["forwards"], 0),
            number(row["gradients"], 0),
            number(row["forward_equivalents"], 0),
            _reliability(row),
            _over_backgrounds(row),
            _unusable(row),
            _lint(row),
        ]
        for row in records(table)
    ]
    blocks: list[Block] = [
        TableBlock(
            head=(
                "Method",
                "Forward passes",
                "Gradient passes",
                "Cost in forwards",
                "Reliability",
                "Over backgrounds",
                "Unusable maps",
                "Linter",
            ),
            rows=rows,
            caption=f"Passes a map; a gradient pass counts as {GRADIENT_FORWARDS} forwards; the gradient family shares "
            "passes, which is not deducted. Reliability: of a stochastic map with these passes, median over ECGs and "
            "networks (lowest decile in brackets; 1 is a map without Monte-Carlo noise; its root is the correlation "
            "with the converged map). Over backgrounds: median correlation with the map over as many other background "
            "ECGs (lowest decile in brackets). Unusable: constant or not finite. Linter: whether the method is safe on "
            "this network.",
            label="Cost and reliability",
            files=files.table("methods", table),
        )
    ]
    if not lint.empty:
        told = lint[lint["verdict"] != "safe"].drop_duplicates(["method", "verdict"])
        blocks += [
            Paragraph(f"{method_style(row['method']).label}: {row['verdict']}. {_reason(row)}", "warning")
            for row in records(told)
        ]
    return Section("methods", "Cost, reliability and safety of the methods", blocks)


def methods_table(
    maps: pd.DataFrame, lint: pd.DataFrame, backgrounds: pd.DataFrame, methods: list[str]
) -> pd.DataFrame:
    """One row a method: passes, cost, both reliabilities, unusable maps, the linter's verdicts.

    Args:
        maps: ``tables/maps.parquet`` of the runs.
        lint: ``tables/lint.parquet``.
        backgrounds: ``tables/background_dependence.parquet``; may be empty.
        methods: In the order of the table.
    """
    rows = []
    for method in methods:
        own = maps[maps["method"] == method] if not maps.empty else maps
        verdicts = lint[lint["method"] == method]["verdict"] if not lint.empty else pd.Series(dtype=str)
        row: dict[str, Any] = {"method": method}
        for name in ("forwards", "gradients"):
            row[name] = own[name].max() if name in own else np.nan
        row["forward_equivalents"] = row["forwards"] + GRADIENT_FORWARDS * row["gradients"]
        for name in ("reliability_median", "reliability_lowest_decile"):
            row[name] = own[name].median() if name in own else np.nan
        over = backgrounds[backgrounds["method"] == method] if not backgrounds.empty else backgrounds
        for name in ("median", "lowest_decile"):
            row[f"over_backgrounds_{name}"] = over[name].median() if name in over else np.nan
        known = own["uses_backgrounds"].dropna() if "uses_backgrounds" in own else ()  # older runs do not say
        row["uses_backgrounds"] = bool(any(known)) if len(known) else None
        for name in ("done", "constant", "not_finite"):
            row[name] = int(own[name].sum()) if name in own else 0
        row["lint"] = next((v for v in ("refused", "doubtful", "safe") if (verdicts == v).any()), "")
        rows.append(row)
    return pd.DataFrame(rows)


def _reliability(row: dict[str, Any]) -> Cell:
    if not np.isfinite(row["reliability_median"]):
        exact = row["uses_backgrounds"] is False
        return Cell("exact" if exact else "no draws", "none", "the same map every time" if exact else "")
    text = f"{number(row['reliability_median'], 3)} [{number(row['reliability_lowest_decile'], 3)}]"
    return Cell(text, "good" if row["reliability_median"] >= LEAST_RELIABILITY else "mixed")


def _over_backgrounds(row: dict[str, Any]) -> Cell:
    if not np.isfinite(row["over_backgrounds_median"]):
        return Cell("not measured", "none") if row["uses_backgrounds"] else Cell("\N{EN DASH}")
    text = f"{number(row['over_backgrounds_median'], 3)} [{number(row['over_backgrounds_lowest_decile'], 3)}]"
    return Cell(text, "good" if row["over_backgrounds_median"] >= LEAST_RELIABILITY else "mixed")


def _unusable(row: dict[str, Any]) -> Cell:
    count = row["constant"] + row["not_finite"]
    if not count:
        return Cell("0")
    return Cell(f"{count:,} of {row['done']:,}", "bad" if count > row["done"] / 10 else "mixed")


def _lint(row: dict[str, Any]) -> Cell:
    return Cell(
        row["lint"] or "\N{EN DASH}", {"safe": "good", "doubtful": "mixed", "refused": "bad"}.get(row["lint"], "")
    )


def _reason(row: dict[str, Any]) -> str:
    said = [str(row[name]) for name in ("reasons", "remedy") if isinstance(row.get(name), str) and row[name]]
    return " ".join(said)
