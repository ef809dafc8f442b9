"""The experiments, in the order of the test, the page and the documentation.

Not in ``__init__``: the processes of ``compare`` start without what draws figures.
"""

from importlib import import_module
from typing import Final

from ecg_lightning.experiments.experiment import Experiment
from ecg_lightning.storage.table_schema import TableSchema

_FOLDERS: Final = (
    "similarity",
    "self_consistency",
    "randomization",
    "perturbation",
    "localization",
    "faithfulness",
)
"""Folders beside this file, each with an ``experiment.py`` that declares its ``EXPERIMENT``."""


def _declared(folder: str) -> Experiment:
    declared = import_module(f"{__package__}.{folder}.experiment").EXPERIMENT
    if not isinstance(declared, Experiment) or declared.name != folder:
        raise TypeError(f"{__package__}.{folder}.experiment: EXPERIMENT is an Experiment of the folder's name")
    return declared


EXPERIMENTS: Final[tuple[Experiment, ...]] = tuple(_declared(folder) for folder in _FOLDERS)

TABLES: Final[dict[str, TableSchema]] = {table.name: table for one in EXPERIMENTS for table in one.tables}
"""Name of a table -> its declared columns."""
