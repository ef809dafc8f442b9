"""The declaration of experiment 4."""

from typing import Final

from ecg_lightning.experiments.experiment import Experiment, Panel
from ecg_lightning.experiments.perturbation.checks import comparisons, mean_map_effects
from ecg_lightning.experiments.perturbation.published import PUBLISHED
from ecg_lightning.experiments.perturbation.schemas import PERTURBATION_CURVES, PERTURBATION_SUMMARY
from ecg_lightning.experiments.perturbation.section import perturbation_section

EXPERIMENT: Final = Experiment(
    name="perturbation",
    title="Experiment 4: perturbation",
    question="does the network fall when what a map marks is perturbed?",
    stores="perturbation/",
    section=perturbation_section,
    callback="callbacks.PerturbationCurves",
    tables=(
        PERTURBATION_CURVES,
        PERTURBATION_SUMMARY,
    ),
    report_tables=("perturbation_areas",),
    report_figures=("perturbation/auroc",),
    panels=(
        Panel("lines", "Most relevant first", ("perturbation/morf/auroc/{method}",), "perturbation/fraction"),
        Panel("lines", "Least relevant first", ("perturbation/lerf/auroc/{method}",), "perturbation/fraction"),
    ),
    comparisons=comparisons,
    mean_map_effects=mean_map_effects,
    published=PUBLISHED,
)
