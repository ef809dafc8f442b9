"""What the paper says of randomised layers, and what a study has in its place."""

from typing import Final

import pandas as pd

from ecg_lightning.experiments.published import Published
from ecg_lightning.experiments.randomization.schemas import CASCADE_NETWORK
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import NO_NUMBER, number
from ecg_lightning.runs.study_runs import StudyRuns, records

_NEAR_ZERO: Final = 0.2
_FIRST_STEPS: Final = 3


def _curves(runs: StudyRuns) -> pd.DataFrame:
    """Pearson correlation, with sign, of methods from the output: the paper's Figure 4A."""
    table = runs.study_table("cascade_all")
    if table.empty:
        return table
    chosen = (table["statistic"] == "pearson") & (table["sign"] == "native") & (table["direction"] == "from_output")
    for column, basis in (("map", "own"), ("batchnorm", "kept")):
        chosen &= (table[column] == basis) if column in table else True
    own = table[chosen & ~table["smooth"]].dropna(subset=["similarity"])
    return own[[not method_style(str(name)).control for name in own["method"]]]


def _first_steps(runs: StudyRuns) -> str:
    """Similarity and AUROC at the third step, where the study has one."""
    curves, network = _curves(runs), runs.tables(CASCADE_NETWORK)
    if curves.empty or "auroc" not in network or not (curves["depth"] == _FIRST_STEPS).any():
        return NO_NUMBER
    at = curves[curves["depth"] == _FIRST_STEPS].groupby("method")["similarity"].mean()
    if "batchnorm" in network:
        network = network[network["batchnorm"] == "kept"]
    auroc = network[network["direction"] == "from_output"].groupby("depth")["auroc"].mean()
    words = f"similarity 1 to {number(at.mean())} on average (at most {number(at.max())}, {_label(at.idxmax())})"
    if not {0, _FIRST_STEPS} <= set(auroc.index):
        return words
    return f"{words}; AUROC {number(auroc[0])} to {number(auroc[_FIRST_STEPS])}"


def _kept_at_the_end(runs: StudyRuns) -> str:
    """Methods whose maps are still like the trained network's when every layer is random."""
    curves = _curves(runs)
    own = curves[curves["complete"]] if len(curves) else curves
    if own.empty:
        return NO_NUMBER
    last = own[own["depth"] == own["depth"].max()]
    kept = [_label(row["method"]) for row in records(last) if row["similarity"] >= _NEAR_ZERO]
    return f"{', '.join(kept) or 'none'} (similarity of {_NEAR_ZERO} or more)"


def _label(method: object) -> str:
    return method_style(str(method)).label


PUBLISHED: Final = (
    Published(
        "cascade:first",
        "similarity and AUROC after the first three randomised layers",
        "similarity of every method declines within them, at the same rate as AUROC",
        "Results",
        _first_steps,
    ),
    Published(
        "cascade:kept",
        "methods that keep similarity when every layer is random",
        "Saliency, SmoothGrad, guided backprop",
        "Figure 4A",
        _kept_at_the_end,
    ),
)
