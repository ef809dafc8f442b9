"""Maps of the random networks of a cascade."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.attribution.controls import ControlName, control_maps
from ecg_lightning.attribution.robust import suite_maps
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import FrozenModel, in_chunks
from ecg_lightning.experiments.audit_stores import AuditBatch
from ecg_lightning.experiments.map_source import MapSource
from ecg_lightning.experiments.randomization.plan import RandomNetwork
from ecg_lightning.experiments.randomization.random_models import CascadeTasks
from ecg_lightning.models.precision import full_float32


class CascadeMaps:
    """Computes maps of any network with draws of its own.

    Args:
        maps: The trained network's.
        tasks: Prepares random networks.
        methods: Which methods.
        controls: Which controls.

    Attributes:
        failures: Method -> maps that it could not compute.
    """

    def __init__(
        self,
        maps: MapSource,
        tasks: CascadeTasks,
        methods: Sequence[AttributionMethod],
        controls: Sequence[ControlName],
    ) -> None:
        self.maps, self.tasks, self.methods, self.controls = maps, tasks, methods, controls
        self.failures: dict[str, int] = {}

    def at(
        self, network: RandomNetwork, batch: AuditBatch, *, names: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        """Maps of a random network, name -> (k, lead, sample).

        Args:
            network: Which.
            batch: The ECGs.
            names: Of methods and controls; None: all.
        """
        key = RandomKey(direction=network.drawn_by, repeat=network.repeat, depth=network.depth)
        return self._maps(self.tasks.at(network), batch.ecg, batch.rows, key, names)

    def of_task(self, task: FrozenModel, batch: AuditBatch, repeat: int) -> dict[str, Tensor]:
        """Maps of another trained network."""
        return self._maps(task, batch.ecg, batch.rows, RandomKey(direction="permuted labels", repeat=repeat))

    def smooth(self, network: RandomNetwork, batch: AuditBatch, noisy: Tensor) -> dict[str, Tensor]:
        """Maps averaged over noisy copies of the ECGs, (draw, k, lead, sample)."""
        key = RandomKey(direction=f"{network.drawn_by} smooth", repeat=network.repeat, depth=network.depth)
        total: dict[str, Tensor] = {}
        for copy in noisy:
            found = self._maps(self.tasks.at(network), copy, batch.rows, key)
            total = {name: total[name] + maps if total else maps.double() for name, maps in found.items()}
        return {name: maps / len(noisy) for name, maps in total.items()}

    def logits(self, network: RandomNetwork, ecg: Tensor) -> NDArray[np.float64]:
        """(k,) of a network."""
        task = self.tasks.at(network)
        with torch.no_grad(), full_float32():
            logits: NDArray[np.float64] = in_chunks(task.network, ecg, task.single_pass_chunk).double().cpu().numpy()
        return logits

    def _maps(
        self,
        task: FrozenModel,
        ecg: Tensor,
        rows: NDArray[np.int64],
        of: RandomKey,
        names: Collection[str] | None = None,
    ) -> dict[str, Tensor]:
        def key(name: str, place: int) -> RandomKey:
            own = self.maps.key(name, int(rows[place]))
            return replace(own, direction=of.direction, repeat=of.repeat, depth=of.depth)

        methods = [method for method in self.methods if names is None or method.name in names]
        controls = [control for control in self.controls if names is None or control in names]
        maps, failures = suite_maps(methods, task, ecg, key)
        for name, failed in failures.items():
            self.failures[name] = self.failures.get(name, 0) + len(failed)
        return maps | control_maps(controls, ecg, key, task.sampling_rate)
