"""This module adds verdicts on the methods to the runs of a study."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from ecg_lightning.experiments.verdicts import preconditions_of, verdicts_of
from ecg_lightning.report.verdict_tables import completed, completed_preconditions
from ecg_lightning.runs.study_runs import StudyRuns


@dataclass(frozen=True)
class JudgedRuns(StudyRuns):
    """The judged runs are the runs of a study, with what every check says of them."""

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """Return the verdicts, over all seeds and diagnoses; with state ``not_measured`` for what no run has."""
        decided = verdicts_of(self.joined[0], self.study.comparison, self.methods)
        return completed(decided, self.targets, self.methods)

    @cached_property
    def preconditions(self) -> pd.DataFrame:
        """Return the preconditions, over all seeds and diagnoses."""
        return completed_preconditions(preconditions_of(self.joined[0]), self.targets, self.methods)
