"""Localisation of known evidence, declared."""

from typing import Final

from ecg_lightning.experiments.experiment import Experiment, Panel
from ecg_lightning.experiments.localization.checks import comparisons, mean_map_effects
from ecg_lightning.experiments.localization.schemas import LOCALIZATION_SCORES
from ecg_lightning.experiments.localization.section import localization_section

EXPERIMENT: Final = Experiment(
    name="localization",
    title="Localisation of known evidence",
    question="do maps mark the known evidence?",
    stores="localization/",
    section=localization_section,
    callback="callbacks.EvidenceLocalization",
    tables=(LOCALIZATION_SCORES,),
    report_tables=("localization_all",),
    report_figures=("localisation/causal",),
    panels=(Panel("bars", "AUROC against the evidence", ("localization/auroc/causal/{method}",)),),
    comparisons=comparisons,
    mean_map_effects=mean_map_effects,
)
