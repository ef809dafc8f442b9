"""What is known of a run that an audit reports on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecg_lightning.data.label_scale import LabelScale
from ecg_lightning.data.targets import TargetInfo
from ecg_lightning.functional.intervals import weightings


@dataclass(frozen=True)
class AuditedRun:
    """Holds what the tables and pictures of every audit need to know of the run.

    Attributes:
        names: Methods, then controls.
        controls: Which of them are controls.
        examples: The test ECGs.
        n_resamples: Bootstrap resamples of the patients.
        confidence: Confidence level of the intervals.
        seed: Seed of the bootstrap resamples.
        what: Target and training seed, for headings.
        target_info: What is explained, a diagnosis or a measurement.
        label_scale: The scale that the network counts a measurement in.
    """

    names: Sequence[str]
    controls: Sequence[str]
    examples: pd.DataFrame
    n_resamples: int
    confidence: float
    seed: int
    what: str
    target_info: TargetInfo = field(default_factory=lambda: TargetInfo("diagnosis"))
    label_scale: LabelScale = field(default_factory=LabelScale)

    @property
    def label(self) -> NDArray[np.float64]:
        """Return the labels (n,): 1, 0 or NaN; of a measurement, what its network should have given."""
        label = self.examples["label"].to_numpy(dtype=np.float64)
        return label if self.target_info.kind == "binary" else self.label_scale.scaled(label)

    @property
    def has_it(self) -> NDArray[np.bool_]:
        """Tell which ECGs have the diagnosis, or a value of the measurement, (n,)."""
        return self.target_info.present(self.label)

    @property
    def patient_ids(self) -> NDArray[np.object_]:
        """Return the patient of each ECG, (n,)."""
        return self.examples["patient_id"].to_numpy()

    @property
    def both_classes(self) -> bool:
        """Tell whether there is an AUROC at all."""
        return bool(np.isin((0, 1), self.label).all())

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Return weights (1 + r, n): every ECG once, then the resamples of the patients."""
        return weightings(self.examples["patient_id"], self.n_resamples, self.seed)
