"""The declaration of experiment 3."""

from typing import Final

from ecg_lightning.experiments.experiment import Experiment, Panel
from ecg_lightning.experiments.randomization.checks import comparisons
from ecg_lightning.experiments.randomization.published import PUBLISHED
from ecg_lightning.experiments.randomization.schemas import CASCADE, CASCADE_NETWORK, RANDOM_NETWORKS
from ecg_lightning.experiments.randomization.section import cascade_section

EXPERIMENT: Final = Experiment(
    name="randomization",
    title="Experiment 3: randomisation of the network's weights",
    question="do maps need the trained weights?",
    stores="cascade/",
    section=cascade_section,
    callback="callbacks.RandomizationCascade",
    options={"max_examples": 24},  # the cascade is expensive, and a verdict needs 20 patients
    tables=(
        CASCADE,
        CASCADE_NETWORK,
        RANDOM_NETWORKS,
    ),
    report_tables=("random_networks", "cascade_all"),
    report_figures=("cascade/random_networks", "cascade/pearson_native"),
    panels=(
        Panel("lines", "Similarity to the trained map", ("cascade/from_output/pearson/{method}",), "cascade/depth"),
        Panel("lines", "AUROC of the network", ("cascade/from_output/network_auroc",), "cascade/depth"),
    ),
    comparisons=comparisons,
    published=PUBLISHED,
)
