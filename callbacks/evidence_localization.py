"""Do the maps mark the evidence, or the waves, whose place is known?"""

from collections.abc import Mapping

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import ArrayLike

from callbacks.audit import Audit, AuditBatch, Place
from callbacks.audit_results import AuditResults
from callbacks.localization_report import LocalizationReport
from callbacks.ranks import datamodule_of
from ecg_lightning.data.regions import known_regions, read_regions
from ecg_lightning.digest import JSON
from ecg_lightning.functional.localization import LOCALIZATION_SCORES, localization_scores, region_share
from ecg_lightning.plotting.class_words import CLASS_WORDS


class EvidenceLocalization(Audit):
    """Scores every map against the regions of its ECG whose place is known.

    Simulated ECGs carry the evidence of each diagnosis that they have (``causal`` by counterfactual twins, ``core`` by
    the textbook) and their waves; LUDB carries a cardiologist's waves. Writes ``localization/<score>/`` (n, region,
    method) for relevance mass, relevance rank accuracy, pointing game and AUROC (see
    :mod:`ecg_lightning.functional.localization`), and ``localization/share/`` (n, region), what chance reaches. At
    the end means with intervals, and every method against the best control. Where nothing is known nothing is written.

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

    def _places(self) -> Mapping[str, Place]:
        if not self.regions:
            return {}
        coords = {"region": self.regions, "method": self.maps.names}
        places = {f"localization/{name}": Place(("region", "method"), coords, "1") for name in LOCALIZATION_SCORES}
        return places | {"localization/share": Place(("region",), {"region": self.regions}, "1")}

    def _settings(self) -> dict[str, JSON]:
        return {"target": self.datamodule.target, "evidence": self.datamodule.cache.info.get("hash")}

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        cache_rows = self.examples["cache_row"].to_numpy(dtype=np.intp)[batch.rows]
        found = read_regions(self.datamodule.cache, cache_rows, self.datamodule.target)
        masks = np.stack([found[region][0] for region in self.regions], axis=1)
        known = torch.from_numpy(np.stack([found[region][1] for region in self.regions], axis=1))
        maps = torch.stack([maps.cpu() for maps in batch.maps.values()], dim=1)
        scores = localization_scores(maps, torch.from_numpy(masks))
        measured: dict[str, ArrayLike] = {
            f"localization/{name}": torch.where(known[..., None], score, torch.nan).numpy()
            for name, score in scores.items()
        }
        share = torch.where(known, region_share(torch.from_numpy(masks)), torch.nan)
        return measured | {"localization/share": share.numpy()}

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        report = LocalizationReport(
            scores={name: self.values(f"localization/{name}") for name in LOCALIZATION_SCORES},
            share=self.values("localization/share"),
            regions=self.regions,
            names=self.maps.names,
            controls=self.maps.controls,
            examples=self.examples,
            n_resamples=self.n_resamples,
            confidence=self.confidence,
            seed=self.bootstrap_seed,
            what=f"{CLASS_WORDS[self.datamodule.target].name}, seed {self.maps.training_seed}",
        )
        report.write(AuditResults(trainer))
