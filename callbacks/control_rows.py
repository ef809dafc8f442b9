"""An audit's rows of maps that know nothing of the patient: measured at the end, when every rank's maps are there."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import ArrayLike, NDArray

from callbacks.attribution_maps import AttributionMaps
from callbacks.test_seal import close_store
from ecg_lightning.attribution.partners import PatientControl
from ecg_lightning.experiments.audit_stores import AuditBatch, StoreLayout
from ecg_lightning.storage.store import Rows, RowStore

Measure = Callable[[AuditBatch, PatientControl], Mapping[str, ArrayLike]]


class ControlRows:
    """Fills the stores of an audit that have a dimension ``control``.

    Args:
        maps: Whose maps, and which controls.
        places: Folder -> what it holds; ``control`` has some of ``AttributionMaps.patient_controls``, in their order.
        stores: Folder -> store.
        measure: What the audit measures of a batch, without the dimension ``control``.
        partners: Over how many other patients the scores of ``other_ecg`` are averaged.
    """

    def __init__(
        self,
        maps: AttributionMaps,
        places: Mapping[str, StoreLayout],
        stores: Mapping[str, RowStore],
        measure: Measure,
        partners: int,
    ) -> None:
        self.maps, self.places, self.stores, self.measure, self.partners = maps, places, stores, measure, partners

    def fill(self, trainer: Trainer, rows: Rows, at_once: int) -> None:
        """Measure the rows that are missing, each rank its share, and unite the ranks' masks.

        Args:
            trainer: The trainer.
            rows: Which are wanted.
            at_once: Rows that are measured and written together.
        """
        ready = self.maps.of_others.ready
        if not ready:
            rank_zero_warn(
                "the maps of other patients are left out: not every test ECG has a logit of this network in logits/ "
                "(put LogitsAndMetrics among the callbacks, and test all ECGs)"
            )
        missing = lacking(self.stores, rows) if ready else rows[:0]
        trainer.strategy.barrier()  # a rank that already writes would change what another one finds missing
        if len(missing) and self._folders("mean_map"):
            self.maps.of_others.sum_up()
        share = missing[trainer.global_rank :: trainer.world_size]
        for start in range(0, len(share), at_once):
            some = share[start : start + at_once]
            for folder, values in self.measured(some).items():
                self.stores[folder].write(some, values)
        for store in self.stores.values():
            close_store(trainer, store, rows)

    def measured(self, rows: Rows) -> dict[str, NDArray[np.float64]]:
        """Folder -> (k, ...) with the dimension ``control``."""
        found = {control: self._of(control, rows) for control in self.maps.patient_controls if self._folders(control)}
        return {
            folder: np.stack(
                [values[folder] for control, values in found.items() if control in place.coords["control"]],
                axis=1 + place.dims.index("control"),
            )
            for folder, place in self.places.items()
        }

    def _folders(self, control: PatientControl) -> list[str]:
        """Where a control is asked for."""
        return [folder for folder, place in self.places.items() if control in place.coords["control"]]

    def _of(self, control: PatientControl, rows: Rows) -> dict[str, NDArray[np.float64]]:
        others = self.maps.of_others
        ecg = others.ecgs(rows)
        places = range(self.partners if control == "other_ecg" else 1)
        measured = [self.measure(AuditBatch(rows, ecg, others.maps(control, rows, place)), control) for place in places]
        return {folder: mean_of_known([one[folder] for one in measured]) for folder in self._folders(control)}


def lacking(stores: Mapping[str, RowStore], rows: Rows) -> Rows:
    """Those of some rows that one of the stores lacks."""
    missing = [store.missing(rows) for store in stores.values()]
    return np.unique(np.concatenate(missing)) if missing else rows[:0]


def mean_of_known(values: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """Mean of arrays of one shape (...), leaving out what is NaN; NaN where all are."""
    stacked = np.stack([np.asarray(one, dtype=np.float64) for one in values])
    known = ~np.isnan(stacked)
    count = known.sum(axis=0)
    mean = np.where(known, stacked, 0.0).sum(axis=0) / np.maximum(count, 1)
    return np.asarray(np.where(count > 0, mean, np.nan), dtype=np.float64)
