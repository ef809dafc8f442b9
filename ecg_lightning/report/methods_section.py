"""This module reports what the paper lacks of the methods: the linter, reliability and cost of each."""

from typing import Any, Final

import numpy as np
import pandas as pd

from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import Block, Cell, Paragraph, ReportFiles, Section, TableBlock, number
from ecg_lightning.runs.study_runs import StudyRuns, records
from ecg_lightning.verdicts.preconditions import LEAST_RELIABILITY

GRADIENT_FORWARDS: Final = 2.2
"""Cost of a gradient pass in forward passes (measured on the study's network)."""


_HEAD: Final = (
    "Method",
    "Forward passes",
    "Gradient passes",
    "Cost in forwards",
    "Reliability",
    "Over backgrounds",
    "Unusable maps",
    "Linter",
)
_CAPTION: Final = (
    f"Passes a map; a gradient pass counts as {GRADIENT_FORWARDS} forwards; the gradient family shares "
    "passes, which is not deducted. Reliability: of a stochastic map with these passes, median over ECGs and "
    "networks (lowest decile in brackets; 1 is a map without Monte-Carlo noise; its root is the correlation "
    "with the converged map). Over backgrounds: median correlation with the map over as many other background "
    "ECGs (lowest decile in brackets). Unusable: constant or not finite. Linter: whether the method is safe on "
    "this network."
)


def methods_section(runs: StudyRuns, files: ReportFiles) -> Section:
    """Show passes, reliability, unusable maps, and what the linter says of each method."""
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
    shown = TableBlock(_HEAD, rows, caption=_CAPTION, label="Cost and reliability", files=files.table("methods", table))
    blocks: list[Block] = [shown]
    if not lint.empty:
        unsafe = lint[lint["verdict"] != "safe"].drop_duplicates(["method", "verdict"])
        blocks += [
            Paragraph(f"{method_style(row['method']).label}: {row['verdict']}. {_reason(row)}", "warning")
            for row in records(unsafe)
        ]
    return Section("methods", "Cost, reliability and safety of the methods", blocks)


def methods_table(
    maps: pd.DataFrame, lint: pd.DataFrame, backgrounds: pd.DataFrame, methods: list[str]
) -> pd.DataFrame:
    """Make one row a method: passes, cost, both reliabilities, unusable maps, the linter's verdicts.

    Args:
        maps: ``tables/maps.parquet`` of the runs.
        lint: The linter's table, ``tables/lint.parquet``.
        backgrounds: ``tables/background_dependence.parquet``; may be empty.
        methods: Methods in the order of the table.
    """
    rows = []
    for method in methods:
        maps_of_method = maps[maps["method"] == method] if not maps.empty else maps
        verdicts = lint[lint["method"] == method]["verdict"] if not lint.empty else pd.Series(dtype=str)
        row: dict[str, Any] = {"method": method}
        for name in ("forwards", "gradients"):
            row[name] = maps_of_method[name].max() if name in maps_of_method else np.nan
        row["forward_equivalents"] = row["forwards"] + GRADIENT_FORWARDS * row["gradients"]
        for name in ("reliability_median", "reliability_lowest_decile"):
            row[name] = maps_of_method[name].median() if name in maps_of_method else np.nan
        over = backgrounds[backgrounds["method"] == method] if not backgrounds.empty else backgrounds
        for name in ("median", "lowest_decile"):
            row[f"over_backgrounds_{name}"] = over[name].median() if name in over else np.nan
        # older runs do not say
        known = maps_of_method["uses_backgrounds"].dropna() if "uses_backgrounds" in maps_of_method else ()
        row["uses_backgrounds"] = bool(any(known)) if len(known) else None
        for name in ("done", "constant", "not_finite"):
            row[name] = int(maps_of_method[name].sum()) if name in maps_of_method else 0
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
