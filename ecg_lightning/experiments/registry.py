"""The experiments, in the order of the test, the page and the documentation.

Not in ``__init__``: the processes of ``compare`` start without what draws figures.
"""

from typing import Final

from ecg_lightning.experiments.experiment import Experiment
from ecg_lightning.experiments.faithfulness.experiment import FAITHFULNESS
from ecg_lightning.experiments.localization.experiment import LOCALIZATION
from ecg_lightning.experiments.perturbation.experiment import PERTURBATION
from ecg_lightning.experiments.randomization.experiment import RANDOMIZATION
from ecg_lightning.experiments.self_consistency.experiment import SELF_CONSISTENCY
from ecg_lightning.experiments.similarity.experiment import SIMILARITY
from ecg_lightning.storage.table_schema import TableSchema

EXPERIMENTS: Final[tuple[Experiment, ...]] = (
    SIMILARITY,
    SELF_CONSISTENCY,
    RANDOMIZATION,
    PERTURBATION,
    LOCALIZATION,
    FAITHFULNESS,
)

TABLES: Final[dict[str, TableSchema]] = {table.name: table for one in EXPERIMENTS for table in one.tables}
"""Name of a table -> its declared columns."""
