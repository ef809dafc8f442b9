"""Maps of the random networks of a cascade, and their similarity to those of the trained one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from callbacks.attribution_maps import AttributionMaps
from callbacks.audit import AuditBatch
from ecg_lightning.attribution import AttributionMethod
from ecg_lightning.attribution.controls import ControlName, control_maps
from ecg_lightning.attribution.robust import suite_maps
from ecg_lightning.attribution.seeding import RandomKey
from ecg_lightning.attribution.task import AttributionTask, in_chunks
from ecg_lightning.functional.map_shape import histogram_entropy
from ecg_lightning.functional.similarity import paired_similarities
from ecg_lightning.models.precision import full_float32

_NOISE: Final = 0.1
"""Standard deviation of the smooth test's noise, as a share of the ECG's range; SmoothGrad's own default."""


class CascadeMaps:
    """Computes maps of any network with draws of its own.

    Args:
        maps: The trained network's.
        methods: Which methods.
        controls: Which controls.
        smooth_draws: Noisy copies an ECG of the smooth test.

    Attributes:
        failures: Method -> maps that it could not compute.
    """

    def __init__(
        self,
        maps: AttributionMaps,
        methods: Sequence[AttributionMethod],
        controls: Sequence[ControlName],
        smooth_draws: int,
    ) -> None:
        self.maps, self.methods, self.controls, self.smooth_draws = maps, methods, controls, smooth_draws
        self.failures: dict[str, int] = {}

    def at(
        self, task: AttributionTask, ecg: Tensor, rows: NDArray[np.int64], direction: str, repeat: int, depth: int
    ) -> dict[str, Tensor]:
        """Maps of a network, name -> (k, lead, sample); depth 0 is the trained one."""

        def key(name: str, place: int) -> RandomKey:
            return replace(self.maps.key(name, int(rows[place])), direction=direction, repeat=repeat, depth=depth)

        maps, failures = suite_maps(self.methods, task, ecg, key, self.maps.shared)
        for name, failed in failures.items():
            self.failures[name] = self.failures.get(name, 0) + len(failed)
        return maps | control_maps(self.controls, ecg, key)

    def smooth(
        self, task: AttributionTask, batch: AuditBatch, noisy: Tensor, direction: str, repeat: int, depth: int
    ) -> dict[str, Tensor]:
        """Maps averaged over noisy copies of the ECGs."""
        total: dict[str, Tensor] = {}
        for copy in noisy:
            found = self.at(task, copy, batch.rows, f"{direction} smooth", repeat, depth)
            total = {name: total[name] + maps if total else maps.double() for name, maps in found.items()}
        return {name: maps / len(noisy) for name, maps in total.items()}

    def noisy(self, batch: AuditBatch) -> Tensor:
        """(draw, k, lead, sample): the same copies for the trained and every random network."""
        keys = [replace(self.maps.key("", int(row)), purpose="smooth cascade") for row in batch.rows]
        noise = [key.normal(self.smooth_draws, *batch.ecg.shape[1:]) for key in keys]
        span = (batch.ecg.amax((1, 2)) - batch.ecg.amin((1, 2)))[:, None, None]
        return batch.ecg + _NOISE * span * torch.stack(noise, dim=1).to(batch.ecg)

    @staticmethod
    def logits(task: AttributionTask, ecg: Tensor) -> NDArray[np.float64]:
        """(k,) of a network."""
        with torch.no_grad(), full_float32():
            logits: NDArray[np.float64] = in_chunks(task.network, ecg, task.single_pass_chunk).double().cpu().numpy()
        return logits


def compare(
    trained: Mapping[str, Tensor],
    maps: Mapping[str, Sequence[Tensor]],
    measured: dict[str, NDArray[np.float64]],
    kind: str,
    repeat: int,
) -> None:
    """Fill in the similarity of every depth's maps to the trained ones.

    Args:
        trained: Name -> (k, lead, sample).
        maps: Name -> one (k, lead, sample) for each depth but 0.
        measured: Folder -> (k, repeat, sign, method, depth), filled in place.
        kind: Folder of the statistics.
        repeat: Which.
    """
    for place, (name, own) in enumerate(trained.items()):
        own = own.double()
        # the first of them is the trained map itself: 1, or NaN where it is constant
        others = torch.stack([own, *(one.to(own) for one in maps[name])], dim=1)
        for statistic, found in paired_similarities(own[:, None], others).items():
            measured[f"{kind}/{statistic}"][:, repeat, :, place] = found.movedim(-1, 1).cpu().numpy()


def entropy_rise(trained: Tensor, random: Tensor) -> NDArray[np.float64]:
    """(entropy of the random network's map - that of the trained one's) / the latter, (k,); NaN where undefined."""
    before, after = histogram_entropy(trained), histogram_entropy(random)
    rise: NDArray[np.float64] = ((after - before) / before).cpu().numpy()
    return rise
