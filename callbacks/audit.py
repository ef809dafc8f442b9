"""What the audits have in common: rows that are measured from maps, kept in stores, and summed up at the end."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import ArrayLike, NDArray

from callbacks.attribution_maps import AttributionMaps
from callbacks.control_rows import ControlRows, lacking
from callbacks.current_run import (
    callback_before,
    check_interval_settings,
    classifier_of,
    datamodule_of,
    on_rank_zero,
    open_store,
    run_folder,
)
from callbacks.test_seal import close_store
from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.ecg import FORMAT_SETTING
from ecg_lightning.experiments.audit_stores import AuditBatch, StoreLayout, rows_as_large
from ecg_lightning.experiments.audited_run import AuditedRun
from ecg_lightning.plotting.class_words import class_name
from ecg_lightning.runs.layout import OnMismatch
from ecg_lightning.storage.hashing import JSON
from ecg_lightning.storage.store import Rows, RowStore, StoreSpec

__all__ = ["Audit", "AuditBatch", "StoreLayout"]


class Audit(Callback, ABC):
    """Measures something of every test ECG's maps.

    Stands behind ``AttributionMaps``. A row that is in its stores is not measured again, so that a killed run resumes,
    and an audit can be added to a finished run without computing a map.

    Args:
        n_resamples: Bootstrap resamples of the patients.
        confidence: Confidence level of the intervals.
        bootstrap_seed: Seed of the bootstrap resamples.
        on_mismatch: What to do with a store of other settings: ``error``, or ``replace``: move it aside.

    Raises:
        ValueError: Fewer than 100 resamples, or a confidence outside (0, 1).
    """

    rows_at_once: ClassVar[int] = 32
    """Median beats that are measured and written together, or fewer longer ECGs: what a kill costs."""

    least_rows_at_once: ClassVar[int] = 1
    """ECGs of any length that are."""

    averages_partners: ClassVar[bool] = True
    """Whether scores of another ECG's map are averaged over all partners; else they are of the first one."""

    def __init__(
        self,
        n_resamples: int = 1000,
        confidence: float = 0.95,
        bootstrap_seed: int = 0,
        on_mismatch: OnMismatch = "error",
    ) -> None:
        super().__init__()
        check_interval_settings(type(self).__name__, n_resamples, confidence)
        self.n_resamples = n_resamples
        self.confidence = confidence
        self.bootstrap_seed = bootstrap_seed
        self.on_mismatch: OnMismatch = on_mismatch
        self.stores: dict[str, RowStore] = {}
        self.control_stores: dict[str, RowStore] = {}

    @abstractmethod
    def _places(self) -> Mapping[str, StoreLayout]:
        """Folder below the run -> what it holds; nothing where there is nothing to measure."""

    @abstractmethod
    def _settings(self) -> dict[str, JSON]:
        """The audit's own settings that determine its rows; not those of intervals or pictures."""

    @abstractmethod
    def _measure(self, batch: AuditBatch) -> Mapping[str, ArrayLike]:
        """Folder -> (k, ...) values of a batch's rows, for every folder of ``_places``."""

    def _control_places(self) -> Mapping[str, StoreLayout]:
        """Folder below the run -> what it holds of maps that know nothing of the patient; none by default.

        One dimension of each is ``control``: ``AttributionMaps.patient_controls``, or some of them in their order.
        """
        return {}

    def _measure_controls(self, batch: AuditBatch, control: PatientControl) -> Mapping[str, ArrayLike]:
        """Folder -> (k, ...) values, without the dimension ``control``, where this control is asked for.

        Args:
            batch: The rows with their own ECGs, and as ``maps`` what stands in for their own maps; NaN where nothing
                does. The rows' own maps are ``self.maps.of_others.own(batch.rows)``.
            control: What stands in.
        """
        return {}

    @abstractmethod
    def _summarise(self, trainer: Trainer, module: LightningModule) -> None:
        """Write tables and pictures and log them; on rank zero, when every rank's rows are there."""

    def _chosen(self) -> NDArray[np.bool_]:
        """(n,) which rows to measure."""
        return np.ones(len(self.examples), dtype=np.bool_)

    def _names(self) -> Sequence[str]:
        """Methods and controls whose maps determine the rows."""
        return self.maps.names

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the callback that computes the maps, before anything is computed."""
        if stage == "test":
            self.maps = callback_before(trainer, self, AttributionMaps)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the stores of this audit."""
        datamodule = datamodule_of(trainer, type(self).__name__)
        module = classifier_of(pl_module, type(self).__name__)
        self.examples: pd.DataFrame = datamodule.examples("test")
        self.datamodule, self.module = datamodule, module
        folder, controls = run_folder(trainer).path, self._control_places() if self.maps.patient_controls else {}

        def opened(specs: Mapping[str, StoreSpec]) -> dict[str, RowStore]:
            return {name: open_store(trainer, folder / name, spec, self.on_mismatch) for name, spec in specs.items()}

        self.stores = opened({name: self._spec(place) for name, place in self._places().items()})
        self.control_stores = opened({name: self._control_spec(place) for name, place in controls.items()})
        self.chosen = self._chosen()
        wanted = np.flatnonzero(self.chosen)
        if self.stores and not any(len(store.missing(wanted)) for store in self.stores.values()):
            rank_zero_info(f"{type(self).__name__}: every row is in its store already; none is measured.")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure the batch's rows that are not in the stores, some at a time."""
        rows: Rows = outputs["row"].cpu().numpy()
        places = np.flatnonzero(np.isin(rows, self._missing(rows)))
        for start in range(0, len(places), self._rows_together):
            part = places[start : start + self._rows_together]
            maps = {name: maps[part] for name, maps in outputs["maps"].items()}
            measured = self._measure(AuditBatch(rows[part], batch["ecg"][part], maps))
            for folder, store in self.stores.items():
                store.write(rows[part], measured[folder])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Unite the ranks' rows, measure what the same rows are without the patient's own maps, and sum up."""
        if not self.stores:
            return
        for store in self.stores.values():
            close_store(trainer, store, np.flatnonzero(self.chosen))
        self._fill_controls(trainer)
        on_rank_zero(trainer, lambda: self._summarise(trainer, pl_module))

    def values(self, folder: str) -> NDArray[np.float64]:
        """(n, ...) of a store, NaN for rows that were not measured."""
        store = self.stores[folder] if folder in self.stores else self.control_stores[folder]
        return np.asarray(store.read(np.arange(len(store))), dtype=np.float64)

    def of_others(self, folder: str) -> dict[str, NDArray[np.float64]]:
        """Read a store with the dimension ``control``: control -> (n, ...); empty where none was measured."""
        if folder not in self.control_stores:
            return {}
        spec = self.control_stores[folder].spec
        values = np.moveaxis(self.values(folder), spec.dims.index("control"), 0)
        return {str(control): of_one for control, of_one in zip(spec.coords["control"], values, strict=True)}

    @property
    def audited_run(self) -> AuditedRun:
        """Return what tables and pictures need to know of the run."""
        return AuditedRun(
            names=self.maps.names,
            controls=self.maps.controls,
            examples=self.examples,
            n_resamples=self.n_resamples,
            confidence=self.confidence,
            seed=self.bootstrap_seed,
            what=f"{class_name(self.datamodule.target)}, seed {self.maps.training_seed}",
            target_info=self.datamodule.target_info,
            label_scale=self.module.label_scale,
        )

    def _missing(self, rows: Rows) -> Rows:
        """Chosen rows that some store lacks."""
        return lacking(self.stores, rows[self.chosen[rows]])

    def _fill_controls(self, trainer: Trainer) -> None:
        """Measure the rows that are missing, when every rank's maps are there."""
        if self.control_stores:
            rows = ControlRows(
                self.maps,
                self._control_places(),
                self.control_stores,
                self._measure_controls,
                self.maps.partners if self.averages_partners else 1,
            )
            rows.fill(trainer, np.flatnonzero(self.chosen), self._rows_together)

    @property
    def _rows_together(self) -> int:
        return rows_as_large(self.rows_at_once, self.maps.task.shape, self.least_rows_at_once)

    def _control_spec(self, place: StoreLayout) -> StoreSpec:
        """As ``_spec``; who the partners are is determined by the seed and the class that the network predicts."""
        spec = self._spec(place)
        partners = self.maps.partners if self.averages_partners else 1
        of_others: JSON = {
            "attribution_seed": self.maps.attribution_seed,
            "threshold": self.maps.threshold,
            "partners": partners,
        }
        return replace(spec, settings={**spec.settings, "patient_controls": of_others})

    def _spec(self, place: StoreLayout) -> StoreSpec:
        seeds = {"attribution_seed": self.maps.attribution_seed, "training_seed": self.maps.training_seed}
        drawn_by: dict[str, JSON] = {**seeds}
        of_maps = next(iter(self.maps.stores.values())).spec  # hashed once for all
        if FORMAT_SETTING in of_maps.settings:  # controls last as long at any rate
            drawn_by["sampling_rate"] = self.maps.sampling_rate
        maps = self.maps.kept.digests(self._names(), drawn_by)
        place = replace(place, unit=self.datamodule.target_info.output_unit(place.unit))
        return place.spec(len(self.examples), {**self._settings(), **place.settings, "maps": maps}, of_maps)
