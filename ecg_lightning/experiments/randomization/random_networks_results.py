"""What the random networks of one run say: a table, and a picture of what is left of the maps."""

import warnings

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.experiments.randomization.left_over_figure import LeftOverPanel, left_over_figure, left_over_rows
from ecg_lightning.experiments.randomization.plan import BASIS, CascadePlan
from ecg_lightning.experiments.randomization.random_network_table import table_of_runs
from ecg_lightning.experiments.run_results import RunResults
from ecg_lightning.runs.run import Run
from ecg_lightning.runs.signal_format import usual_smoothing
from ecg_lightning.runs.target_runs import TargetRuns
from ecg_lightning.verdicts.checks import margins_of


def report_random_networks(results: RunResults, plan: CascadePlan, tested: AuditedRun, recalibrated_on: str) -> None:
    """Write ``tables/random_networks.parquet`` and ``figures/cascade/random_networks``.

    Args:
        results: Where tables and figures are kept.
        plan: Which random networks there are.
        tested: The run.
        recalibrated_on: What BatchNorm statistics are of, in words.
    """
    examples, confidence = tested.examples, tested.confidence
    run = Run(results.folder)
    rows: NDArray[np.int64] = np.arange(len(examples))[None]
    table = table_of_runs(TargetRuns(run.target, {run.seed: run}, examples, rows), confidence)
    if table.empty:
        return
    results.table("random_networks", table)
    undefined = table[(table["n_undefined"] > 0) & ~table["control"]]
    if len(undefined):
        warnings.warn(
            f"RandomizationCascade: {int(undefined['n_undefined'].sum()):,} similarities to random networks' maps are "
            "undefined, because a map is constant, not finite or nothing but |ECG| and |slope|; they are NaN, left out "
            "of means, and counted in tables/random_networks.parquet",
            stacklevel=2,
        )
    limits = {margin.score: margin.margin_pass for margin in margins_of("randomization", "needs_the_weights")}
    caption = _caption(table, plan, recalibrated_on, confidence, usual_smoothing(run))

    def draw() -> Figure:
        panel = LeftOverPanel("every layer random", left_over_rows(table, BASIS, plan.batchnorm))
        title = f"Random networks: {tested.what}"
        return left_over_figure([panel], abs(limits["partial"]), limits["magnitude"], title, caption)

    results.figure("cascade/random_networks", draw, caption)


def _caption(table: pd.DataFrame, plan: CascadePlan, recalibrated_on: str, confidence: float, smoothing: str) -> str:
    draws = "; ".join(
        f"{count} with BatchNorms {policy.replace('_', ' and ')}" for policy, count in plan.wholly_random.items()
    )
    fewer = f" ({plan.draws_of_expensive_methods} of {', '.join(plan.expensive)})" if plan.expensive else ""
    return (
        "Pearson correlation of the trained network's maps with those of networks whose weights are all random, "
        f"{smoothing}, over all points of an ECG. Random networks: {draws}{fewer}; statistics of "
        f"recalibrated BatchNorms from {recalibrated_on}. {int(table['n_ecgs'].max())} test ECGs of "
        f"{int(table['n_patients'].max())} patients, of any label; lines: {confidence:.0%} intervals over draws and "
        "patients. Italic: controls, which know nothing of the network."
    )
