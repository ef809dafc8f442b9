"""How much maps that compare an ECG with background ECGs depend on which of those were chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from callbacks.audit import Audit, AuditBatch, StoreLayout
from callbacks.audit_results import AuditResults
from callbacks.current_run import classifier_of, datamodule_of
from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.attribution.robust import explain_or_nan
from ecg_lightning.experiments.example_choice import balanced_choice
from ecg_lightning.functional.similarity import similarity_matrix
from ecg_lightning.functional.smoothing import window_setting
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.hashing import JSON, digest_array_rows


class BackgroundDependence(Audit):
    """Reliability over the choice of backgrounds, of the methods that use them.

    Writes ``reliability_over_backgrounds/<method>/`` (n,): Pearson's correlation, after the smoothing with which maps
    are compared, of an ECG's map with that over as many other training ECGs, of other patients, and with other draws:
    what two maps correlate whose backgrounds were chosen independently. NaN for ECGs that were not measured, and in
    ``tables/background_dependence.parquet`` median and lowest decile. Nothing is measured where the network's training
    ECGs are not at hand, or too few; that is said.

    Args:
        max_examples: ECGs at most, balanced by diagnosis and by a hash of their ids; None: all. Each costs a map of
            each of these methods.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: Fewer than one ECG.
    """

    rows_at_once: ClassVar[int] = 4

    def __init__(self, max_examples: int | None = 24, on_mismatch: OnMismatch = "error") -> None:
        super().__init__(on_mismatch=on_mismatch)
        if max_examples is not None and max_examples < 1:
            raise ValueError(f"BackgroundDependence: max_examples must be at least 1, or null for all: {max_examples}")
        self.max_examples = max_examples

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the other backgrounds, and open the stores."""
        self.methods: list[AttributionMethod] = [one for one in self.maps.methods if one.uses_backgrounds]
        if self.methods:
            datamodule = datamodule_of(trainer, type(self).__name__)
            first = datamodule.backgrounds(classifier_of(pl_module, type(self).__name__).backgrounds)
            self.others = datamodule.other_backgrounds(first)
            if len(self.others) < len(first):
                names = ", ".join(one.name for one in self.methods)
                rank_zero_warn(
                    f"how much {names} depend on their backgrounds is not measured: that takes {len(first)} more "
                    f"training ECGs of other patients, there are {len(self.others)}"
                )
                self.methods = []
            else:
                self.task = replace(self.maps.task, backgrounds=self.others.beats.to(self.maps.task.backgrounds))
        super().on_test_start(trainer, pl_module)

    def _chosen(self) -> NDArray[np.bool_]:
        return balanced_choice(self.examples["ecg_id"].tolist(), self.examples["label"].to_numpy(), self.max_examples)

    def _names(self) -> Sequence[str]:
        return [method.name for method in self.methods]

    def _places(self) -> Mapping[str, StoreLayout]:
        return {_folder(method.name): StoreLayout((), {}, "correlation") for method in self.methods}

    def _settings(self) -> dict[str, JSON]:
        content = digest_array_rows(self.others.beats.numpy(), self.others.ecg_ids)
        references: JSON = {"ecg_ids": self.others.ecg_ids, "content": content}
        return {"other_backgrounds": references, **window_setting(self.maps.task.smoothing_window)}

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        return {
            _folder(method.name): self._agreement(method, batch, batch.maps[method.name]) for method in self.methods
        }

    def _agreement(self, method: AttributionMethod, batch: AuditBatch, own: Tensor) -> NDArray[np.float64]:
        """(k,) correlation of maps (k, lead, sample) with those over the other backgrounds, with other draws."""
        keys = [replace(self.maps.key(method.name, row), direction="other backgrounds") for row in batch.rows.tolist()]
        other = explain_or_nan(method, self.task, batch.ecg, keys)[0].maps
        window = self.maps.task.smoothing_window
        pair = torch.stack([own.cpu().double(), other.cpu().double()], dim=1)
        found: NDArray[np.float64] = similarity_matrix(pair, window=window if own.shape[-1] >= window else None)[
            :, 0, 1
        ].numpy()
        return found

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        rows = []
        for method in self.methods:
            values = self.values(_folder(method.name))
            known = values[np.isfinite(values)]
            median, decile = np.quantile(known, (0.5, 0.1)) if len(known) else (np.nan, np.nan)
            rows.append((method.name, float(median), float(decile), len(known), len(self.others)))
            if len(known):
                module.log(f"reliability_over_backgrounds/{method.name}", float(median), rank_zero_only=True)
        names = ["method", "median", "lowest_decile", "n_ecgs", "n_backgrounds"]
        AuditResults(trainer).table("background_dependence", pd.DataFrame(rows, columns=names))


def _folder(name: str) -> str:
    return f"reliability_over_backgrounds/{name}"
