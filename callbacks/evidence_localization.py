"""Do the maps mark the evidence, or the waves, whose place is known?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from callbacks.audit import Audit, AuditBatch, StoreLayout
from callbacks.audit_results import AuditResults
from callbacks.control_rows import mean_of_known
from callbacks.current_run import datamodule_of
from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.data.datamodule import EcgDataModule
from ecg_lightning.data.regions import known_regions, read_regions
from ecg_lightning.experiments.localization.measure import (
    COARSEST_MS,
    LOCALIZATION_SCORES,
    LocalizationScore,
    localization_scores,
    region_share,
)
from ecg_lightning.experiments.localization.over_beats import scores_over_beats
from ecg_lightning.experiments.localization.run_results import LocalizationReport
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.storage.store import Rows

_SCORES: Final = {name: f"localization/{name}" for name in LOCALIZATION_SCORES}
_OF_OTHERS: Final = {name: f"localization/controls/{name}" for name in LOCALIZATION_SCORES}


class EvidenceLocalization(Audit):
    """Scores every map against the regions of its ECG whose place is known.

    Simulated ECGs carry the evidence of each diagnosis that they have (``causal`` by counterfactual twins, ``core`` by
    the textbook) and their waves; LUDB carries a cardiologist's waves. Writes ``localization/<score>/`` (n, region,
    method) for relevance mass, relevance rank accuracy, pointing game and AUROC (see
    :mod:`ecg_lightning.experiments.localization.measure`); ``localization/controls/<score>/`` (n, region, method,
    control), the same of what stands in for the patient's own maps; and ``localization/share/`` (n, region), what
    chance reaches. At the end means with intervals. Where nothing is known nothing is written. A method whose
    map has one value for more than 100 ms can't say where a wave is: it is left out, and named.

    Maps of recordings are averaged over their beats first, and so are the regions; another patient's map over that
    patient's beats. Their mean map has no beats and stays NaN.

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
        elif "causal" not in self.regions and (why := self._why_no_evidence(datamodule)):
            rank_zero_info(f"EvidenceLocalization: no evidence of {datamodule.target} is known: {why}")
        examples = datamodule.cache.examples
        self.r_peaks = examples.get("r_peaks")
        self._of_partners: tuple[bytes, dict[str, ArrayLike]] = (b"", {})
        self.coarse = self._too_coarse(datamodule.signal_format.sampling_rate) if self.regions else []
        super().on_test_start(trainer, pl_module)

    def _too_coarse(self, sampling_rate: float) -> list[str]:
        """Name methods whose maps have one value for too long, and say so."""
        lasting = {one.name: 1000.0 * one.samples_a_value / sampling_rate for one in self.maps.methods}
        coarse = {name: lasts for name, lasts in lasting.items() if lasts > COARSEST_MS}
        if coarse:
            named = ", ".join(f"{name} ({lasts:g} ms)" for name, lasts in coarse.items())
            rank_zero_info(
                f"EvidenceLocalization: {len(coarse)} of {len(lasting)} methods left out, whose maps have one value "
                f"for more than {COARSEST_MS:g} ms: {named}"
            )
        return list(coarse)

    def _names(self) -> Sequence[str]:
        return [name for name in self.maps.names if name not in self.coarse]

    @staticmethod
    def _why_no_evidence(datamodule: EcgDataModule) -> str:
        why = datamodule.source.why_no_evidence(datamodule.target, datamodule.signal_format)
        return (
            why or "no test ECG has any, or the cache is of an earlier version: run `prepare` with `--overwrite true`"
        )

    def _places(self) -> Mapping[str, StoreLayout]:
        if not self.regions:
            return {}
        coords = {"region": self.regions, "method": self._names()}
        places = {folder: StoreLayout(("region", "method"), coords, "1") for folder in _SCORES.values()}
        return places | {"localization/share": StoreLayout(("region",), {"region": self.regions}, "1")}

    def _control_places(self) -> Mapping[str, StoreLayout]:
        if not self.regions:
            return {}
        coords = {"region": self.regions, "method": self._names(), "control": self.maps.patient_controls}
        return {folder: StoreLayout(("region", "method", "control"), coords, "1") for folder in _OF_OTHERS.values()}

    def _settings(self) -> dict[str, JSON]:
        evidence: JSON = self.datamodule.cache.info.get("hash")
        over: dict[str, JSON] = {} if self.r_peaks is None else {"averaged_over": "beats"}
        return {"target": self.datamodule.target, "evidence": evidence, **over}

    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        scores, share = self._scored(batch, batch.rows)
        return {**{_SCORES[name]: score for name, score in scores.items()}, "localization/share": share}

    def _measure_controls(self, batch: AuditBatch, control: PatientControl) -> Mapping[str, ArrayLike]:
        if self.r_peaks is None:
            return {_OF_OTHERS[name]: score for name, score in self._scored(batch, batch.rows)[0].items()}
        if control == "other_ecg":
            return self._of_other_beats(batch)
        shape = (len(batch.rows), len(self.regions), len(self._names()))
        return dict.fromkeys(_OF_OTHERS.values(), np.full(shape, np.nan))

    def _of_other_beats(self, batch: AuditBatch) -> dict[str, ArrayLike]:
        """Mean over all partners, each map averaged over its own beats; kept, as it is asked for once a partner."""
        others, key = self.maps.of_others, batch.rows.tobytes()
        if self._of_partners[0] != key:
            found = [
                self._scored(replace(batch, maps=others.maps("other_ecg", batch.rows, place)), partner)[0]
                for place, partner in enumerate(others.partners[batch.rows].T)
            ]
            means: dict[str, ArrayLike] = {}
            means |= {_OF_OTHERS[name]: mean_of_known([one[name] for one in found]) for name in LOCALIZATION_SCORES}
            self._of_partners = key, means
        return self._of_partners[1]

    def _scored(
        self, batch: AuditBatch, maps_of: Rows
    ) -> tuple[dict[LocalizationScore, NDArray[np.float64]], NDArray[np.float64]]:
        """Score -> (k, region, method), and the share (k, region) of the points inside.

        Args:
            batch: Rows and maps.
            maps_of: (k,) rows whose maps these are: recordings have their beats where these have.
        """
        masks, known = self._masks(batch)
        maps = torch.stack([batch.maps[name].cpu() for name in self._names()], dim=1)
        if self.r_peaks is None:
            scores, share = localization_scores(maps, masks), region_share(masks)
        else:
            peaks, of_format = self.r_peaks.iloc[self._cache_rows(batch.rows)], self.datamodule.signal_format
            of_maps = self.r_peaks.iloc[self._cache_rows(maps_of)]
            scores, share = scores_over_beats(maps, masks, of_maps.tolist(), peaks.tolist(), of_format)
        unknown = ~known.numpy()
        kept = {name: np.where(unknown[..., None], np.nan, score.numpy()) for name, score in scores.items()}
        return kept, np.where(unknown, np.nan, share.numpy())

    def _cache_rows(self, rows: Rows) -> NDArray[np.intp]:
        return self.examples["cache_row"].to_numpy(dtype=np.intp)[rows]

    def _masks(self, batch: AuditBatch) -> tuple[Tensor, Tensor]:
        """(k, region, lead, sample) masks and (k, region) whether they are known."""
        found = read_regions(self.datamodule.cache, self._cache_rows(batch.rows), self.datamodule.target)
        masks, known = (np.stack([found[region][part] for region in self.regions], axis=1) for part in (0, 1))
        return torch.from_numpy(masks), torch.from_numpy(known)

    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        report = LocalizationReport(
            scores={name: self.values(folder) for name, folder in _SCORES.items()},
            of_others={name: self.of_others(folder) for name, folder in _OF_OTHERS.items()},
            share=self.values("localization/share"),
            regions=self.regions,
            run=replace(self.audited_run, names=self._names()),
            over_beats=self.r_peaks is not None,
        )
        report.write(AuditResults(trainer))
