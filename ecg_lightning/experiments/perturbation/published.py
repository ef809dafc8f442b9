"""What the paper says of perturbed beats, and what a study has in its place."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from ecg_lightning.experiments.perturbation.kinds import PAPER_KIND
from ecg_lightning.experiments.published import Published
from ecg_lightning.plotting.method_style import method_style
from ecg_lightning.plotting.page_blocks import NO_NUMBER, number
from ecg_lightning.runs.study_runs import StudyRuns

_NAMED_IN_4B: Final = ("smoothgrad", "deeplift_shap", "gradient_x_input", "saliency", "gradcam")


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


def _noise(runs: StudyRuns) -> str:
    return noise_words(perturbation_settings(runs))


PUBLISHED: Final = (
    Published("noise", "noise on replaced points", "Gaussian, sigma 0.25, multiplied", "Methods, Figure 4", _noise),
    Published(
        "perturbation:smoothgrad",
        "AUROC after 30 % of the points, SmoothGrad",
        "about 0.50",
        "Figure 4B",
        partial(after_perturbation, what="smoothgrad"),
    ),
    Published(
        "perturbation:deeplift_shap",
        "AUROC after 30 % of the points, DeepLIFT-SHAP",
        "about 0.65",
        "Figure 4B",
        partial(after_perturbation, what="deeplift_shap"),
    ),
    Published(
        "perturbation:gradient_x_input",
        "AUROC after 30 % of the points, gradient x input",
        "about 0.65",
        "Figure 4B",
        partial(after_perturbation, what="gradient_x_input"),
    ),
    Published(
        "perturbation:saliency",
        "AUROC after 30 % of the points, saliency",
        "about 0.65",
        "Figure 4B",
        partial(after_perturbation, what="saliency"),
    ),
    Published(
        "perturbation:others",
        "AUROC after 30 % of the points, most other methods",
        "about 0.75",
        "Figure 4B",
        partial(after_perturbation, what="others"),
    ),
    Published(
        "perturbation:gradcam",
        "AUROC after 30 % of the points, Grad-CAM",
        "0.92",
        "Figure 4B",
        partial(after_perturbation, what="gradcam"),
    ),
    Published(
        "perturbation:steepest",
        "the four methods with the steepest fall",
        "SmoothGrad, DeepLIFT-SHAP, gradient x input, Saliency",
        "Results",
        partial(after_perturbation, what="steepest"),
    ),
    Published(
        "perturbation:flattest",
        "the method with the flattest fall",
        "Grad-CAM",
        "Results",
        partial(after_perturbation, what="flattest"),
    ),
)
