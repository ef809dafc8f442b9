"""The declaration of experiment 2."""

from typing import Final

from ecg_lightning.experiments.experiment import Experiment, Panel
from ecg_lightning.experiments.self_consistency.checks import comparisons
from ecg_lightning.experiments.self_consistency.published import PUBLISHED
from ecg_lightning.experiments.self_consistency.section import consistency_section

EXPERIMENT: Final = Experiment(
    name="self_consistency",
    title="Experiment 2: self-consistency over seeds",
    question="how alike are the maps of different seeds?",
    stores="comparison/",
    section=consistency_section,
    report_tables=("self_consistency", "other_target", "network_agreement", "method_ranks"),
    report_figures=(
        "self_consistency/all_pearson_native",
        "self_consistency/classes_pearson_native",
        "self_consistency/performance",
    ),
    panels=(Panel("bars", "Self-consistency", ("study/self_consistency/{method}",), controls=False),),
    study_comparisons=comparisons,
    published=PUBLISHED,
)
