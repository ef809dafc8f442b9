"""A cascade compares the maps of every random network with those of the trained one, a batch of ECGs at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ecg_lightning.attribution.task import FrozenModel
from ecg_lightning.data.recalibration import RecalibrationBeats
from ecg_lightning.experiments.audit_stores import AuditBatch, StoreLayout
from ecg_lightning.experiments.randomization.measure import RandomNetworkSimilarity, draw_places
from ecg_lightning.experiments.randomization.plan import CascadePlan
from ecg_lightning.experiments.randomization.progressive import ProgressiveCascade, progressive_places
from ecg_lightning.experiments.randomization.random_maps import CascadeMaps
from ecg_lightning.experiments.randomization.random_weights import BatchNormPolicy
from ecg_lightning.functional.smoothing import window_setting
from ecg_lightning.storage.hashing import JSON, digest_state_dict

_RANDOM: Final = "cascade/random_networks"
_PERMUTED: Final = "cascade/permuted_labels"


@dataclass(frozen=True, eq=False)
class Cascade:
    """Compares the maps of random networks with those of the trained one.

    Attributes:
        plan: Which random networks, and whose maps of each.
        random: Computes the maps of random networks.
        permuted: Networks that were trained on permuted labels.
        recalibration: What BatchNorm statistics are made of.
        smooth_draws: Noisy copies an ECG of the smooth test; 0: none.
    """

    plan: CascadePlan
    random: CascadeMaps
    permuted: Sequence[FrozenModel]
    recalibration: RecalibrationBeats
    smooth_draws: int

    def places(self) -> dict[str, StoreLayout]:
        """Describe the store of each folder."""
        plan = self.plan
        places = progressive_places(plan, bool(self.smooth_draws), self._settings_of(plan.batchnorm))
        few: dict[str, JSON] = {"expensive": list(plan.expensive), "their_draws": plan.draws_of_expensive_methods}
        for batchnorm, draws in plan.wholly_random.items():
            places |= draw_places(f"{_RANDOM}/{batchnorm}", draws, plan.names, self._settings_of(batchnorm) | few)
        if self.permuted:
            networks: list[JSON] = [digest_state_dict(task.network.state_dict()) for task in self.permuted]
            places |= draw_places(_PERMUTED, len(self.permuted), plan.names, {"networks": networks})
        return places

    def settings(self) -> dict[str, JSON]:
        """Return what determines the rows of every folder."""
        maps, tasks = self.random.maps, self.random.tasks
        settings: dict[str, JSON] = {
            "layers": list(tasks.layers),
            "how": tasks.how,
            "attribution_seed": maps.attribution_seed,
            "training_seed": maps.training_seed,
        }
        settings |= window_setting(self.window)
        return settings | ({"smooth_draws": self.smooth_draws} if self.smooth_draws else {})

    @property
    def window(self) -> int:
        """Return the samples of the filter that smooths maps before they are compared."""
        return self.random.maps.task.smoothing_window

    def _settings_of(self, batchnorm: BatchNormPolicy) -> dict[str, JSON]:
        settings: dict[str, JSON] = {"batchnorm": batchnorm}
        if "recalibrated" in batchnorm:
            settings["recalibrated_on"] = digest_state_dict({"beats": self.recalibration.beats})
        return settings

    def measure(self, batch: AuditBatch) -> Mapping[str, NDArray[np.float64]]:
        """Measure a batch: folder -> (k, ...), NaN for what was not asked for."""
        measured = {folder: np.full((len(batch.rows), *place.shape), np.nan) for folder, place in self.places().items()}
        trained = {name: batch.maps[name] for name in self.plan.names}
        whole = ProgressiveCascade(self.plan, self.random, batch, trained, self.smooth_draws).measure(measured)
        likeness = RandomNetworkSimilarity(batch.ecg, trained, self.window)
        for batchnorm, draws in self.plan.wholly_random.items():
            for draw in range(draws):
                network = self.plan.network(batchnorm, draw)
                maps = whole.get(network) or self.random.at(network, batch, names=self.plan.names_of(draw))
                likeness.fill(f"{_RANDOM}/{batchnorm}", draw, maps, measured)
        for draw, task in enumerate(self.permuted):
            likeness.fill(_PERMUTED, draw, self.random.of_task(task, batch, draw), measured)
        return measured
