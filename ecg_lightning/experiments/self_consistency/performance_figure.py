"""Do better networks have more consistent maps? The paper says that there is no relation."""

import numpy as np
import pandas as pd
from scipy import stats

from ecg_lightning.plotting.captioned import captioned_figure
from ecg_lightning.plotting.class_words import class_short
from ecg_lightning.plotting.page_blocks import Block, ReportFiles, number
from ecg_lightning.plotting.sheet import CaptionedFigure
from ecg_lightning.runs.performance import performance_table
from ecg_lightning.runs.study_folder import ALL_TARGETS
from ecg_lightning.runs.study_runs import StudyRuns


def performance_blocks(runs: StudyRuns, files: ReportFiles, table: pd.DataFrame) -> list[Block]:
    """A point for each class: AUPRC and self-consistency; measurements have no AUPRC."""
    performance = performance_table(runs)
    own = table[(table["statistic"] == "pearson") & (table["sign"] == "native") & (table["target"] != ALL_TARGETS)]
    if "auprc" not in performance or own.empty:
        return []
    both = pd.DataFrame(
        {
            "auprc": performance.groupby("target")["auprc"].mean(),
            "self_consistency": own.groupby("target")["mean"].mean(),
        }
    ).dropna()
    if len(both) < 2:
        return []
    rho, p = stats.spearmanr(both["auprc"], both["self_consistency"]) if len(both) > 2 else (np.nan, np.nan)
    said = (
        f"Spearman's rank correlation over the {len(both)} classes: {number(rho)} (p = {number(p)})."
        if np.isfinite(rho)
        else f"{len(both)} classes are too few for a correlation."
    )
    caption = (
        "Each point is a class: mean AUPRC of its networks, and self-consistency averaged over the methods. "
        f"{said} The paper saw similar maps in classes of higher and lower AUPRC."
    )
    files.table("consistency_and_performance", both.reset_index(names="target"))
    return [
        files.picture(
            "self_consistency/performance",
            lambda text: _scatter(both, text),
            "Self-consistency and performance",
            caption,
            wide=False,
        )
    ]


def _scatter(both: pd.DataFrame, caption: str) -> CaptionedFigure:
    figure, top = captioned_figure((5.2, 3.2), None, caption)
    axes = top.subplots()
    axes.plot(both["auprc"], both["self_consistency"], "o", color="#08519c")
    for target, row in both.iterrows():
        axes.annotate(class_short(target), (row["auprc"], row["self_consistency"]), xytext=(4, 4),
                      textcoords="offset points", fontsize=8)  # fmt: skip
    axes.set_xlabel("AUPRC of the networks (mean over seeds)", fontsize=8)
    axes.set_ylabel("Self-consistency (mean over methods)", fontsize=8)
    axes.margins(0.18)
    axes.tick_params(labelsize=7.5)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
