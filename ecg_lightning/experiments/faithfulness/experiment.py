"""Faithfulness and other scores of single maps, declared."""

from typing import Final

from ecg_lightning.experiments.experiment import Experiment
from ecg_lightning.experiments.faithfulness.checks import comparisons, mean_map_effects
from ecg_lightning.experiments.faithfulness.schemas import SCORES
from ecg_lightning.experiments.faithfulness.section import faithfulness_section

EXPERIMENT: Final = Experiment(
    name="faithfulness",
    title="Faithfulness and other scores of single maps",
    question="do maps foretell how the network's answer changes?",
    stores="scores/",
    section=faithfulness_section,
    callback="callbacks.FaithfulnessScores",
    tables=(SCORES,),
    report_tables=("scores_all",),
    report_figures=("faithfulness/scores",),
    comparisons=comparisons,
    mean_map_effects=mean_map_effects,
)
