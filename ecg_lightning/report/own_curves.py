"""What a study has in the place of the numbers of the paper's Figure 4: curves of randomisation and perturbation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from ecg_lightning.experiments.perturbation.kinds import PAPER_KIND
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import NO_NUMBER, number
from ecg_lightning.runs.study_runs import StudyRuns, records

_NAMED_IN_4B: Final = ("smoothgrad", "deeplift_shap", "gradient_x_input", "saliency", "gradcam")
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


def first_steps(runs: StudyRuns) -> str:
    """Similarity and AUROC at the third step, where the study has one."""
    curves, network = _curves(runs), runs.tables("cascade_network")
    if curves.empty or network.empty or not (curves["depth"] == _FIRST_STEPS).any():
        return NO_NUMBER
    at = curves[curves["depth"] == _FIRST_STEPS].groupby("method")["similarity"].mean()
    if "batchnorm" in network:
        network = network[network["batchnorm"] == "kept"]
    auroc = network[network["direction"] == "from_output"].groupby("depth")["auroc"].mean()
    words = f"similarity 1 to {number(at.mean())} on average (at most {number(at.max())}, {_label(at.idxmax())})"
    if not {0, _FIRST_STEPS} <= set(auroc.index):
        return words
    return f"{words}; AUROC {number(auroc[0])} to {number(auroc[_FIRST_STEPS])}"


def kept_at_the_end(runs: StudyRuns) -> str:
    """Methods whose maps are still like the trained network's when every layer is random."""
    curves = _curves(runs)
    own = curves[curves["complete"]] if len(curves) else curves
    if own.empty:
        return NO_NUMBER
    last = own[own["depth"] == own["depth"].max()]
    kept = [_label(row["method"]) for row in records(last) if row["similarity"] >= _NEAR_ZERO]
    return f"{', '.join(kept) or 'none'} (similarity of {_NEAR_ZERO} or more)"


def noise_words(settings: Mapping[str, Any]) -> str:
    """The noise on replaced points, from a perturbation store's settings."""
    if not settings:
        return NO_NUMBER
    mode = str(settings.get("noise", "unknown"))
    words = {"multiplicative": "multiplied", "additive_mv": "added, in mV", "none": "none",
             "additive_lead_std": "added, in standard deviations of the lead"}.get(mode, mode)  # fmt: skip
    return words if mode == "none" else f"Gaussian, sigma {settings.get('sigma', np.nan):g}, {words}"


def perturbation_store(path: Path, order: str = "morf") -> str | None:
    """Name of a run's store of the paper's perturbation, wherever its version kept it; None where there is none.

    Args:
        path: Of the run.
        order: ``morf`` or ``lerf``.
    """
    names = (f"perturbation/{PAPER_KIND.name}/{order}", f"perturbation/{order}")
    return next((name for name in names if (path / name / "manifest.json").is_file()), None)


def perturbation_settings(runs: StudyRuns) -> Mapping[str, Any]:
    """Settings of the first run's perturbation of points; empty where none was made."""
    for run in runs:
        if (name := perturbation_store(run.path)) is not None:
            return run.row_store(name).spec.settings
    return {}


def after_perturbation(runs: StudyRuns, what: str) -> str:
    """AUROC at the last step.

    Args:
        runs: The study.
        what: A method; ``others``, those that the paper does not name; ``steepest`` four or ``flattest`` one.
    """
    table = runs.study_table("perturbation_all")
    if table.empty:
        return NO_NUMBER
    chosen = (table["metric"] == "auroc") & (table["order"] == "morf") & ~table["control"]
    for column, basis in (("map", "own"), ("kind", PAPER_KIND.name)):
        chosen &= (table[column] == basis) if column in table else True
    own = table[chosen]
    last = own[own["step"] == own["step"].max()].set_index("method").dropna(subset=["value"])
    if last.empty:
        return NO_NUMBER
    percent = f" at {100 * last['fraction'].iloc[0]:.0f} %"
    values = last["value"].sort_values()
    if what == "others":
        others = values.drop(list(_NAMED_IN_4B), errors="ignore")
        return f"{others.min():.2f} to {others.max():.2f}{percent}" if len(others) else NO_NUMBER
    if what in ("steepest", "flattest"):
        few = values.head(4) if what == "steepest" else values.tail(1)
        return ", ".join(f"{_label(name)} ({number(value)})" for name, value in few.items())
    return f"{number(float(values[what]))}{percent}" if what in values.index else NO_NUMBER


def _label(method: object) -> str:
    return method_style(str(method)).label
