"""Computes the maps that are in no store yet, a few at a time, and keeps them."""

import warnings
from collections.abc import Callable, Sequence

from torch import Tensor

from callbacks.map_stores import MapStores
from ecg_lightning.attribution import AttributionMethod, RandomKey
from ecg_lightning.attribution.base import AttributionBatch
from ecg_lightning.attribution.robust import explain_or_nan
from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.storage.store import Rows


class MapComputation:
    """Hands out maps from their stores, and computes those that are missing first.

    Args:
        stores: Where the maps are kept.
        key: Name and row -> key of the draws.
        ecg_ids: Id of each row.

    Attributes:
        failures: Method -> ECG id -> why its map could not be computed.
    """

    def __init__(self, stores: MapStores, key: Callable[[str, int], RandomKey], ecg_ids: Sequence[str]) -> None:
        self.stores, self.key, self.ecg_ids = stores, key, ecg_ids
        self.failures: dict[str, dict[str, str]] = {}

    def maps(self, method: AttributionMethod, model: FrozenModel, ecg: Tensor, rows: Rows) -> Tensor:
        """Return the maps of a batch, (k, lead, sample).

        Args:
            method: The method.
            model: The network.
            ecg: (k, lead, sample) mV.
            rows: (k,) rows of the test set.
        """
        missing = set(self.stores.missing(method.name, rows).tolist())
        todo = [index for index, row in enumerate(rows.tolist()) if row in missing]
        # one write a map where a map is expensive, so that a kill costs one map at most
        step = len(todo) if method.single_pass else 1
        for start in range(0, len(todo), max(step, 1)):
            part = todo[start : start + step]
            found = self._explain(method, model, ecg[part], rows[part])
            self.stores.write(method.name, rows[part], found.maps, found.reliability)
        return self.stores.read(method.name, rows, ecg.device)

    def _explain(self, method: AttributionMethod, model: FrozenModel, ecg: Tensor, rows: Rows) -> AttributionBatch:
        keys = [self.key(method.name, row) for row in rows.tolist()]
        found, failed = explain_or_nan(method, model, ecg, keys)
        before = self.failures.setdefault(method.name, {})
        if failed and not before:
            ecg_id, why = next(iter(failed.items()))
            row = next(row for row in rows.tolist() if self.ecg_ids[row] == ecg_id)
            warnings.warn(f"{method.name} failed on the ECG of row {row}, whose map is NaN now: {why}", stacklevel=2)
        before |= failed
        return found
