"""Do the maps mark the evidence, or the waves, whose place is known?"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import ArrayLike
from torch import Tensor

from callbacks.audit import Audit, AuditBatch, StoreLayout
from callbacks.audit_results import AuditResults
from callbacks.current_run import datamodule_of
from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.data.regions import known_regions, read_regions
from ecg_lightning.experiments.localization.measure import (
    LOCALIZATION_SCORES,
    LocalizationScore,
    localization_scores,
    region_share,
)
from ecg_lightning.experiments.localization.run_results import LocalizationReport
from ecg_lightning.storage.hashing import JSON

_SCORES: Final = {name: f"localization/{name}" for name in LOCALIZATION_SCORES}
_OF_OTHERS: Final = {name: f"localization/controls/{name}" for name in LOCALIZATION_SCORES}


class EvidenceLocalization(Audit):
    """Scores every map against the regions of its ECG whose place is known.

    Simulated ECGs carry the evidence of each diagnosis that they have (``causal`` by counterfactual twins, ``core`` by
    the textbook) and their waves; LUDB carries a cardiologist's waves. Writes ``localization/<score>/`` (n, region,
    method) for relevance mass, relevance rank accuracy, pointing game and AUROC (see
    :mod:`ecg_lightning.experiments.localization.measure`); ``localization/controls/<score>/`` (n, region, method,
    control), the same of what stands in for the patient's own maps; and ``localization/share/`` (n, region), what
    chance reaches. At the end means with intervals. Where nothing is known nothing is written.

    Args: As for :class:`callbacks.audit.Audit`.
    """

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find out what is known of these ECGs."""
        datamodule = datamodule_of(trainer, "EvidenceLocalization")
        self.regions = known_regions(datamodule.cache, datamodule.target)
        if not self.regions:
            rank_zero_info(
                f"EvidenceLocalization: {datamodule.source.name} tells neither evidence nor waves, so there is nothing "
                "to localise"
            )
        super().on_test_start(trainer, pl_module)

    def _places(self) -> Mapping[str, StoreLayout]:
        if not self.regions:
            return {}
        coords = {"region": self.regions, "method": self.maps.names}
        places = {folder: StoreLayout(("region", "method"), coords, "1") for folder in _SCORES.values()}
        return places | {"localization/share": StoreLayout(("region",), {"region": self.regions}, "1")}

    def _control_places(self) -> Mapping[str, StoreLayout]:
        if not self.regions:
            return {}
        coords = {"region": self.regions, "method": self.maps.names, "control": self.maps.patient_controls}
        return {folder: StoreLayout(("region", "method", "control"), coords, "1") for folder in _OF_OTHERS.values()}

    def _settings(self) -> dict[str, JSON]:
        return {"target": self.datamodule.target, "evidence": self.datamodule.cache.info.get("hash")}

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        masks, known = self._masks(batch)
        share = torch.where(known, region_share(masks), torch.nan)
        return {**self._scores(batch, _SCORES), "localization/share": share.numpy()}

    def _measure_controls(self, batch: AuditBatch, control: PatientControl) -> Mapping[str, ArrayLike]:
        return self._scores(batch, _OF_OTHERS)

    def _scores(self, batch: AuditBatch, folders: Mapping[LocalizationScore, str]) -> dict[str, ArrayLike]:
        """Folder -> (k, region, method)."""
        masks, known = self._masks(batch)
        scores = localization_scores(torch.stack([maps.cpu() for maps in batch.maps.values()], dim=1), masks)
        return {
            folders[name]: torch.where(known[..., None], score, torch.nan).numpy() for name, score in scores.items()
        }

    def _masks(self, batch: AuditBatch) -> tuple[Tensor, Tensor]:
        """(k, region, lead, sample) masks and (k, region) whether they are known."""
        cache_rows = self.examples["cache_row"].to_numpy(dtype=np.intp)[batch.rows]
        found = read_regions(self.datamodule.cache, cache_rows, self.datamodule.target)
        masks, known = (np.stack([found[region][part] for region in self.regions], axis=1) for part in (0, 1))
        return torch.from_numpy(masks), torch.from_numpy(known)

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        report = LocalizationReport(
            scores={name: self.values(folder) for name, folder in _SCORES.items()},
            of_others={name: self.of_others(folder) for name, folder in _OF_OTHERS.items()},
            share=self.values("localization/share"),
            regions=self.regions,
            run=self.audited_run,
        )
        report.write(AuditResults(trainer))
