"""The declaration of experiment 1."""

from typing import Final

from ecg_lightning.experiments.experiment import Experiment, Panel
from ecg_lightning.experiments.similarity.published import PUBLISHED
from ecg_lightning.experiments.similarity.schemas import SIMILARITY_CONTROLS, SIMILARITY_PAIRS
from ecg_lightning.experiments.similarity.section import similarity_section

EXPERIMENT: Final = Experiment(
    name="similarity",
    title="Experiment 1: similarity between methods",
    question="how alike are the maps of different methods?",
    stores="similarity/",
    section=similarity_section,
    callback="callbacks.MethodSimilarity",
    tables=(
        SIMILARITY_CONTROLS,
        SIMILARITY_PAIRS,
    ),
    report_tables=("similarity_by_class",),
    report_figures=("similarity/all_pearson_native",),
    panels=(Panel("pictures", "Similarity", ("similarity/pearson_native", "similarity/spearman_native")),),
    published=PUBLISHED,
)
